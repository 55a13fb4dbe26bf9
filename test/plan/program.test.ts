/** Scripts and programs as people have them, on this machine's own files, and compiled as `check` does. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { foreignFormat } from "../../src/plan/binfmt.ts";
import { hostFiles } from "../../src/plan/machine.ts";
import type { MountStep } from "../../src/plan/policy.ts";
import { checkProgram, type ProgramContext } from "../../src/plan/program.ts";
import { View } from "../../src/plan/view.ts";
import { canGive, give } from "../file-capabilities.ts";

let dir = "";
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "spawnbox-program-"));
  chmodSync(dir, 0o755);
});
afterAll(() => rmSync(dir, { recursive: true }));

const elf = (machine: number, bits: 1 | 2, type = 2, order = 1): Uint8Array => {
  const bytes = new Uint8Array(128);
  bytes.set([0x7f, 0x45, 0x4c, 0x46, bits, order]);
  const view = new DataView(bytes.buffer);
  view.setUint16(16, type, true);
  view.setUint16(18, machine, true);
  return bytes;
};

function told(content: string | Uint8Array, more: Partial<ProgramContext> = {}, mode = 0o755) {
  const path = join(dir, "deploy");
  rmSync(path, { force: true, recursive: true });
  writeFileSync(path, content);
  chmodSync(path, mode);
  return look(path, more);
}

function look(path: string, more: Partial<ProgramContext> = {}): string {
  const context: ProgramContext = {
    view: new View(undefined, hostFiles),
    arch: "x64",
    mayExecute: () => true,
    searchPath: process.env["PATH"],
    killsForeign: false,
    ...more,
  };
  try {
    checkProgram(context, path);
    return "fine";
  } catch (error) {
    return error instanceof Error ? error.message.replaceAll(dir, "") : String(error);
  }
}

describe("what cannot be executed is told with what to do", () => {
  test.each([
    [
      "no #! line",
      "echo hi\n",
      "/deploy is a script without a #! line, nor a program of this machine: begin it with #!/bin/sh",
    ],
    ["a comment first", "# deploys\n#!/bin/sh\n", "script without a #! line"],
    ["a blank line first", "\n#!/bin/sh\n", "something before its #! line"],
    ["a byte order mark", "\ufeff#!/bin/sh\necho\n", "byte order mark before its #! line"],
    ["a byte order mark and no #! line", "\ufeffecho\n", "script without a #! line"],
    ["UTF-16", new Uint8Array([0xff, 0xfe, 0x23, 0]), "UTF-16"],
    ["empty", "", "/deploy is empty"],
    ["CR LF", "#!/bin/sh\r\necho\r\n", "(CR LF)"],
    ["CR alone", "#!/bin/sh\recho\r", "(CR LF)"],
    ["CR LF behind an argument", "#!/usr/bin/env sh\r\n", "(CR LF)"],
    ["no interpreter", "#! \t\n", "names no interpreter"],
    ["only CR", "#!\r\n", "names no interpreter"],
    ["a relative interpreter", "#!sh\n", 'relative path "sh"'],
    ["a line that is too long", `#!/${"a/".repeat(200)}sh\n`, "more than 255 bytes"],
    [
      "a missing interpreter",
      "#!/opt/none/python9\n",
      "/opt/none/python9 does not exist on this machine, which /deploy needs",
    ],
    [
      "an interpreter that is a directory",
      "#!/usr\n",
      "/usr is a directory, and not an executable file, which /deploy needs",
    ],
    [
      "env without the program",
      "#!/usr/bin/env python9\n",
      "/deploy needs python9, which is in no directory of PATH inside the sandbox",
    ],
    ["env -S without the program", "#!/usr/bin/env -S python9 -u\n", "needs python9"],
    ["env with two words", "#!/usr/bin/env sh -e\n", "write #!/usr/bin/env -S sh -e"],
    ["another architecture", elf(183, 2), "another architecture (arm64): install that for x64"],
    ["an unknown architecture", elf(243, 2), "another architecture (machine 243)"],
    ["big-endian", elf(8, 1, 2, 2), "another architecture, or cut off"],
    ["cut off", elf(62, 2).subarray(0, 20), "cut off"],
    ["an object file", elf(62, 2, 1), "object file"],
    ["of Windows", "MZ\x90\0", "program of Windows"],
    ["an unknown format", "\x01\x02\0\0", "format is not known"],
  ] as [string, string | Uint8Array, string][])("%s", (_, content, message) => {
    expect(told(content)).toContain(message);
  });

  test("not executable, a directory, a link that dangles", () => {
    expect(told("#!/bin/sh\n", {}, 0o644)).toBe(
      "/deploy is not an executable file: chmod +x /deploy",
    );
    mkdirSync(join(dir, "folder"), { recursive: true });
    expect(look(join(dir, "folder"))).toContain("is a directory");
    symlinkSync("nothing", join(dir, "link"));
    expect(look(join(dir, "link"))).toContain("/nothing) does not exist on this machine");
  });

  test("a 32-bit program where the filter kills its calls, and nowhere else", () => {
    expect(told(elf(3, 1), { killsForeign: true })).toContain(
      "is a 32-bit program, and the seccomp",
    );
    expect(told(elf(3, 1))).toBe("fine");
    expect(told(elf(62, 2), { killsForeign: true })).toBe("fine");
  });

  test("who owns it has the owner's rights, whatever others have", () => {
    const own = process.geteuid?.() ?? -1;
    const user = { uid: own, gids: new Set<number>() };
    expect(told("#!/bin/sh\n", { user }, 0o700)).toBe("fine");
    expect(told("#!/bin/sh\n", { user }, 0o100)).toContain("may not be read by the user");
    expect(told("#!/bin/sh\n", { user }, 0o455)).toMatch(
      /may not be executed by the user of the sandbox \(uid \d+\): chmod u\+x/,
    );
  });

  test("who is in its group has the group's rights, whatever others have", () => {
    const user = { uid: 65534, gids: new Set([process.getegid?.() ?? -1]) };
    expect(told("#!/bin/sh\n", { user }, 0o705)).toMatch(
      /may not be executed by the user of the sandbox \(uid 65534\): chmod g\+x/,
    );
    expect(told("#!/bin/sh\n", { user }, 0o750)).toBe("fine");
  });

  test("who has the rights of the server is asked of the kernel, and not of the mode", () => {
    const user = { uid: 65534, gids: new Set([65534]), isServers: true };
    const asked: [string, number][] = [];
    const allowing = (answers: boolean[]) =>
      new View(undefined, {
        ...hostFiles,
        isAllowed: (path, right) => {
          if (path.startsWith(dir)) asked.push([path, right]);
          return path === join(dir, "deploy") ? (answers.shift() ?? false) : true;
        },
      });
    expect(told("#!/bin/sh\n", { user, view: allowing([true, true]) }, 0o700)).toBe("fine");
    const executed = told("#!/bin/sh\n", { user, view: allowing([false]) }, 0o755);
    expect(executed).toContain("may not be executed by the user of the sandbox (uid 65534): chmod");
    const read = told("#!/bin/sh\n", { user, view: allowing([true, false]) }, 0o755);
    expect(read).toContain("may not be read by the user of the sandbox (uid 65534): chmod");
    expect(asked).toContainEqual([dir, 1]);
    expect(asked).toContainEqual([join(dir, "deploy"), 4]);
  });

  test("what a mount puts below a file is not there", () => {
    const flags = { readonly: true, nosuid: true, nodev: true, noexec: false };
    const source = join(dir, "deploy");
    writeFileSync(source, "");
    const view = new View([{ kind: "bind", source, target: "/usr/bin", flags }], hostFiles);
    expect(look("/usr/bin/ls", { view })).toBe(
      "/usr/bin/ls does not exist: the sandbox shows /deploy/ls there",
    );
  });

  test("the user of the sandbox may not reach or read it; who may by a list is not refused", () => {
    const listing = (path: string, acl: string) =>
      Bun.spawnSync([
        ...["python3", "-c"],
        "import os, sys; os.setxattr(sys.argv[1], 'system.posix_acl_access', bytes.fromhex(sys.argv[2]))",
        ...[path, acl],
      ]).exitCode;
    const user = { uid: 65534, gids: new Set([65534]) };
    expect(told("#!/bin/sh\n", { user }, 0o700)).toContain("may not be executed by the user");
    expect(told("#!/bin/sh\n", { user }, 0o711)).toContain("may not be read by the user");
    expect(told("#!/bin/sh\n", { user }, 0o755)).toBe("fine");
    expect(told("#!/bin/sh\n", { user }, 0o750)).toContain("may not be executed by the user");
    // Version 2; the owner, uid 65534, the group, the mask and others: tag, permissions, id of each.
    const list =
      "02000000" +
      "01000700ffffffff" +
      "02000500feff0000" +
      "04000500ffffffff" +
      "10000500ffffffff" +
      "20000000ffffffff";
    expect(listing(join(dir, "deploy"), list)).toBe(0);
    expect(look(join(dir, "deploy"), { user })).toBe("fine");
    // Where there are no such lists, who decides is not known.
    const view = new View(undefined, { ...hostFiles, hasOnlyMode: () => false });
    expect(told("#!/bin/sh\n", { user, view }, 0o750)).toBe("fine");
    chmodSync(dir, 0o700);
    const refused = told("#!/bin/sh\n", { user });
    chmodSync(dir, 0o755);
    expect(refused).toContain("may not enter");
  });

  test("an interpreter, and what env looks up, count inside the sandbox", () => {
    const flags = { readonly: true, nosuid: true, nodev: true, noexec: false };
    const only = (...paths: string[]) =>
      new View(
        paths.map((path): MountStep => ({ kind: "bind", source: path, target: path, flags })),
        hostFiles,
      );
    expect(told("#!/usr/bin/env sh\n", { view: only(dir) })).toContain(
      "/usr/bin/env is not visible inside the sandbox",
    );
    const view = only(dir, "/usr", "/lib", "/lib64");
    expect(told("#!/usr/bin/env sh\n", { view, searchPath: "/opt/bin:/nowhere" })).toContain(
      "in no directory of PATH inside the sandbox (/opt/bin:/nowhere)",
    );
    expect(told("#!/usr/bin/env sh\n", { view, searchPath: "/opt/bin:/usr/bin" })).toBe("fine");
    // What the user may not execute there is passed over.
    const own = join(dir, "own");
    mkdirSync(own, { recursive: true, mode: 0o700 });
    writeFileSync(join(own, "sh"), "#!/bin/sh\n", { mode: 0o755 });
    const user = { uid: 65534, gids: new Set([65534]) };
    expect(told("#!/usr/bin/env sh\n", { user, searchPath: `${own}:/usr/bin` })).toBe("fine");
    expect(told("#!/usr/bin/env sh\n", { user, searchPath: own })).toContain(
      "in no directory of PATH",
    );
  });

  test("what the kernel was told to run is fine, if its interpreter is inside", () => {
    const entry = (interpreter: string, flags = "") =>
      foreignFormat(
        `enabled\ninterpreter ${interpreter}\nflags: ${flags}\noffset 18\nmagic b700\nmask ffff\n`,
      );
    const known = (format: ReturnType<typeof entry>) =>
      told(elf(183, 2), {
        view: new View(undefined, { ...hostFiles, foreignFormats: () => (format ? [format] : []) }),
      });
    expect(known(entry("/bin/sh"))).toBe("fine");
    expect(known(entry("/opt/qemu"))).toContain("/opt/qemu does not exist");
    expect(known(entry("/opt/qemu", "OCF"))).toBe("fine");
    expect(foreignFormat("disabled\ninterpreter /bin/sh\nextension .x\n")).toBeUndefined();
    expect(
      foreignFormat("enabled\ninterpreter /a\nflags: \nextension .jar\n")?.matches(
        elf(62, 2),
        "/x.jar",
      ),
    ).toBe(true);
  });
});

test("what env finds is looked at too, and interpreters of interpreters so deep", () => {
  const own = join(dir, "path");
  mkdirSync(own, { recursive: true });
  const put = (name: string, content: string) =>
    writeFileSync(join(own, name), content, { mode: 0o755 });
  put("broken", "#!/opt/none/sh\n");
  const more = { searchPath: `relative:${own}:/usr/bin` };
  expect(told("#!/usr/bin/env broken\n", more)).toBe(
    "/opt/none/sh does not exist on this machine, which /path/broken needs",
  );
  expect(told(`#!/usr/bin/env ${own}/broken\n`, more)).toContain("which /path/broken needs");
  // A path that is relative, an option, a variable, none: who knows.
  for (const argument of ["./broken", "-i broken", "A=b broken", "-S", ""])
    expect(told(`#!/usr/bin/env ${argument}\n`, more)).toBe("fine");
  for (const split of ["-S", "--split-string=", "--split-string "])
    expect(told(`#!/usr/bin/env ${split} broken -x\n`, more)).toContain("which /path/broken needs");
  expect(told("#!/usr/bin/env broken\n", { searchPath: undefined })).toBe("fine");
  // Not executable, a directory: the next one is looked at.
  writeFileSync(join(own, "sh"), "none", { mode: 0o644 });
  mkdirSync(join(own, "env"), { recursive: true });
  for (const name of ["sh", "env"]) expect(told(`#!/usr/bin/env ${name}\n`, more)).toBe("fine");
  put("i0", "#!/bin/sh\n");
  for (let n = 1; n <= 4; n++) put(`i${n}`, `#!${own}/i${n - 1}\n`);
  // As the kernel has it, which does not count the loader of the last one.
  for (const [name, deep] of [
    ["i3", false],
    ["i4", true],
  ] as const) {
    expect(told(`#!${own}/${name}\n`)).toBe(
      deep ? "/path/i0: interpreters of interpreters, too deep" : "fine",
    );
    const { exitCode } = Bun.spawnSync(["/usr/bin/env", join(dir, "deploy")], { stderr: "ignore" });
    expect(exitCode === 0).toBe(!deep);
  }
});

test("[protection] each refusal says what it is, who needs it and what to do", () => {
  const script = "#!/bin/sh\n";
  const mayExecute = (path: string) => !path.endsWith("/sh") && !path.endsWith("dash");
  expect(told(script, { mayExecute })).toBe(
    "/bin/sh may not be executed, which /deploy needs: add it, or a directory above it, to landlock.exec",
  );
  expect(told(script, { mayExecute: () => false })).toBe(
    "/deploy may not be executed: add it, or a directory above it, to landlock.exec",
  );
  expect(look("/dev/null")).toBe("/dev/null is not an executable file");
  const flags = { readonly: true, nosuid: true, nodev: true, noexec: true };
  const noexec = new View([{ kind: "bind", source: dir, target: dir, flags }], hostFiles);
  expect(told(script, { view: noexec })).toBe(
    '/deploy lies on a noexec mount: set "exec": true on it',
  );
  const files = { ...hostFiles, mountFlags: () => flags };
  expect(told(script, { view: new View(undefined, files) })).toBe(
    "/deploy lies on a noexec mount of this machine: put it elsewhere, or mount -o remount,exec what /deploy is on",
  );
  const user = { uid: 65534, gids: new Set([65534]) };
  expect(told(script, { user }, 0o711)).toBe(
    "/deploy may not be read by the user of the sandbox (uid 65534): chmod o+r /deploy",
  );
  expect(told(script, { user }, 0o700)).toBe(
    "/deploy may not be executed by the user of the sandbox (uid 65534): chmod o+x /deploy",
  );
  expect(told(elf(62, 2), { user }, 0o711)).toBe("fine");
  const group = { uid: 65534, gids: new Set([process.getegid?.() ?? 0]) };
  expect(told(script, { user: group }, 0o705)).toContain("may not be executed");
  expect(told(script, { user: group }, 0o770)).toBe("fine");
  expect(told("MZ")).toBe("/deploy is a program of Windows, and none of this machine");
  expect(told(elf(3, 1), { killsForeign: true })).toBe(
    '/deploy is a 32-bit program, and the seccomp filter of the sandbox kills what makes calls of another ABI than that of x64: install the 64-bit program, or let the filter take that ABI: "abis": ["i386"]',
  );
  expect(told(elf(40, 1), { killsForeign: true, arch: "arm64" })).toContain('"abis": ["arm"]');
  expect(told(elf(3, 1), { arch: "arm64" })).toContain("another architecture (i386)");
  expect(told(elf(40, 1))).toBe(
    "/deploy is a program of another architecture (arm): install that for x64",
  );
  expect(told(elf(40, 1), { arch: undefined })).toBe("fine");
});

test("what runs is fine: with a space, with an argument, without a line end, static or dynamic", () => {
  for (const line of ["#!/bin/sh", "#! /bin/sh -e\n", "#!/usr/bin/env -S sh -e\n", "#!/bin/sh\0\n"])
    expect(told(line)).toBe("fine");
  expect(told(`#!/bin/sh ${"x".repeat(400)}\n`)).toBe("fine");
  const arch = process.arch === "arm64" ? "arm64" : "x64";
  for (const path of ["/bin/sh", process.execPath]) expect(look(path, { arch })).toBe("fine");
});

test.skipIf(!canGive)(
  "a file with capabilities that the sandbox has not is told, where the kernel would refuse it",
  () => {
    const path = join(dir, "capable");
    rmSync(path, { force: true });
    copyFileSync("/bin/true", path);
    const given = (...words: string[]) => give(path, ...words);
    const within = (...caps: number[]) => ({ mayGain: new Set(caps) });
    given("cap_net_raw,cap_bpf+ep");
    expect(look(path, within(13))).toBe(
      '/capable has capabilities of its own (getcap /capable), which the sandbox has not, and the kernel does not execute it without: add "BPF" to caps, or give the sandbox mounts, as all profiles but admin have them: there, files give none',
    );
    expect(look(path, within())).toContain('add "NET_RAW", "BPF" to caps');
    expect(look(path, within(13, 39))).toBe("fine");
    expect(look(path)).toBe("fine");
    expect(look(path, { ...within(13), isServersBound: true })).toBe(
      "/capable has capabilities of its own (getcap /capable), which the server itself may not have, and the kernel does not execute it without: its container needs --cap-add BPF, its unit CapabilityBoundingSet= with CAP_BPF, or the sandbox mounts, as all profiles but admin have them: there, files give none",
    );
    const script = join(dir, "script");
    writeFileSync(script, `#!${path}\n`);
    chmodSync(script, 0o755);
    expect(look(script, within())).toContain("without, which /script needs: add");
    // Files of such a mount give nothing, and nothing is refused.
    const flags = { readonly: true, nosuid: true, nodev: true, noexec: false };
    const mounts: MountStep[] = ["/usr", "/lib", "/lib64", dir].map((at) => ({
      ...{ kind: "bind", source: at, target: at, flags },
    }));
    expect(look(path, { ...within(), view: new View(mounts, hostFiles) })).toBe("fine");
    const nosuid = { ...hostFiles, mountFlags: () => flags };
    expect(look(path, { ...within(), view: new View(undefined, nosuid) })).toBe("fine");
    // Those of another user namespace's root give nothing here.
    given("-n", "100000", "cap_net_raw+ep");
    expect(look(path, within())).toBe("fine");
    // Who knows of capabilities asks for them itself, and does without.
    given("cap_net_raw+p");
    expect(look(path, within())).toBe("fine");
  },
);
