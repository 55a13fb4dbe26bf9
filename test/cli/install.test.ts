/** `spawnbox install` into the root of an image, from the built executable; on a running machine it is tried in the boot tests. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import {
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const executable = join(import.meta.dir, "../../dist/spawnbox");
let root: string;
beforeAll(() => (root = mkdtempSync(join(tmpdir(), "spawnbox-install-"))));
afterAll(() => rmSync(root, { recursive: true }));

function install(...args: string[]) {
  const done = Bun.spawnSync([executable, "install", "--root", root, ...args]);
  const lines = done.stdout.toString().replaceAll(root, "").split("\n").filter(Boolean);
  return { code: done.exitCode, lines, errors: done.stderr.toString() };
}
/** The root of these lines is cut out. */
const ENABLE = "to be started at boot: systemctl --root= enable spawnbox.service";
const mode = (path: string) => (statSync(join(root, path)).mode & 0o7777).toString(8);

test("puts everything in place, and the second time nothing", () => {
  expect(install()).toMatchObject({
    code: 0,
    lines: [
      "installed /usr/bin/spawnbox",
      "installed /etc/systemd/system/spawnbox.service",
      "installed /etc/spawnbox/spawn-board.json",
      ENABLE,
    ],
  });
  expect([mode("/usr/bin/spawnbox"), mode("/etc/spawnbox/spawn-board.json")]).toEqual([
    "755",
    "644",
  ]);
  const version = Bun.spawnSync([join(root, "usr/bin/spawnbox"), "--version"]).stdout.toString();
  expect(version).toMatch(/^spawnbox \d/);
  const unit = readFileSync(join(root, "etc/systemd/system/spawnbox.service"), "utf8");
  expect(unit).toContain("\nExecStart=/usr/bin/spawnbox serve --early --config /etc/spawnbox\n");
  expect(install().lines).toEqual([
    "unchanged /usr/bin/spawnbox",
    "unchanged /etc/systemd/system/spawnbox.service",
    "kept      /etc/spawnbox/spawn-board.json",
    ENABLE,
  ]);
});

test("what is installed serves", () => {
  const check = Bun.spawnSync([executable, "check", join(root, "etc/spawnbox")]);
  expect(check.stdout.toString() + check.stderr.toString()).toMatch(/^OK/m);
});

test("configs are the user's, the rest is brought up to date", () => {
  writeFileSync(join(root, "etc/spawnbox/spawn-board.json"), "mine");
  writeFileSync(join(root, "etc/systemd/system/spawnbox.service"), "old");
  expect(install().lines).toEqual([
    "unchanged /usr/bin/spawnbox",
    "updated   /etc/systemd/system/spawnbox.service",
    "kept      /etc/spawnbox/spawn-board.json",
    ENABLE,
  ]);
  expect(readFileSync(join(root, "etc/spawnbox/spawn-board.json"), "utf8")).toBe("mine");
});

test("--early adds the init, which is the launcher, and says how to boot with it", () => {
  const { lines } = install("--early");
  expect(lines.slice(3, 5)).toEqual([
    "installed /usr/lib/spawnbox/init",
    "installed /etc/spawnbox/early.json",
  ]);
  expect(lines.at(-1)).toContain("init=/usr/lib/spawnbox/init");
  const init = Bun.spawnSync([join(root, "usr/lib/spawnbox/init")]);
  expect(init.stderr.toString()).toStartWith("spawnbox launcher: ");
});

const SCRIPT = "/etc/initramfs-tools/scripts/init-bottom/spawnbox";

test("--initramfs needs initramfs-tools, and says what to do without them", () => {
  const { code, lines, errors } = install("--initramfs");
  expect({ code, lines }).toEqual({ code: 1, lines: [] });
  expect(errors).toContain("put init=/usr/lib/spawnbox/init on the kernel command line");
});

