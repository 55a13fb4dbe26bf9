import { describe, expect, test } from "bun:test";
import type { MountStep } from "../../src/plan/policy.ts";
import { checkProgram } from "../../src/plan/program.ts";
import { programFile } from "../../src/plan/program-file.ts";
import { type HostFiles, View } from "../../src/plan/view.ts";
import { FREE } from "./board.ts";

const flags = { readonly: true, nosuid: true, nodev: true, noexec: false };
const bind = (source: string, target = source, more: object = {}): MountStep => ({
  kind: "bind",
  source,
  target,
  flags: { ...flags, ...more },
});
const link = (target: string, text: string): MountStep => ({ kind: "symlink", target, text });

/** An ELF header and one program header, which names the loader; or none, as of a static program. */
function elf(loader: string, count = 1): Uint8Array {
  const bytes = new Uint8Array(256);
  const view = new DataView(bytes.buffer);
  bytes.set([0x7f, 0x45, 0x4c, 0x46, 2, 1]);
  view.setUint16(16, 3, true);
  view.setUint16(18, 62, true);
  view.setBigUint64(32, 64n, true);
  view.setUint16(54, 56, true);
  view.setUint16(56, count, true);
  view.setUint32(64, 3, true);
  view.setBigUint64(72, 128n, true);
  view.setBigUint64(96, BigInt(loader.length + 1), true);
  bytes.set(new TextEncoder().encode(`${loader}\0`), 128);
  return bytes;
}

const files: Record<string, Uint8Array | string | { link: string }> = {
  "/usr/bin/sh": { link: "dash" },
  "/usr/bin/dash": elf("/lib64/ld.so"),
  "/usr/bin/awk": { link: "/etc/alternatives/awk" },
  "/etc/alternatives/awk": { link: "/usr/bin/mawk" },
  "/usr/bin/mawk": elf("/lib64/ld.so"),
  "/usr/lib64/ld.so": elf("", 0),
  "/lib64": { link: "usr/lib64" },
  "/usr/bin/loop": { link: "loop" },
  "/usr/local/script": "#! /usr/bin/python3 -I\nprint()\n",
  "/usr/share/data": "plain",
};
const host: HostFiles = {
  lookup: (path) => {
    const entry = files[path];
    if (entry === undefined)
      return Object.keys(files).some((name) => name.startsWith(`${path}/`))
        ? {
            ...{ kind: "dir", executable: true, owner: 0, group: 0, mode: 0o755 },
            ...{ rootsOnly: true, open: false },
          }
        : undefined;
    const isLink = typeof entry === "object" && "link" in entry;
    const executable = path !== "/usr/share/data";
    const mode = executable ? 0o755 : 0o644;
    return {
      ...{ kind: isLink ? "link" : "file", executable, owner: 0, group: 0, mode },
      ...{ rootsOnly: false, open: false },
    };
  },
  readlink: (path) => (files[path] as { link: string }).link,
  head: (path) => {
    const entry = files[path];
    return typeof entry === "string" ? new TextEncoder().encode(entry) : (entry as Uint8Array);
  },
  isAllowed: () => true,
  hasOnlyMode: () => false,
  capabilities: () => undefined,
  mountFlags: () => FREE,
  foreignFormats: () => [],
};
const check = (mounts: MountStep[] | undefined, program: string) => () =>
  checkProgram(
    { view: new View(mounts, host), arch: "x64", mayExecute: () => true, killsForeign: false },
    program,
  );
const merged = [bind("/usr"), link("/bin", "usr/bin"), link("/lib64", "usr/lib64")];

describe("a program is found", () => {
  test.each([
    ["on the host itself", undefined, "/usr/bin/sh"],
    ["through links of the sandbox and of the host", merged, "/bin/sh"],
    ["through an absolute link into another mount", [...merged, bind("/etc")], "/bin/awk"],
    ["as a single file", [bind("/usr/bin/dash", "/run"), bind("/usr/lib64", "/lib64")], "/run"],
  ] as [string, MountStep[] | undefined, string][])("%s", (_, mounts, program) => {
    expect(check(mounts, program)).not.toThrow();
  });
});

