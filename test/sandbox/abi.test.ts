/** System calls of another ABI would have other numbers than the filter's: whoever makes one is killed. */
import { afterAll, describe, expect, test } from "bun:test";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { program32 } from "../../src/plan/runs-abi.ts";
import { serve, users } from "../served.ts";
import { serving } from "../serving.ts";

/** A static ELF64 program: header, one readable and executable segment, and this code. See elf(5). */
function program(code: readonly number[]): Uint8Array {
  const BASE = 0x400000n;
  const HEADERS = 64 + 56;
  const file = new Uint8Array(HEADERS + code.length);
  const view = new DataView(file.buffer);
  const size = BigInt(file.length);
  // \x7fELF, 64 bits, little-endian, version 1
  file.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  // ET_EXEC, EM_X86_64, version
  [2, 62].forEach((value, i) => view.setUint16(16 + i * 2, value, true));
  view.setUint32(20, 1, true);
  // entry, program headers
  view.setBigUint64(24, BASE + BigInt(HEADERS), true);
  view.setBigUint64(32, 64n, true);
  // sizes: this header, a program header, their count
  [64, 56, 1].forEach((value, i) => view.setUint16(52 + i * 2, value, true));
  // PT_LOAD, read and execute, offset, address twice, size twice, alignment
  view.setUint32(64, 1, true);
  view.setUint32(68, 5, true);
  [0n, BASE, BASE, size, size, 0x1000n].forEach((value, i) =>
    view.setBigUint64(72 + i * 8, value, true),
  );
  file.set(code, HEADERS);
  return file;
}

/** mov eax, number */
const mov = (number: number) => [0xb8, ...new Uint8Array(Uint32Array.of(number).buffer)];
const SYSCALL = [0x0f, 0x05];
const INT80 = [0xcd, 0x80];
/** exit_group(7) of x86_64: mov edi, 7; mov eax, 231; syscall */
const EXIT = [0xbf, 7, 0, 0, 0, ...mov(231), ...SYSCALL];

const programs = {
  // getpid of each ABI: harmless, and the same answer whether the kernel has the ABI or not (x32: ENOSYS).
  native: [...mov(39), ...SYSCALL, ...EXIT],
  x32: [...mov(0x40000000 + 39), ...SYSCALL, ...EXIT],
  i386: [...mov(20), ...INT80, ...EXIT],
} as const;
const abis = Object.keys(programs) as (keyof typeof programs)[];

/** A program of i386 that makes one call and ends with its errno. */
function calling(number: number, ...args: number[]): Uint8Array {
  const little = (value: number) => new Uint8Array(Uint32Array.of(value).buffer);
  // mov ebx, ecx, edx
  const loads = args.flatMap((value, i) => [[0xbb, 0xb9, 0xba][i] ?? 0xbe, ...little(value)]);
  // mov eax; int 0x80; neg eax; mov ebx, eax; mov eax, 1; int 0x80
  const end = [0xf7, 0xd8, 0x89, 0xc3, ...mov(1), ...INT80];
  return program32(3, [...loads, ...mov(number), ...INT80, ...end]);
}
const ENOSYS = 38;
/** What each ends with under the rules below, and in profile minimal. */
const CALLS: Readonly<Record<string, [program: Uint8Array, ruled: number, minimal: number]>> = {
  unknown: [calling(999), ENOSYS, ENOSYS],
  // getppid of i386, which is the native umount2
  allowed: [calling(64), 0, 0],
  // mkdir(NULL) and mount(NULL): EXDEV and EPERM where they are denied, EFAULT from the kernel
  mkdir: [calling(39, 0), 18, 14],
  mount: [calling(21, 0, 0, 0), 1, 1],
  // setuid32 of an id that is not its own, which is EPERM with or without the filter; socket of AF_UNIX and of AF_ALG
  unix: [calling(359, 1, 0x80001, 0), 256 - 3, 256 - 3],
  alg: [calling(359, 38, 1, 0), 13, 97],
  // The same of socketcall, with no arguments to read
  hidden: [calling(102, 1, 0), ENOSYS, 97],
  // ipc: semget, with a version of the interface too
  semget: [calling(117, 2, 1, 1), 33, 0],
  versioned: [calling(117, 0x10002, 1, 1), 33, 0],
};
const i386Rules = {
  default: "SCMP_ACT_ERRNO(EPERM)",
  abis: ["i386"],
  rules: [
    { syscall: "@system-service", action: "SCMP_ACT_ALLOW" },
    { syscall: "mkdir", action: "SCMP_ACT_ERRNO(EXDEV)" },
    { syscall: "semget", action: "SCMP_ACT_ERRNO(EDOM)" },
    {
      syscall: "socket",
      action: "SCMP_ACT_ERRNO(EACCES)",
      args: { index: 0, op: "eq", value: 38 },
    },
  ],
};