test("--initramfs adds to all of --early a script, and says what else is to be done", () => {
  mkdirSync(join(root, "usr/share/initramfs-tools/scripts"), { recursive: true });
  const { lines } = install("--initramfs");
  expect(lines.slice(3, 6)).toEqual([
    "unchanged /usr/lib/spawnbox/init",
    "kept      /etc/spawnbox/early.json",
    `installed ${SCRIPT}`,
  ]);
  expect(lines.slice(7).join()).toMatch(/update-initramfs -u,the initramfs starts it/);
  expect(mode(SCRIPT)).toBe("755");
  expect(install("--initramfs").lines[5]).toBe(`unchanged ${SCRIPT}`);
  expect(install("--early").lines.at(-1)).toStartWith("the initramfs starts it");
  rmSync(join(root, "usr/share"), { recursive: true });
});

test("an init that is booted with is not removed", () => {
  mkdirSync(join(root, "sbin"));
  symlinkSync("../usr/lib/spawnbox/init", join(root, "sbin/init"));
  const { code, errors } = install("--uninstall");
  expect(code).toBe(1);
  expect(errors).toContain("would not boot");
  expect(statSync(join(root, "usr/bin/spawnbox")).isFile()).toBe(true);
  rmSync(join(root, "sbin"), { recursive: true });
});

test("--uninstall leaves the configs, and nothing else", () => {
  const { code, lines } = install("--uninstall");
  expect(code).toBe(0);
  expect(lines).toContain(`removed   ${SCRIPT}`);
  expect(readdirSync(join(root, "etc/spawnbox"))).toEqual(["early.json", "spawn-board.json"]);
  const left = [...new Bun.Glob("**").scanSync({ cwd: root, dot: true })].toSorted();
  expect(left).toEqual(["etc/spawnbox/early.json", "etc/spawnbox/spawn-board.json"]);
});

/** A new root with what `make` puts there, installed into by a shell. */
function installInto(make: string, args = "", before = "") {
  const dir = mkdtempSync(join(tmpdir(), "spawnbox-install-"));
  const line = `cd "$1" && mkdir root && ${make}; cd "$1" && ${before || ":"}; "$2" install --root root ${args}`;
  const { exitCode, stdout, stderr } = Bun.spawnSync(["sh", "-c", line, "sh", dir, executable]);
  const has = (path: string) => lstatSync(join(dir, path), { throwIfNoEntry: false });
  const end = () => rmSync(dir, { recursive: true });
  return { dir, code: exitCode, lines: stdout.toString(), errors: stderr.toString(), has, end };
}

test("links of the image lead nowhere else", () => {
  const make = `mkdir -p out root/etc/systemd root/data && ln -s "$1/out" root/etc/spawnbox &&
    ln -s /../../data root/etc/systemd/system`;
  const { has, lines, dir, end } = installInto(make);
  expect(has("out/spawn-board.json")).toBeUndefined();
  expect(has(`root${dir}/out/spawn-board.json`)?.isFile()).toBe(true);
  expect(has("root/data/spawnbox.service")?.isFile()).toBe(true);
  expect(lines).toContain(`installed ${dir}/root/data/spawnbox.service\n`);
  end();
});

test("an init that an absolute link of the image boots with is not removed", () => {
  const make = `mkdir -p root/usr/sbin && ln -s /usr/sbin root/sbin &&
    ln -s /usr/lib/spawnbox/init root/usr/sbin/init && "$2" install --early --root root`;
  const { code, errors, has, end } = installInto(make, "--uninstall");
  expect(code).toBe(1);
  expect(errors).toContain("would not boot");
  expect(has("root/usr/lib/spawnbox/init")?.isFile()).toBe(true);
  end();
});

test("an image for another processor gets nothing: its init could not be executed", () => {
  const [name, machine] =
    process.arch === "x64" ? (["arm64", 183] as const) : (["x64", 62] as const);
  const dir = mkdtempSync(join(tmpdir(), "spawnbox-install-"));
  mkdirSync(join(dir, "bin"));
  symlinkSync("/bin/busybox", join(dir, "bin/sh"));
  const busybox = Buffer.alloc(20);
  busybox.write("\x7fELF\x02\x01\x01", "latin1");
  busybox.writeUInt16LE(machine, 18);
  writeFileSync(join(dir, "bin/busybox"), busybox);
  const done = Bun.spawnSync([executable, "install", "--root", dir]);
  expect(done.exitCode).toBe(1);
  expect(done.stderr.toString()).toContain(`is for ${name}, as /bin/sh there says`);
  expect(readdirSync(dir)).toEqual(["bin"]);
  rmSync(dir, { recursive: true });
});