describe("what would fail at launch is told before", () => {
  test.each([
    ["not mounted", merged, "/opt/x", "/opt/x is not visible inside the sandbox"],
    [
      "missing in the mount",
      merged,
      "/bin/nope",
      "/bin/nope (that is, /usr/bin/nope) does not exist on this machine",
    ],
    [
      "a link that leads out of what is mounted",
      merged,
      "/bin/awk",
      "that is, /etc/alternatives/awk",
    ],
    [
      "the loader is missing",
      [bind("/usr/bin")],
      "/usr/bin/dash",
      '/lib64/ld.so is not visible inside the sandbox, as no mount shows it, which /usr/bin/dash needs: add one that does, such as {"target": "/lib64"}',
    ],
    [
      "the interpreter of a script is missing",
      merged,
      "/usr/local/script",
      "/usr/bin/python3 does not exist",
    ],
    ["not executable", merged, "/usr/share/data", "is not an executable file"],
    ["noexec", [bind("/usr", "/usr", { noexec: true })], "/usr/bin/dash", "noexec mount"],
    ["a link to itself", merged, "/bin/loop", "too many symbolic links"],
    [
      "hidden by a later mount",
      [...merged, bind("/etc", "/usr")],
      "/usr/bin/dash",
      "the sandbox shows /etc/bin/dash there",
    ],
  ] as [string, MountStep[], string, string][])("%s", (_, mounts, program, message) => {
    expect(check(mounts, program)).toThrow(message);
  });
});

test("interpreters", () => {
  const script = (line: string) => programFile(new TextEncoder().encode(line));
  const sh = { kind: "script", interpreter: "/bin/sh", argument: "" };
  expect(script("#!/bin/sh\n")).toEqual(sh as never);
  expect(script("#!/bin/sh")).toEqual(sh as never);
  expect(script("#!\t/usr/bin/env  python3 \n")).toEqual({
    kind: "script",
    interpreter: "/usr/bin/env",
    argument: "python3",
  });
  expect(programFile(elf("/lib/ld"))).toEqual({ kind: "elf", machine: 62, loader: "/lib/ld" });
  expect(programFile(elf("/lib/ld").subarray(0, 130))).toEqual({
    kind: "elf",
    machine: 62,
    loader: undefined,
  });
});

describe("whether there may be a directory", () => {
  const tmpfs: MountStep = { kind: "tmpfs", target: "/tmp", size: "1m", mode: 0o755, flags };
  const made: MountStep = { kind: "dir", target: "/made", mode: 0o755 };
  const proc: MountStep = { kind: "proc", target: "/proc" };
  const text: MountStep = {
    kind: "file",
    target: "/motd",
    content: new Uint8Array(1),
    mode: 0o644,
  };
  const failing = (code: string): HostFiles => ({
    ...host,
    lookup: () => {
      throw Object.assign(new Error("no look"), { code });
    },
  });
  const all = [bind("/usr"), link("/bin", "usr/bin"), tmpfs, made, proc, text, bind("/x", "/a/b")];
  const may = (path: string, files = host, mounts = all) =>
    new View(mounts, files).mayHaveDirectory(path);
  test.each([
    ["the root", "/", true],
    ["on the way to a mount", "/a", true],
    ["of the host", "/usr/bin", true],
    ["through a link", "/bin", true],
    ["a file of the host", "/usr/bin/dash", false],
    ["nothing of the host", "/usr/nothing", false],
    ["a tmpfs", "/tmp", true],
    ["in a tmpfs, where nothing is yet", "/tmp/x", false],
    ["a directory that is made", "/made", true],
    ["in that", "/made/x", false],
    ["what the kernel makes up", "/proc/1", true],
    ["a file that is made", "/motd", false],
    ["what no mount shows", "/opt", false],
  ] as const)("%s", (_, path, is) => {
    expect(may(path)).toBe(is);
  });
  test.each([
    ["EACCES", true],
    ["ETIMEDOUT", true],
    ["ENOTDIR", false],
    ["ENOENT", false],
  ] as const)("where a look fails by %s", (code, is) => {
    expect(may("/usr/bin", failing(code))).toBe(is);
  });
});

test("as many links are followed as the kernel follows", () => {
  const chain = (count: number) => {
    const links = Array.from({ length: count }, (_, i) =>
      link(`/l${i}`, i + 1 < count ? `/l${i + 1}` : "/usr"),
    );
    return () => new View([...links, bind("/usr")], host).follow("/l0");
  };
  expect(chain(40)()).toBe("/usr");
  expect(chain(41)).toThrow("too many symbolic links");
});

test("what is done to a mount later does not hide it", () => {
  const later: MountStep[] = [
    { kind: "seal", target: "/usr" },
    { kind: "lock", target: "/usr" },
  ];
  expect(new View([bind("/usr"), ...later], host).hostPath("/usr/bin")).toBe("/usr/bin");
});