describe.skipIf(process.arch !== "x64").each(users)("served by %s", (user) => {
  let dir: string;
  const served = serving(() => {
    dir = mkdtempSync(join(tmpdir(), "spawnbox-abi-"));
    chmodSync(dir, 0o755);
    const commands = abis.map((abi) => {
      const cmdpath = join(dir, abi);
      writeFileSync(cmdpath, program(programs[abi]), { mode: 0o755 });
      return { uid: abi, encoder: "sync", exec: { cmdpath } };
    });
    const acls = { user: "daemon" };
    const rules = { syscall: "reboot", action: "SCMP_ACT_ERRNO(EPERM)" };
    const seccomp = { default: "SCMP_ACT_ALLOW", rules };
    return serve(
      {
        metadata: { uid: "a", api: "a" },
        sandboxes: [
          { uid: "open", acls, commands },
          { uid: "filtered", acls, seccomp, commands },
        ],
      },
      { user },
    );
  });
  afterAll(() => rmSync(dir, { recursive: true }));
  const status = async (verb: string) => (await served.run(`a/${verb}`)).status;

  test("without a filter the programs run", async () => {
    expect(await status("open/native")).toMatchObject({ exit: 7 });
    expect(await status("open/x32")).toMatchObject({ exit: 7 });
    // A kernel without 32-bit emulation has no int 0x80.
    const i386 = await status("open/i386");
    expect(i386.exit === 7 || i386.signal === "Segmentation fault").toBe(true);
  });
  test("with one, the native program runs", async () => {
    expect(await status("filtered/native")).toMatchObject({ exit: 7 });
  });
  test("with one, a call of x32 kills", async () => {
    expect(await status("filtered/x32")).toMatchObject({ signal: "Bad system call" });
  });
  test("with one, a call of i386 kills", async () => {
    const open = await status("open/i386");
    const signal = open.exit === 7 ? "Bad system call" : open.signal;
    expect(await status("filtered/i386")).toMatchObject({ signal });
  });
});

describe.skipIf(process.arch !== "x64").each(users)("programs of i386, served by %s", (user) => {
  let dir: string;
  const served = serving(() => {
    dir = mkdtempSync(join(tmpdir(), "spawnbox-abi-"));
    chmodSync(dir, 0o755);
    const commands = Object.entries(CALLS).map(([uid, [code]]) => {
      writeFileSync(join(dir, uid), code, { mode: 0o755 });
      return { uid, encoder: "sync", exec: { cmdpath: join(dir, uid) } };
    });
    const sandbox = { acls: { user: "daemon" }, commands };
    const inside = { namespace: { mounts: { target: dir, mode: "ro" } } };
    const warm = commands.map((command) => ({ ...command, pool: 1 }));
    const minimal = { ...sandbox, ...inside, profile: "minimal" };
    return serve(
      {
        metadata: { uid: "a", api: "a" },
        sandboxes: [
          { uid: "ruled", ...sandbox, seccomp: i386Rules },
          { uid: "told", ...sandbox, seccomp: { ...i386Rules, report: true } },
          { uid: "minimal", ...minimal, seccomp: { abis: ["i386"] } },
          { uid: "warm", ...minimal, seccomp: { abis: ["i386"] }, commands: warm },
          {
            uid: "without",
            ...minimal,
            // By a shell, since check refuses the program itself.
            commands: commands.map(({ uid, encoder, exec }) => ({
              uid,
              encoder,
              exec: { cmdpath: "/bin/sh", args: ["-c", `exec ${exec.cmdpath}`] },
            })),
          },
        ],
      },
      { user },
    );
  });
  afterAll(() => rmSync(dir, { recursive: true }));
  const status = async (verb: string) => (await served.run(`a/${verb}`)).status;

  test.each(Object.keys(CALLS))("%s: the same rules, by the numbers of i386", async (call) => {
    const [, ruled, minimal] = CALLS[call] ?? [];
    if ((await status("minimal/allowed")).signal === "Segmentation fault") return;
    const exits = async (verb: string) => {
      const { exit } = await status(`${verb}/${call}`);
      // A success is told by its number: of a process, or of a queue.
      return ["allowed", "semget", "versioned"].includes(call) && exit !== 33 ? 0 : exit;
    };
    expect(await exits("ruled")).toBe(ruled);
    expect(await exits("told")).toBe(ruled);
    expect(await exits("minimal")).toBe(minimal);
    expect(await exits("warm")).toBe(minimal);
    const without = await status(`without/${call}`);
    expect(without.signal).toBe("Bad system call");
  });

  test("calls of i386 that are told are none of the processor's", async () => {
    const said = await status("told/mkdir");
    expect(said).toMatchObject({ denied: { other: 1 } });
  });
});
