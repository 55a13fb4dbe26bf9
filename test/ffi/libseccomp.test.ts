/** Filters that cannot be made, and why. What those that can do to calls is tried in test/plan. */
import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { capFromName } from "../../ffi/libcap.ts";
import {
  type Abi,
  compileFilter,
  libseccompVersion,
  resolveSyscall,
  type Rule,
} from "../../ffi/libseccomp.ts";
import { isRoot } from "../accounts.ts";

const ALLOW = 0x7fff0000;
const ERRNO = 0x00050001;
const abi: Abi = process.arch === "arm64" ? "arm64" : "x64";
const compile = (...rules: Rule[]) => compileFilter(ALLOW, rules, abi);
const rule = (syscall: string, action = ERRNO, args: Rule["args"] = []): Rule => ({
  ...{ syscall, action, args },
});

test("rules that contradict each other are told as that, and others by the error of the library", () => {
  const on = (index: number) => rule("ioctl", ERRNO, [{ index, op: "eq", value: 1n }]);
  expect(() => compile(on(0), { ...on(0), action: ERRNO + 1 })).toThrow(
    "the rules of ioctl contradict each other: keep one of them",
  );
  expect(() => compile(on(6))).toThrow(/^libseccomp: rule ioctl: E(?!EXIST)[A-Z]+$/);
  expect(() => compile(rule("no_such_call"))).toThrow("unknown syscall no_such_call");
  // What happens anyway is no rule.
  expect(compile(rule("mount", ALLOW))).toEqual(compile());
});

test("numbers that C would cut are refused", () => {
  expect(() => compileFilter(-1, [], abi)).toThrow("action");
  expect(() => compile(rule("mount", 2 ** 32))).toThrow("action");
  for (const value of [-1n, 2n ** 64n])
    expect(() => compile(rule("ioctl", ERRNO, [{ index: 0, op: "eq", value }]))).toThrow("64");
  const masked = (mask: bigint) =>
    rule("ioctl", ERRNO, [{ index: 0, op: "masked_eq", value: 1n, mask }]);
  expect(() => compile(masked(2n ** 64n))).toThrow("64");
  expect(compile(masked(1n))).not.toEqual(compile(masked(3n)));
  expect(() => compileFilter(0x00020000, [], abi)).toThrow("the default action is not valid here");
});

test("a program is whole instructions, and another for each ABI", () => {
  const abis: readonly Abi[] = ["x64", "arm64", "i386", "arm"];
  const programs = abis.map((one) => compileFilter(ALLOW, [rule("mount")], one));
  for (const program of programs)
    expect([program.length > 0, program.length % 8]).toEqual([true, 0]);
  expect(new Set(programs.map((program) => Buffer.from(program).toString("hex"))).size).toBe(4);
});

test("of many calls each is found in a few steps, where the library can do that", () => {
  const names =
    "mount umount2 chroot pivot_root setns unshare reboot swapon swapoff acct bpf kexec_load init_module delete_module ptrace keyctl add_key request_key";
  const program = Buffer.from(compile(...names.split(" ").map((name) => rule(name))));
  const codes = Array.from({ length: program.length / 8 }, (_, i) => program.readUInt16LE(8 * i));
  // To one side or the other: BPF_JMP | BPF_JGT | BPF_K. One after the other they are only compared.
  const forks = codes.filter((code) => code === 0x25).length;
  expect(forks > 2).toBe(Bun.semver.order(libseccompVersion(), "2.5.0") >= 0);
});

test("calls have the numbers of their architecture, negative ones where it has none", () => {
  expect(["x64", "arm64", "i386"].map((one) => resolveSyscall("openat", one as Abi))).toEqual([
    ...[257, 56, 295],
  ]);
  expect(resolveSyscall("open", "arm64")).toBeLessThan(-1);
  expect(resolveSyscall("no_such_call", "x64")).toBeUndefined();
  expect(libseccompVersion()).toMatch(/^\d+\.\d+\.\d+$/);
});

test.if(isRoot)("a library that is not there is told with the packages that have it", () => {
  expect([capFromName("KILL"), libseccompVersion()]).not.toContain(undefined);
  const maps = readFileSync("/proc/self/maps", "utf8");
  const libraries = new Set(maps.match(/\/\S*\/lib(?:cap|seccomp)\.so\S*/g));
  expect(libraries.size).toBe(2);
  const hide = [...libraries].map((path) => `mount --bind /dev/null ${path}`).join(" && ");
  const module = (name: string) => JSON.stringify(join(import.meta.dir, "../../ffi", name));
  const program = `
    const { capFromName } = await import(${module("libcap.ts")});
    const { resolveSyscall } = await import(${module("libseccomp.ts")});
    for (const ask of [() => capFromName("KILL"), () => resolveSyscall("open", "x64")])
      try { console.log(ask()); } catch (error) { console.log(error.message); }`;
  const command = ["unshare", "--mount", "sh", "-c", `${hide} && exec "$0" -e "$1"`];
  const { stdout, stderr } = Bun.spawnSync([...command, process.execPath, program]);
  expect(stdout.toString() || stderr.toString()).toBe(
    `capabilities are configured, but libcap.so.2 cannot be loaded: install libcap2 (Debian) or libcap (Yocto)
seccomp rules are configured, but libseccomp.so.2 cannot be loaded: install libseccomp2 (Debian) or libseccomp (Yocto)
`,
  );
});
