import { expect, test } from "bun:test";
import { type Machine, thisMachine } from "../../src/plan/machine.ts";
import { parseAction } from "../../src/plan/seccomp-action.ts";
import { answer } from "./answer.ts";
import { asRoot, asUser, compiled, planOf, refused } from "./compiling.ts";

const ALLOW = parseAction("ALLOW");
const EPERM = parseAction("ERRNO(EPERM)");
const on = (pty: unknown = true, more: object = {}) => ({
  acls: { user: "nobody" },
  commands: { uid: "c", pty, exec: { cmdpath: "/usr/bin/sh" } },
  ...more,
});
const ptyOf = (sandbox: object, machine: Partial<Machine> = asRoot, arch = "x64") =>
  planOf(compiled(sandbox, { ...thisMachine(arch), ...machine })).policy.pty;

/** arch of struct seccomp_data, and the numbers of ioctl and of two other calls there. */
const ABIS = [
  ["x64", "x86_64", 0xc000003e, [16], [17, 54]],
  ["x64", "x32", 0xc000003e, [0x40000010, 0x40000202, 514], [0x40000011, 0x40000203]],
  ["x64", "i386", 0x40000003, [54], [16, 55]],
  ["arm64", "aarch64", 0xc00000b7, [29], [16, 54]],
  ["arm64", "arm", 0x40000028, [54], [29, 16]],
] as const;
test.each(ABIS)("%s: nothing types by the ABI %s", (arch, _, audit, ioctl, others) => {
  const { filter = new Uint8Array() } = ptyOf(on(), asRoot, arch) ?? {};
  for (const high of [0n, 1n << 32n, 0xffffffffn << 32n, 1n << 63n]) {
    const ask = (number: number, request: bigint) =>
      answer(filter, number, [0n, request | high], audit);
    for (const number of ioctl) {
      expect([0x5412n, 0x541cn].map((request) => ask(number, request))).toEqual([EPERM, EPERM]);
      for (const request of [0n, 0x5401n, 0x5411n, 0x5413n, 0x541bn, 0x541dn, 0x15412n])
        expect(ask(number, request)).toBe(ALLOW);
    }
    for (const number of others) expect(ask(number, 0x5412n)).toBe(ALLOW);
  }
  const foreign = arch === "x64" ? 0xc00000b7 : 0xc000003e;
  expect(answer(filter, 16, [0n, 0x5412n], foreign)).toBe(parseAction("KILL_PROCESS"));
});

test("its size, and what is none", () => {
  expect(ptyOf(on())).toMatchObject({ columns: 80, rows: 24 });
  expect(ptyOf(on({}))).toMatchObject({ columns: 80, rows: 24 });
  expect(ptyOf(on({ cols: 132 }))).toMatchObject({ columns: 132, rows: 24 });
  expect(ptyOf(on(false))).toBeUndefined();
  for (const pty of [{ cols: 0 }, { rows: 65536 }, { cols: 1.5 }, { cols: "80" }, 1, "on", null])
    expect(refused(on(pty)).length).toBeGreaterThan(0);
});

test("where it comes from: what covers the devpts of the mounts hides it", () => {
  const usr = [
    { target: "/usr" },
    ...["lib", "lib64"].map((one) => ({
      target: `/${one}`,
      source: `usr/${one}`,
      mode: "symlink",
    })),
  ];
  const mounts = (...list: object[]) =>
    ptyOf(on(true, { namespace: { mounts: [...usr, ...list] } }))?.origin;
  const dev = { target: "/dev", mode: "dev" };
  expect(ptyOf(on())?.origin).toEqual({ kind: "machine", path: "/dev/ptmx" });
  expect(mounts()).toEqual({ kind: "own" });
  expect(mounts(dev)).toEqual({ kind: "mounted", path: "/dev/pts" });
  expect(mounts({ target: "/x/dev", mode: "dev" })).toEqual({
    kind: "mounted",
    path: "/x/dev/pts",
  });
  for (const target of ["/dev", "/dev/pts"])
    expect(mounts(dev, { target, mode: "tmpfs" })).toEqual({ kind: "own" });
  expect(mounts(dev, { target: "/dev/shm", mode: "tmpfs" })).toMatchObject({ kind: "mounted" });
});

test("TERM is the config's, or dumb", () => {
  const env = (more: object = {}) =>
    planOf(compiled(on(true, more), { ...asRoot, inherits: true, env: { TERM: "xterm" } })).env[
      "TERM"
    ];
  expect(env()).toBe("dumb");
  expect(env({ envs: [{ name: "TERM", value: "vt100" }] })).toBe("vt100");
  expect(env({ envs: [{ name: "TERM" }] })).toBe("xterm");
});

test("an ordinary user's filter needs no_new_privs", () => {
  const sandbox = { commands: on().commands, acls: { newPrivs: true } };
  const [said] = refused(sandbox, { ...asUser, inherits: false });
  expect(said).toContain("commands[0].pty: cannot be combined with newPrivs here");
  compiled({ ...sandbox, acls: { user: "nobody", newPrivs: true } });
});
