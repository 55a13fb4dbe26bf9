/** How a file is put in place: whole or not at all, with its mode whatever the mask, and never over what is the user's. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  watch,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  CONFIG_DIR,
  EARLY,
  INITRAMFS,
  type InstalledFile,
  SERVICE,
} from "../../src/install/files.ts";
import { inside } from "../../src/install/inside.ts";
import { Former, place, placeOf, putBack, refuseMasked, remove } from "../../src/install/place.ts";
import { packagedUnit } from "../../src/install/unit.ts";
import { refuseOtherArchitecture } from "../../src/install/architecture.ts";
import { descriptorsOf } from "../descriptors.ts";
import { isRoot, until } from "../served.ts";
import { mayTrace } from "../strace.ts";

let root: string;
let before: number;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "spawnbox-place-"));
  before = process.umask(0o022);
});
afterEach(() => {
  process.umask(before);
  rmSync(root, { recursive: true });
});

const fileOf = (
  content: string | InstalledFile["content"],
  more: Partial<InstalledFile> = {},
): InstalledFile => ({
  path: "/etc/spawnbox/file",
  mode: 0o644,
  content: typeof content === "string" ? () => Buffer.from(content) : content,
  ...more,
});
const at = (path = "etc/spawnbox/file") => join(root, path);
const modeOf = (path?: string) => (statSync(at(path)).mode & 0o7777).toString(8);
const text = (path?: string) => readFileSync(at(path), "utf8");

test("what was there before is put back, all of it or nothing", () => {
  const there = fileOf("new");
  const missing = fileOf("new", { path: "/etc/spawnbox/none" });
  // Nothing gives a directory another name.
  const unkept = fileOf("new", { path: "/etc/spawnbox/directory" });
  const tried = (...files: InstalledFile[]) => {
    mkdirSync(placeOf(unkept, root), { recursive: true });
    writeFileSync(at(), "old");
    using former = new DisposableStack();
    const all = files.map((file) => former.use(new Former(file, root)));
    for (const file of [there, missing]) place(file, root);
    return putBack(all);
  };
  expect(tried(there, missing)).toBe(true);
  expect([text(), existsSync(at("etc/spawnbox/none"))]).toEqual(["old", false]);
  expect(tried(there, missing, unkept)).toBe(false);
  expect([text(), text("etc/spawnbox/none")]).toEqual(["new", "new"]);
  expect(readdirSync(at("etc/spawnbox")).toSorted()).toEqual(["directory", "file", "none"]);
});

test.each(["usr/lib/systemd/system", "lib/systemd/system"])(
  "a package has its unit in /%s",
  (dir) => {
    expect(packagedUnit(root)).toBeUndefined();
    mkdirSync(at(dir), { recursive: true });
    writeFileSync(at(`${dir}/spawnbox.service`), "");
    expect(packagedUnit(root)).toBe(at(`${dir}/spawnbox.service`));
  },
);

test("what an installation consists of: each file with its place and mode", () => {
  const list = (files: readonly InstalledFile[]) =>
    files.map(({ path, mode, sample = false }) => [path, mode.toString(8), sample]);
  expect(CONFIG_DIR).toBe("/etc/spawnbox");
  expect(list(SERVICE)).toEqual([
    ["/usr/bin/spawnbox", "755", false],
    ["/etc/systemd/system/spawnbox.service", "644", false],
    ["/etc/spawnbox/spawn-board.json", "644", true],
  ]);
  expect(list(EARLY)).toEqual([
    ["/usr/lib/spawnbox/init", "755", false],
    ["/etc/spawnbox/early.json", "644", true],
  ]);
  expect(list([INITRAMFS])).toEqual([
    ["/etc/initramfs-tools/scripts/init-bottom/spawnbox", "755", false],
  ]);
  const [program, ...others] = [...SERVICE, ...EARLY, INITRAMFS].map((file) => file.content());
  expect<unknown>(program).toEqual({ file: "/proc/self/exe" });
  for (const content of others)
    expect(content instanceof Uint8Array && content.length).toBeGreaterThan(0);
});

describe("a file", () => {
  test("that is not there is made, with all above it", () => {
    expect(place(fileOf("a"), root)).toBe("installed");
    expect([text(), modeOf(), modeOf("etc"), modeOf("etc/spawnbox")]).toEqual([
      "a",
      "644",
      "755",
      "755",
    ]);
    expect(readdirSync(at("etc/spawnbox"))).toEqual(["file"]);
  });
  test("has its mode whatever the mask, when it is new and when it is replaced", () => {
    process.umask(0o077);
    for (const mode of [0o644, 0o755]) {
      place(fileOf("a", { mode, path: `/file${mode}` }), root);
      expect(modeOf(`file${mode}`)).toBe(mode.toString(8));
      place(fileOf("b", { mode, path: `/file${mode}` }), root);
      expect(modeOf(`file${mode}`)).toBe(mode.toString(8));
    }
  });
  test("that is as large as memory is copied and compared in pieces", () => {
    const large = Buffer.alloc((2 << 20) + 7, "0123456789");
    writeFileSync(at("source"), large);
    const file = fileOf(() => ({ file: at("source") }));
    expect(place(file, root)).toBe("installed");
    expect(readFileSync(at()).equals(large)).toBe(true);
    expect(place(file, root)).toBe("unchanged");
    const others = [0, 1 << 20, large.length - 1].map((where) => {
      const other = Buffer.from(large);
      other[where] = 0;
      return other;
    });
    const lengths = [large.subarray(0, -1), Buffer.concat([large, Buffer.of(0)]), Buffer.of()];
    for (const other of [...others, ...lengths]) {
      writeFileSync(at(), other);
      expect(place(file, root)).toBe("updated");
      expect(readFileSync(at()).equals(large)).toBe(true);
    }
  });
  test("that is as it should be is not written again", () => {
    place(fileOf("a"), root);
    const { ino, ctimeMs } = statSync(at());
    expect(place(fileOf("a"), root)).toBe("unchanged");
    expect([statSync(at()).ino, statSync(at()).ctimeMs]).toEqual([ino, ctimeMs]);
  });
  test("whose content or mode is another is replaced", () => {
    place(fileOf("a"), root);
    expect(place(fileOf("b"), root)).toBe("updated");
    expect(text()).toBe("b");
    for (const mode of [0o600, 0o666, 0o4644]) {
      chmodSync(at(), mode);
      expect(place(fileOf("b"), root)).toBe("updated");
      expect([text(), modeOf()]).toEqual(["b", "644"]);
    }
  });
  test("that is a link is replaced by a file, and what it led to stays", () => {
    mkdirSync(at("etc/spawnbox"), { recursive: true });
    writeFileSync(at("elsewhere"), "theirs");
    symlinkSync("../../elsewhere", at());
    expect(place(fileOf("a"), root)).toBe("updated");
    expect([lstatSync(at()).isFile(), text(), text("elsewhere")]).toEqual([true, "a", "theirs"]);
  });
  test("is there at every moment, the old one or the new", async () => {
    place(fileOf("old"), root);
    const seen: string[] = [];
    const watcher = watch(at("etc/spawnbox"), (_, name) => void seen.push(String(name)));
    await Bun.sleep(20);
    place(
      fileOf(() => {
        expect(text()).toBe("old");
        return Buffer.from("new");
      }),
      root,
    );
    await until("it is told", () => seen.includes("file"));
    await Bun.sleep(50);
    watcher.close();
    // Removed first, it would come and go by its name.
    expect(seen.filter((name) => name === "file")).toHaveLength(1);
    expect(text()).toBe("new");
  });
  test("that cannot be written whole leaves the old one, and nothing beside it", () => {
    place(fileOf("old"), root);
    mkdirSync(at("etc/spawnbox/dir"));
    const failing = fileOf(() => {
      throw new Error("no content");
    });
    expect(() => place(failing, root)).toThrow("no content");
    expect(() => place(fileOf("a", { path: "/etc/spawnbox/dir" }), root)).toThrow("EISDIR");
    expect([text(), readdirSync(at("etc/spawnbox")).toSorted()]).toEqual(["old", ["dir", "file"]]);
  });
  test("that cannot be put in place is named by the error, once", () => {
    mkdirSync(at("etc/spawnbox/dir"), { recursive: true });
    const wrong = (path: string, below = root) => {
      try {
        return place(fileOf("a", { path }), below);
      } catch (error) {
        return (error as Error).message;
      }
    };
    // It is named already.
    expect(wrong("/etc/spawnbox/dir")).toEndWith(`' -> '${at("etc/spawnbox/dir")}'`);
    expect(wrong("/sys/file", "/proc")).toMatch(
      /^E[A-Z]+: .*open '\/proc\/sys\/\.\d+\.spawnbox-new' \/proc\/sys\/file$/,
    );
  });
  test("leaves nothing open", () => {
    const open = () => descriptorsOf("self").filter((path) => path.startsWith(root));
    place(fileOf("a"), root);
    place(fileOf("b"), root);
    refuseOtherArchitecture(at("etc"));
    mkdirSync(at("bin"));
    writeFileSync(at("bin/sh"), "#!/bin/bash\n# a script, and longer than a header");
    refuseOtherArchitecture(root);
    expect(open()).toEqual([]);
  });
  test.skipIf(!mayTrace())("is on the disk before it has its name, and so is the name", () => {
    const trace = at("trace");
    const code = `import { place } from ${JSON.stringify(join(import.meta.dir, "../../src/install/place.ts"))};
      place({ path: "/file", mode: 0o640, content: () => Buffer.from("a") }, ${JSON.stringify(root)});`;
    const calls = "openat,write,fsync,rename,renameat,renameat2,close";
    const { exitCode, stderr } = Bun.spawnSync([
      ...["strace", "-qq", "-y", "-o", trace, "-f", "-e", `trace=${calls}`],
      ...[process.execPath, "-e", code],
    ]);
    expect([exitCode, stderr.toString()]).toEqual([0, ""]);
    const done = readFileSync(trace, "utf8")
      .split("\n")
      .filter((line) => line.includes(root) && !line.includes(" openat("))
      .map((line) => /^\d+ +(\w+)\w*\(/.exec(line)?.[1]?.replace(/at2?$/, ""));
    // Before, the directory is looked at.
    expect(done.slice(done.indexOf("write"))).toEqual([
      "write",
      "fsync",
      "close",
      "rename",
      "fsync",
      "close",
    ]);
  });
  test("that is a pipe is replaced: nobody waits for who writes there", () => {
    mkdirSync(at("etc/spawnbox"), { recursive: true });
    expect(Bun.spawnSync(["mkfifo", at()]).exitCode).toBe(0);
    // A wait for one has an end, late.
    const late = `await Bun.sleep(20_000); await Bun.write(${JSON.stringify(at())}, "a");`;
    const writer = Bun.spawn([process.execPath, "-e", late]);
    try {
      expect(place(fileOf("a"), root)).toBe("updated");
      expect([lstatSync(at()).isFile(), text()]).toEqual([true, "a"]);
    } finally {
      writer.kill();
    }
  });
  test("that is a sample is the user's once it is there, also as a link to what is not", () => {
    const sample = { sample: true } as const;
    expect(place(fileOf("a", sample), root)).toBe("installed");
    writeFileSync(at(), "mine");
    expect(place(fileOf("b", sample), root)).toBe("kept");
    expect(text()).toBe("mine");
    rmSync(at());
    symlinkSync("/mounted/later", at());
    expect(place(fileOf("b", sample), root)).toBe("kept");
    expect(readlinkSync(at())).toBe("/mounted/later");
  });
  test("finds what an installation that was cut off has left, and only that", () => {
    mkdirSync(at("etc/spawnbox"), { recursive: true });
    const left = [
      ...[".4194305.spawnbox-new", `.${process.pid}.spawnbox-new`],
      ".4194305.file.spawnbox-old",
    ];
    const others = [
      ".1.spawnbox-new",
      "4194305.spawnbox-new",
      ".4194305.spawnbox-new.txt",
      ".x.spawnbox-new",
      `.${process.pid}.file.spawnbox-old`,
    ];
    for (const name of [...left, ...others]) writeFileSync(at(`etc/spawnbox/${name}`), "");
    place(fileOf("a"), root);
    expect(readdirSync(at("etc/spawnbox")).toSorted()).toEqual(["file", ...others].toSorted());
    for (const name of left) writeFileSync(at(`etc/spawnbox/${name}`), "");
    remove(fileOf("a"), root);
    expect(readdirSync(at("etc/spawnbox")).toSorted()).toEqual(others.toSorted());
  });
});

describe("removed", () => {
  test("it is gone, and its directory if that is ours and empty", () => {
    place(fileOf("a"), root);
    expect(remove(fileOf("a"), root)).toBe(true);
    expect([existsSync(at("etc/spawnbox")), existsSync(at("etc"))]).toEqual([false, true]);
    expect(remove(fileOf("a"), root)).toBe(false);
    place(fileOf("a", { path: "/etc/other/file" }), root);
    remove(fileOf("a", { path: "/etc/other/file" }), root);
    expect(existsSync(at("etc/other"))).toBe(true);
    place(fileOf("a"), root);
    writeFileSync(at("etc/spawnbox/mine"), "");
    remove(fileOf("a"), root);
    expect(readdirSync(at("etc/spawnbox"))).toEqual(["mine"]);
  });
  test("a mask is the administrator's, and nothing is installed over it", () => {
    mkdirSync(at("etc/spawnbox"), { recursive: true });
    symlinkSync("/dev/null", at());
    expect(remove(fileOf("a"), root)).toBe(false);
    expect(readlinkSync(at())).toBe("/dev/null");
    expect(() => refuseMasked([fileOf("a")], root)).toThrow(
      `${at()} is masked: systemctl unmask file first`,
    );
    rmSync(at());
    symlinkSync("/dev/zero", at());
    refuseMasked([fileOf("a")], root);
    expect(remove(fileOf("a"), root)).toBe(true);
  });
});

describe("links of an image mean the image", () => {
  const mine = [process.geteuid?.() ?? 0];
  const to = (path: string, owners = mine) => inside(root, path, owners).slice(root.length);
  test.each([
    ["/a/b", "/a/b"],
    ["/abs/x", "/real/x"],
    ["/rel/x", "/real/x"],
    ["/up/x", "/x"],
    ["/far/x", "/real/x"],
    ["/a/./../b//c/", "/b/c"],
    ["/../../x", "/x"],
    ["/two/x", "/real/x"],
    ["/", "/"],
  ])("%s is %s", (path, expected) => {
    mkdirSync(at("real"));
    symlinkSync("/real", at("abs"));
    symlinkSync("real", at("rel"));
    symlinkSync("real/..", at("up"));
    symlinkSync("../../../real", at("far"));
    symlinkSync("abs/../rel", at("two"));
    expect(to(path)).toBe(expected);
    expect(placeOf(fileOf("", { path: "/abs/abs" }), root)).toBe(at("real/abs"));
  });
  test("in a circle they are refused, and forty are not", () => {
    symlinkSync("loop", at("loop"));
    expect(() => to("/loop/x")).toThrow(`${at("loop/x")}: its links go in a circle`);
    mkdirSync(at("l40"));
    for (let i = 0; i < 40; i++) symlinkSync(`l${i + 1}`, at(`l${i}`));
    expect(to("/l0")).toBe("/l40");
    symlinkSync("l0", at("more"));
    expect(() => to("/more")).toThrow("circle");
  });
  test("of others are refused, and so are their directories", () => {
    mkdirSync(at("theirs"));
    const foreign = [(process.geteuid?.() ?? 0) + 7];
    expect(() => to("/theirs/x", foreign)).toThrow(
      `${at("theirs")} belongs to uid ${mine[0]}, who could lead this elsewhere: chown it to root`,
    );
    expect(to("/none/x", foreign)).toBe("/none/x");
  });
  test.skipIf(!isRoot)("by default of all but root", () => {
    mkdirSync(at("theirs"));
    chownSync(at("theirs"), 7, 7);
    expect(() => inside(root, "/theirs/x")).toThrow("belongs to uid 7");
  });
});

describe("an image for another processor", () => {
  const elf = (machine: number, more: (header: Buffer) => void = () => {}) => {
    const header = Buffer.alloc(20);
    header.write("\x7fELF\x02\x01\x01", "latin1");
    header.writeUInt16LE(machine, 18);
    more(header);
    return header;
  };
  const [MINE, OTHER, NAME] = process.arch === "x64" ? [62, 183, "arm64"] : [183, 62, "x64"];
  const withFile = (path: string, content: Uint8Array) => {
    mkdirSync(at(path.replace(/\/[^/]*$/, "")), { recursive: true });
    writeFileSync(at(path), content);
    return () => refuseOtherArchitecture(root);
  };
  test.each(["bin/sh", "bin/busybox", "sbin/init"])("is known by its %s", (path) => {
    const wrong = withFile(path, elf(OTHER as number));
    expect(wrong).toThrow(
      `${root} is for ${NAME}, as /${path} there says, and this executable for ${process.arch}: nothing is installed. Take that of ${NAME} (npm run build -- --arch ${NAME}), and run it on the board or by QEMU's user emulation`,
    );
    withFile(path, elf(MINE as number))();
  });
  test.each([
    [3, "x86"],
    [40, "arm"],
    [243, "riscv64"],
    [8, "another processor (ELF machine 8)"],
  ])("machine %d is %s", (machine, name) => {
    expect(withFile("bin/sh", elf(machine))).toThrow(`is for ${name}, as`);
  });
  test("what is no such program says nothing", () => {
    refuseOtherArchitecture(root);
    withFile("bin/sh", Buffer.from("#!/bin/bash\n# a script, and longer than a header"))();
    withFile("bin/sh", elf(OTHER as number).subarray(0, 19))();
    withFile(
      "bin/sh",
      elf(OTHER as number, (header) => (header[5] = 2)),
    )();
    // The first that says something decides.
    expect(withFile("bin/busybox", elf(OTHER as number))).toThrow("/bin/busybox");
    withFile("bin/sh", elf(MINE as number))();
  });
});
