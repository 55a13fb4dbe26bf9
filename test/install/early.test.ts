/** How a machine boots, and what is said of it; and programs of the machine, with what they say. */
import { afterEach, describe, expect, spyOn, test } from "bun:test";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import {
  earlyAdvice,
  isBootedFrom,
  reason,
  run as uninstall,
  startService,
} from "../../src/cli/install.ts";
import { EARLY, INIT, INITRAMFS, SERVICE } from "../../src/install/files.ts";
import { hasInitramfsTools, updateInitramfs } from "../../src/install/initramfs.ts";
import { run } from "../../src/install/run.ts";
import { saidBy } from "../cli/saying.ts";

const made: string[] = [];
afterEach(() => {
  for (const dir of made.splice(0)) rmSync(dir, { recursive: true });
});
function root(...files: string[]): string {
  const dir = mkdtempSync(join(tmpdir(), "spawnbox-early-"));
  made.push(dir);
  for (const file of files) {
    mkdirSync(dirname(join(dir, file)), { recursive: true });
    writeFileSync(join(dir, file), "");
  }
  return dir;
}

const WITH = `quiet init=${INIT} ro\n`;
test("who starts the init: a link, or the kernel of this machine", () => {
  const linked = root(INIT);
  mkdirSync(join(linked, "sbin"));
  symlinkSync(INIT, join(linked, "sbin/init"));
  expect(isBootedFrom(linked, "")).toBe(true);
  const other = root(INIT, "/sbin/init");
  // What this machine is booted with says nothing of an image.
  expect([isBootedFrom(other, WITH), isBootedFrom(root(), WITH)]).toEqual([false, false]);
  const gone = root();
  mkdirSync(join(gone, "sbin"));
  symlinkSync(INIT, join(gone, "sbin/init"));
  expect(isBootedFrom(gone, "")).toBe(false);
  expect(isBootedFrom("/", WITH)).toBe(true);
  for (const line of ["", `xinit=${INIT}`, `init=${INIT}x`, "init=/sbin/init"])
    expect(isBootedFrom("/", line)).toBe(false);
});

test("what is to be done for it", () => {
  const takes = "the kernel starts it: the next boot takes what is new";
  const off =
    "the initramfs starts it; with spawnbox.early=off on the kernel command line a boot is without it";
  const put = `put init=${INIT} on the kernel command line (U-Boot: bootargs) and reboot; spawnbox.deadline=SECONDS there says how long early tasks may hold up the boot`;
  const script = root(INITRAMFS.path);
  expect(earlyAdvice(root(), WITH)).toBe(takes);
  expect(earlyAdvice(root(), "ro")).toBe(put);
  expect(earlyAdvice(script, "ro")).toBe(
    `make its initramfs anew: chroot ${script} update-initramfs -u\n${off}`,
  );
});

test("whether initramfs-tools is there", () => {
  expect(hasInitramfsTools(root("/usr/share/initramfs-tools/scripts/x"))).toBe(true);
  expect(hasInitramfsTools(root("/usr/share/initramfs-tools/x"))).toBe(false);
});

describe("an initramfs is made anew", () => {
  /** By a program that says this, in the place of initramfs-tools'. */
  function made(script: string) {
    const update = join(root(), "update-initramfs");
    writeFileSync(update, `#!/bin/sh\n[ "$*" = -u ] || exit 9\n${script}\n`, { mode: 0o755 });
    using printed = spyOn(console, "log").mockImplementation(() => {});
    updateInitramfs(update);
    return printed.mock.calls.flat();
  }
  test.each(["Generating /boot/initrd.img-6.1", "deferring update (trigger activated)"])(
    "what it says is told: %s",
    (said) => {
      expect(made(`echo; echo 'update-initramfs: ${said}'; echo`)).toEqual([
        `update-initramfs: ${said}`,
      ]);
    },
  );
  test.each([
    [":", "UPDATE -u: it found none that it may make anew"],
    ["echo; echo ' /boot is read-only '", "/boot is read-only"],
    ["echo why >&2; exit 3", "UPDATE -u: why"],
  ])("where %p makes none, and what is to be done", (script, why) => {
    expect(() => made(script)).toThrow(Error);
    const said = (() => {
      try {
        return made(script).join();
      } catch (error) {
        return (error as Error).message.replaceAll(/\S+\/update-initramfs/g, "UPDATE");
      }
    })();
    expect(said).toBe(`${why}\nThe initramfs is as it was: mend that, and run UPDATE -u`);
  });
});

test.each(["EACCES", "EPERM"])("root is not told to be root where %p", (code) => {
  const error = Object.assign(new Error("said"), { code });
  const who = spyOn(process, "geteuid");
  try {
    who.mockReturnValue(1000);
    expect(reason(error)).toBe("said: run it as root");
    who.mockReturnValue(0);
    expect(reason(error)).toBe(
      "said: not even root may: see whether it is immutable (lsattr), or of another machine",
    );
  } finally {
    who.mockRestore();
  }
});

test.each([
  ["ENOSPC", ": make room; the old file stays until the new one is complete"],
  ["EDQUOT", ": make room; the old file stays until the new one is complete"],
  ["EROFS", ": remount it writable, or make it part of the image"],
  ["EIO", ""],
  [undefined, ""],
])("what to do about %p", (code, what) => {
  const error = Object.assign(new Error("said"), code === undefined ? {} : { code });
  expect(reason(error)).toBe(`said${what}`);
});

