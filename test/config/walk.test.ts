/** As root, with files of real other users: what a path leads through counts as much as where it ends. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import {
  chmodSync,
  chownSync,
  closeSync,
  fstatSync,
  linkSync,
  lchownSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadAccess } from "../../src/access/load.ts";
import { loadConfigs } from "../../src/config/load.ts";
import { openObeyed } from "../../src/config/obeyed.ts";
import { trusted, trustOf } from "../../src/config/trust.ts";
import { Walk } from "../../src/config/walk.ts";
import { openAppended } from "../../src/config/written.ts";
import { isRoot } from "../served.ts";

const OTHER = 4102;
const FOREIGN = `belongs to uid ${OTHER}`;
const text = (api: string) => JSON.stringify({ metadata: { uid: api, api }, sandboxes: [] });
const accounts = { uid: 0, user: () => 0, group: () => 0 };

describe.if(isRoot)("root obeys", () => {
  let dir: string;
  const at = (...names: string[]) => join(dir, ...names);
  const link = (target: string, name: string, uid = 0) => {
    symlinkSync(target, at(name));
    lchownSync(at(name), uid, uid);
    return at(name);
  };
  const api = (path: string) => loadConfigs(path, 0).map(({ config }) => config.metadata.api);
  /** Every kind of file that root obeys, by the same path. */
  const refusals = (path: string): string[] =>
    [
      () => loadConfigs(path, 0),
      () => loadConfigs(`${at("own/c.json")}:${path}`, 0),
      () => loadAccess(path, accounts),
      () => trusted(path, 0),
      () => openObeyed(path, trustOf(0)),
    ].map((read) => {
      try {
        read();
        return "obeyed";
      } catch (error) {
        return error instanceof Error ? error.message : String(error);
      }
    });
  const refused = (path: string, why: string) => {
    const all = refusals(path);
    expect(all.filter((message) => !message.includes(why))).toEqual([]);
  };

  beforeAll(() => {
    dir = mkdtempSync(join(realpathSync(tmpdir()), "spawnbox-walk-"));
    chmodSync(dir, 0o755);
    mkdirSync(at("own/deep"), { recursive: true });
    writeFileSync(at("own/c.json"), text("c"), { mode: 0o644 });
    writeFileSync(at("own/deep/d.json"), text("d"), { mode: 0o644 });
    mkdirSync(at("theirs"));
    mkdirSync(at("shared"));
    chmodSync(at("shared"), 0o1777);
  });
  afterAll(() => rmSync(dir, { recursive: true }));

  test("links of root: to files, to directories, in chains, absolute and with ..", () => {
    expect(api(link("own/c.json", "file"))).toEqual(["c"]);
    expect(api(join(link("own/deep", "dir"), "d.json"))).toEqual(["d"]);
    expect(api(link(`${dir}/dir/../c.json`, "up"))).toEqual(["c"]);
    expect(api(link("up", "chain"))).toEqual(["c"]);
    expect(api(`${dir}/own/deep/.././deep//d.json`)).toEqual(["d"]);
    // The kernel's `..` is the parent of where a link leads, not of where it is.
    expect(api(`${dir}/dir/../c.json`)).toEqual(["c"]);
    expect(() => api(at("own/c.json/"))).toThrow("ENOTDIR");
    expect(() => api(`${dir}/own/c.json/../c.json`)).toThrow("ENOTDIR");
  });

  test("no link that goes in a circle, and none that leads nowhere", () => {
    refused(link("round", "round"), "ELOOP");
    refused(link("nowhere", "dangling"), "ENOENT");
    refused(at("own/c.json\0"), "NUL");
  });

  test("of what cannot be looked up it is told why", () => {
    const trust = { owners: [0], beside: "others' too" } as const;
    expect(() => Walk.to(at("none"), trust)).toThrow(
      new Error(`ENOENT: no such file or directory: ${at("none")}`),
    );
    const long = at("x".repeat(256));
    expect(() => Walk.to(long, trust)).toThrow(new Error(`ENAMETOOLONG: ${long}`));
  });

  test("as many links as the kernel follows", () => {
    const chain = Array.from({ length: 41 }, (_, i) =>
      link(i === 0 ? "own/c.json" : `chain${i}`, `chain${i + 1}`),
    );
    const [last = "", tooFar = ""] = chain.slice(-2);
    expect(readFileSync(last, "utf8")).toBe(text("c"));
    expect(api(last)).toEqual(["c"]);
    expect(() => readFileSync(tooFar)).toThrow("ELOOP");
    refused(tooFar, "ELOOP");
  });

  test("no link of another user, wherever it is on the way, nor one in their directory", () => {
    link("own/c.json", "l1", OTHER);
    link("own", "l2", OTHER);
    link("l1", "l3");
    link("shared/l4", "l5");
    symlinkSync(at("own/c.json"), at("shared/l4"));
    lchownSync(at("shared/l4"), OTHER, OTHER);
    symlinkSync(at("own/c.json"), at("theirs/root"));
    chownSync(at("theirs"), OTHER, OTHER);
    const paths = ["l1", "l2/c.json", "l3", "l5", "shared/l4", "theirs/root", "l2/deep/../c.json"];
    for (const path of [...paths, "theirs/../own/c.json"]) refused(`${dir}/${path}`, FOREIGN);
    // Others obey what they like.
    expect(loadConfigs(at("l1"), OTHER)).toHaveLength(1);
  });

  test("what belongs to others once it is whose it should be: how to make it so is told", () => {
    expect(() => api(at("theirs"))).toThrow(
      /who could change what this server does: chown it to root$/,
    );
    const trust = { owners: [0, OTHER + 1, 0], beside: "others' too" } as const;
    const refuse = (path: string) => () => {
      using walk = Walk.to(path, trust);
      walk.refuse("file or directory");
    };
    expect(refuse(at("theirs"))).toThrow(`: chown it to root or uid ${OTHER + 1}`);
    expect(refuse(at("l5"))).toThrow(/: chown -h it to root or uid \d+$/);
  });

  test("what was looked at, not what has its name by now; nothing stays open", () => {
    writeFileSync(at("own/swapped"), "before");
    const open = () => readdirSync("/proc/self/fd").length;
    const before = open();
    {
      using walk = Walk.to(at("own/swapped"), { owners: [0], beside: "others' too" });
      renameSync(at("own/c.json"), at("own/swapped"));
      expect(() => walk.open()).toThrow(`${at("own/swapped")} was replaced while it was looked at`);
      renameSync(at("own/swapped"), at("own/c.json"));
    }
    expect(open()).toBe(before);
  });

  /** What becomes of a walk in a process of its own: where it hangs, so would all tests. */
  const alone = (before: string, path: string, between: string, ...spaces: string[]) => {
    const script = `
      import { rmSync } from "node:fs";
      import { Walk } from ${JSON.stringify(join(import.meta.dir, "../../src/config/walk.ts"))};
      try {
        using walk = Walk.to(${JSON.stringify(path)}, { owners: [0], beside: "others' too" });
        ${between}
        walk.open();
        console.log("opened");
      } catch (error) {
        console.log(error.message);
      }`;
    const command = [
      "unshare",
      "--mount",
      ...spaces,
      "/bin/sh",
      "-ec",
      `${before}\nexec "$@"`,
      "sh",
    ];
    const { stdout, stderr } = Bun.spawnSync([...command, process.execPath, "-e", script], {
      cwd: dir,
      timeout: 20_000,
    });
    return `${stdout}${stderr}`.trim();
  };

  test("nor is it waited for the writer of a FIFO that has its name by now", () => {
    writeFileSync(at("own/piped"), "");
    const swap = `rmSync(walk.path); Bun.spawnSync(["mkfifo", walk.path]);`;
    expect(alone("", at("own/piped"), "")).toBe("opened");
    expect(alone("", at("own/piped"), swap)).toBe(
      `${at("own/piped")} was replaced while it was looked at: try again`,
    );
  });

  test("whose owner its user namespace does not know is told as that", () => {
    const refuse = 'walk.refuse("file or directory");';
    const said = alone("", at("theirs"), refuse, "--user", "--map-root-user");
    expect(said).toStartWith(
      `${at("theirs")} belongs to uid 65534, who could change what this server does: that is one whom the server's user namespace does not map (shown as uid 65534): have root mapped`,
    );
  });

  test("a relative path from a directory over which something is mounted: it is not what its name leads to", () => {
    const here = at("hidden");
    mkdirSync(here);
    writeFileSync(at("hidden/file"), "");
    expect(alone("cd hidden", "file", "")).toBe("opened");
    const fresh = `mount -t tmpfs t ${here}; touch ${here}/file`;
    for (const hide of [
      `cd hidden; mount --bind ${at("own")} ${here}`,
      `cd hidden; ${fresh}`,
      // Roots of two file systems of one kind have the same number.
      `${fresh}; cd hidden; ${fresh}`,
    ])
      expect(alone(hide, "file", "")).toBe(
        `${here} is not the current directory any more: give an absolute path`,
      );
  });

  test("a file with a slash behind it is none, however short its path", () => {
    const before = process.cwd();
    try {
      process.chdir(at("own"));
      for (const path of ["c.json/", "c.json/.", "./c.json/"])
        expect(() => api(path)).toThrow("ENOTDIR");
    } finally {
      process.chdir(before);
    }
  });

  test("a link of the one who called sudo", () => {
    link("own/c.json", "mine", OTHER);
    const before = process.env["SUDO_UID"];
    process.env["SUDO_UID"] = `${OTHER}`;
    try {
      expect(api(at("mine"))).toEqual(["c"]);
    } finally {
      if (before === undefined) delete process.env["SUDO_UID"];
      else process.env["SUDO_UID"] = before;
    }
    expect(() => api(at("mine"))).toThrow(FOREIGN);
  });

  test("in a directory such as /tmp, no file or link that may be another name of one of root's", () => {
    linkSync(at("own/c.json"), at("shared/second.json"));
    try {
      expect(() => api(at("shared/second.json"))).toThrow("has 2 names");
      // Elsewhere nobody but root could have made it.
      expect(api(at("own/c.json"))).toEqual(["c"]);
    } finally {
      rmSync(at("shared/second.json"));
    }
    writeFileSync(at("shared/own.json"), text("s"), { mode: 0o644 });
    expect(api(at("shared/own.json"))).toEqual(["s"]);
    expect(() => trusted(at("shared/own.json"), 0)).toThrow(
      `others can put files into ${at("shared")}: use a directory of your own`,
    );
  });

  test("of a directory its own files only, and none that a link of others leads to", () => {
    mkdirSync(at("several"));
    writeFileSync(at("several/spawn-a.json"), text("a"), { mode: 0o644 });
    link("../own/c.json", "several/spawn-b.json");
    expect(api(at("several"))).toEqual(["a", "c"]);
    expect(api(link("several", "byLink"))).toEqual(["a", "c"]);
    lchownSync(at("several/spawn-b.json"), OTHER, OTHER);
    expect(() => api(at("several"))).toThrow(FOREIGN);
    expect(() => api(link("several", "theirLink", OTHER))).toThrow(FOREIGN);
    rmSync(at("several/spawn-b.json"));
    chownSync(at("several"), OTHER, OTHER);
    expect(() => api(at("several"))).toThrow(FOREIGN);
  });

  test("a relative path by the directory that it begins in", () => {
    const before = process.cwd();
    try {
      process.chdir(at("own"));
      expect(api("c.json")).toEqual(["c"]);
      expect(api("deep/../../own/c.json")).toEqual(["c"]);
      process.chdir(at("theirs"));
      for (const path of ["../own/c.json", "root"]) refused(path, FOREIGN);
    } finally {
      process.chdir(before);
    }
  });

  test("nothing that the kernel or a process makes up", () => {
    const made = ["/proc/self/cmdline", "/proc/self/environ", "/dev/fd/0", "/dev/stdin"];
    for (const path of [...made, "/proc/self/root/etc/passwd", "/sys/kernel/notes"])
      refused(path, "file system");
    refused(link("/proc/self/cmdline", "cmdline"), "proc file system");
    refused("/dev/null", "not a regular file");
  });

  test("and writes through no link of others, but into their directories", () => {
    const append = (path: string) => {
      Bun.spawnSync(["true"], {
        stdio: ["ignore", openAppended(path, 0o640, trustOf(0)), "ignore"],
      });
    };
    append(at("theirs/log"));
    chownSync(at("theirs/log"), OTHER, OTHER);
    append(at("theirs/log"));
    symlinkSync(at("own"), at("theirs/dir"));
    for (const uid of [OTHER, 0]) {
      lchownSync(at("theirs/dir"), uid, uid);
      expect(() => append(at("theirs/dir/log"))).toThrow(FOREIGN);
    }
    symlinkSync(at("own/c.json"), at("theirs/link"));
    expect(() => append(at("theirs/link"))).toThrow("ELOOP");
    linkSync(at("own/c.json"), at("theirs/second"));
    expect(() => append(at("theirs/second"))).toThrow("has 2 names");
    expect(readFileSync(at("own/c.json"), "utf8")).toBe(text("c"));
  });

  test("nor into a file that is given a name there, and loses it at once", () => {
    const [ours, path] = [at("own/flickers"), at("theirs/flickers")];
    writeFileSync(ours, "");
    chownSync(at("theirs"), OTHER, OTHER);
    const flicker = `const { linkSync, unlinkSync } = require("node:fs");
      for (;;) { try { linkSync(${JSON.stringify(ours)}, ${JSON.stringify(path)}); } catch {}
        try { unlinkSync(${JSON.stringify(path)}); } catch {} }`;
    const other = Bun.spawn([process.execPath, "-e", flicker], { stdio: ["ignore", "ignore", 2] });
    const { ino } = statSync(ours);
    let [refused, led] = [0, 0];
    try {
      for (let tries = 0; tries < 100_000 && refused < 2000; tries++) {
        try {
          const fd = openAppended(path, 0o640, trustOf(0));
          if (fstatSync(fd).ino === ino) led++;
          closeSync(fd);
        } catch (error) {
          expect(String(error)).toMatch(/has 2 names|was replaced while/);
          refused++;
        }
      }
    } finally {
      other.kill();
    }
    expect(refused).toBeGreaterThan(0);
    expect(led).toBe(0);
  });
});