test("what the administrator has linked stays: a config that is mounted later, a unit that is masked", () => {
  const make = `mkdir -p root/etc/spawnbox && ln -s /data/later.json root/etc/spawnbox/spawn-board.json`;
  const linked = installInto(make);
  expect(linked.has("root/etc/spawnbox/spawn-board.json")?.isSymbolicLink()).toBe(true);
  linked.end();
  const unit = "root/etc/systemd/system/spawnbox.service";
  const masked = installInto(`mkdir -p root/etc/systemd/system && ln -s /dev/null ${unit}`);
  expect(masked.code).toBe(1);
  expect(masked.errors).toContain("systemctl unmask spawnbox.service");
  expect(masked.has("root/usr/bin/spawnbox")).toBeUndefined();
  expect(masked.has(unit)?.isSymbolicLink()).toBe(true);
  masked.end();
  const removed = installInto(
    `mkdir -p root/etc/systemd/system && ln -s /dev/null ${unit}`,
    "--uninstall",
  );
  expect(removed.has(unit)?.isSymbolicLink()).toBe(true);
  removed.end();
});

test("what an installation left that was cut off goes; one that runs is left alone", () => {
  const make = `mkdir -p root/usr/bin && touch root/usr/bin/.4194305.spawnbox-new root/usr/bin/.1.spawnbox-new`;
  const { has, end } = installInto(make);
  expect(has("root/usr/bin/.4194305.spawnbox-new")).toBeUndefined();
  expect(has("root/usr/bin/.1.spawnbox-new")?.isFile()).toBe(true);
  end();
});

test("whatever the umask, others can read what is installed", () => {
  const { has, end } = installInto(
    "mkdir -p root/usr/share/initramfs-tools/scripts",
    "--initramfs",
    "umask 077",
  );
  const modes = (...paths: string[]) =>
    paths.map((path) => ((has(`root/${path}`)?.mode ?? 0) & 0o7777).toString(8));
  const directories = ["usr/bin", "usr/lib/spawnbox", "etc/spawnbox", "etc/systemd/system"];
  expect(modes(...directories)).toEqual(directories.map(() => "755"));
  expect(modes("usr/bin/spawnbox", "usr/lib/spawnbox/init", SCRIPT)).toEqual(["755", "755", "755"]);
  const files = ["etc/systemd/system/spawnbox.service", "etc/spawnbox/spawn-board.json"];
  expect(modes(...files, "etc/spawnbox/early.json")).toEqual(["644", "644", "644"]);
  end();
});

test("a mode that was changed is mended, but for a config's", () => {
  const unit = "root/etc/systemd/system/spawnbox.service";
  const config = "root/etc/spawnbox/spawn-board.json";
  const { lines, has, end } = installInto(
    `"$2" install --root root && chmod 600 ${unit} ${config} && chmod 4755 root/usr/bin/spawnbox`,
  );
  expect(lines.match(/^(updated|kept) .*$/gm)?.map((line) => line.split(" ")[0])).toEqual([
    "updated",
    "updated",
    "kept",
  ]);
  expect(
    [unit, "root/usr/bin/spawnbox", config].map((path) =>
      ((has(path)?.mode ?? 0) & 0o7777).toString(8),
    ),
  ).toEqual(["644", "755", "600"]);
  end();
});

test("wrong usage and what cannot be written are told", () => {
  expect(install("--nonsense").code).toBe(2);
  const nowhere = Bun.spawnSync([executable, "install", "--root", join(root, "nowhere")]);
  expect(nowhere.exitCode).toBe(2);
  expect(nowhere.stderr.toString()).toContain("no such directory");
  const file = Bun.spawnSync([executable, "install", "--root", executable]);
  expect(file.exitCode).toBe(2);
  rmSync(join(root, "usr"), { recursive: true });
  writeFileSync(join(root, "usr"), "a file");
  const { code, errors } = install();
  expect(code).toBe(1);
  expect(errors).toMatch(/^spawnbox install: E\w+: .*usr/);
});