describe("its command line", () => {
  const says = async (...args: string[]) => {
    const { code, out, err } = await saidBy(uninstall, ...args);
    return { code, lines: `${out}${err}`.split("\n") };
  };
  test("is told, with each of its options", async () => {
    const { code, lines } = await says("--help");
    expect(code).toBe(0);
    expect(lines.slice(0, 2).map((line) => line.trim())).toEqual([
      "usage: spawnbox install [--early | --initramfs] [--root DIR] [--no-start]",
      "spawnbox install --uninstall [--root DIR]",
    ]);
    const options = lines.flatMap(
      (line) => /^  (?:-\w, )?(--[a-z-]+(?: [A-Z]+)?)/.exec(line)?.[1] ?? [],
    );
    expect(options).toEqual([
      ...["--early", "--initramfs", "--root DIR", "--no-start", "--uninstall", "--help"],
    ]);
  });
  test.each([
    [["--early"], "--uninstall removes early boot too, without --early or --initramfs"],
    [["--initramfs"], "--uninstall removes early boot too, without --early or --initramfs"],
    [["--root", "/nowhere"], "--root /nowhere: no such directory"],
    [["--root", "/proc/version"], "--root /proc/version: no such directory"],
  ])("%p and --uninstall are wrong", async (args, why) => {
    const { code, lines } = await says("--uninstall", ...args);
    expect([code, lines[0]]).toEqual([2, `spawnbox install: ${why}`]);
  });
  test("only the executable installs itself", async () => {
    const dir = root();
    expect(await says("--root", dir)).toEqual({
      code: 1,
      lines: [
        "spawnbox install: this is not the executable; build it with npm run build, and run that",
      ],
    });
    expect(readdirSync(dir)).toEqual([]);
  });
});

test("what an uninstallation takes away and keeps is told, of what is there", async () => {
  const all = [...SERVICE, ...EARLY, INITRAMFS].map(({ path }) => path);
  const uninstalled = async (dir: string) => {
    const { code, out } = await saidBy(uninstall, "--uninstall", "--root", dir);
    expect(code).toBe(0);
    return out === "" ? [] : out.split("\n").map((line) => line.replace(dir, ""));
  };
  const full = root(...all);
  expect(await uninstalled(full)).toEqual([
    "removed   /usr/bin/spawnbox",
    "removed   /etc/systemd/system/spawnbox.service",
    "kept      /etc/spawnbox/spawn-board.json",
    "removed   /usr/lib/spawnbox/init",
    "kept      /etc/spawnbox/early.json",
    "removed   /etc/initramfs-tools/scripts/init-bottom/spawnbox",
  ]);
  expect(await uninstalled(full)).toEqual([
    "kept      /etc/spawnbox/spawn-board.json",
    "kept      /etc/spawnbox/early.json",
  ]);
  expect(await uninstalled(root())).toEqual([]);
});

describe("a program of the machine", () => {
  const sh = (script: string) => {
    using warned = spyOn(console, "error").mockImplementation(() => {});
    return [run("sh", "-c", script), ...warned.mock.calls.flat()];
  };
  test("what it prints, and its warnings", () => {
    expect(sh("echo a; echo ' b ' >&2; cat")).toEqual(["a\n", "b"]);
    expect(sh("echo a")).toEqual(["a\n"]);
  });
  test("what it says where it fails", () => {
    expect(() => sh("echo why >&2; exit 3")).toThrow(new Error("sh -c echo why >&2; exit 3: why"));
    expect(() => sh("exit 3")).toThrow(new Error("sh -c exit 3: exit 3"));
  });
});

describe("the service is started", () => {
  /** With a systemctl that notes what it is asked, and says whether the service is active. */
  function told(changed: boolean, isActive: boolean, isThere?: boolean) {
    const dir = root();
    const log = join(dir, "log");
    writeFileSync(
      join(dir, "systemctl"),
      `#!/bin/sh\necho "$*" >>${log}\n[ "$1" != is-active ] || ${isActive}\n`,
      { mode: 0o755 },
    );
    using printed = spyOn(console, "log").mockImplementation(() => {});
    // Never that of this machine.
    startService(changed, { isThere: isThere ?? true, systemctl: join(dir, "systemctl") });
    const asked = existsSync(log) ? readFileSync(log, "utf8").trim().split("\n") : [];
    return { asked, printed: printed.mock.calls.flat() };
  }
  const asked = [
    "daemon-reload",
    "enable --quiet spawnbox.service",
    "is-active --quiet spawnbox.service",
  ];
  const journal = "spawnbox.service: journalctl -u spawnbox";
  test.each([
    [false, false, "start", `started   ${journal}`],
    [true, false, "start", `started   ${journal}`],
    [true, true, "restart", `restarted ${journal}`],
    [false, true, undefined, `runs already ${journal}`],
  ] as const)("changed: %p, active: %p", (changed, isActive, last, printed) => {
    expect(told(changed, isActive)).toEqual({
      asked: [...asked, ...(last ? [`${last} spawnbox.service`] : [])],
      printed: [printed],
    });
  });
  test("not where there is no systemd", () => {
    expect(told(true, true, false)).toEqual({
      asked: [],
      printed: [
        "systemd does not run here: spawnbox.service is not started; at boot: systemctl enable spawnbox.service",
      ],
    });
  });
});
