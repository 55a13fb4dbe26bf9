/** Who else could change a program that runs with rights which they have not. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import {
  chmodSync,
  copyFileSync,
  lchownSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { thisMachine } from "../../src/plan/machine.ts";
import { isRoot, ORDINARY } from "../accounts.ts";
import { asRoot, asUser, compiled } from "./compiling.ts";

let dir: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "spawnbox-owner-"));
  chmodSync(dir, 0o755);
  for (const name of ["mine", "theirs", "open", "group"]) {
    mkdirSync(join(dir, name));
    copyFileSync("/bin/true", join(dir, name, "tool"));
    chmodSync(join(dir, name, "tool"), 0o755);
  }
  chmodSync(join(dir, "open/tool"), 0o757);
  chmodSync(join(dir, "group"), 0o775);
  symlinkSync("/bin/true", join(dir, "theirs/link"));
  if (isRoot)
    for (const name of ["theirs", "theirs/tool", "theirs/link"])
      lchownSync(join(dir, name), ORDINARY, ORDINARY);
});
afterAll(() => rmSync(dir, { recursive: true }));

const notices = (sandbox: object, machine = asRoot) =>
  compiled(sandbox, machine)
    .notices.filter(({ path }) => path.endsWith(".cmdpath"))
    .map(({ path, message }) => `${path}: ${message}`);
const run = (cmdpath: string, more: object = {}) => ({
  acls: { user: "root" },
  commands: { uid: "c", exec: { cmdpath } },
  ...more,
});

describe("is told", () => {
  const at = (path: string) => join(dir, path);
  test("of the file, and of each directory and link on the way to it", () => {
    const uid = isRoot ? ORDINARY : process.getuid?.();
    const [tool] = notices(run(at("theirs/tool")));
    expect(tool).toStartWith(
      `sandboxes[0].commands[0].exec.cmdpath: ${at("theirs/tool")} runs as root, and others could put another program there: ${at("theirs/tool")} belongs to uid ${uid}, ${at("theirs")} belongs to uid ${uid}`,
    );
    expect(notices(run(at("theirs/link")))[0]).toContain(
      `the link ${at("theirs/link")} belongs to uid ${uid}`,
    );
    if (!isRoot) return;
    expect(notices(run(at("open/tool")))[0]).toEndWith(
      `${at("open/tool")} can be written by others than its owner: chmod go-w ${at("open/tool")}`,
    );
    expect(notices(run(at("group/tool")))[0]).toEndWith(`: chmod go-w ${at("group")}`);
  });
  test("where it runs as root or has capabilities, and where the server could give it any", () => {
    const path = at("theirs/tool");
    const acls = { user: "nobody" };
    expect(notices(run(path))).toHaveLength(1);
    expect(notices(run(path, { acls, caps: ["CAP_NET_ADMIN"] }))[0]).toContain(
      `${path} has capabilities, and`,
    );
    expect(notices(run(path, { acls }))).toEqual([]);
    expect(notices(run(path, { acls, caps: [] }))).toEqual([]);
    expect(notices({ ...run(path), acls: undefined }, asUser)).toEqual([]);
  });
  test("of what executes a script, and of what env looks for", () => {
    // For others all of these are their own.
    if (!isRoot) return;
    const script = (name: string, line: string) => {
      writeFileSync(at(name), `#!${line}\n`);
      chmodSync(at(name), 0o755);
      return at(name);
    };
    const interpreter = at("theirs/tool");
    const direct = script("mine/direct", interpreter);
    const searched = script("mine/searched", "/usr/bin/env tool");
    const told = (path: string) =>
      `${interpreter}, which ${path} needs, runs as root, and others could put another program there: `;
    expect(notices(run(direct))[0]).toContain(told(direct));
    const envs = { name: "PATH", value: `/usr/bin:${at("theirs")}` };
    expect(notices({ ...run(searched), envs })[0]).toContain(told(searched));
    expect(notices({ ...run(searched), envs: { ...envs, value: at("mine") } })).toEqual([]);
  });
  test("of the file that a sandbox has at the path, and not of one that it makes", () => {
    const mounts = (...more: object[]) => ({
      namespace: {
        shares: { all: "disable" },
        mounts: [
          { target: "/usr", mode: "ro" },
          ...["bin", "lib", "lib64"].map((name) => ({
            target: `/${name}`,
            source: `usr/${name}`,
            mode: "symlink",
          })),
          ...more,
        ],
      },
    });
    const found = notices(
      run("/tools/tool", mounts({ target: "/tools", source: at("theirs"), mode: "ro" })),
    );
    expect(found).toHaveLength(1);
    expect(found[0]).toContain(
      `/tools/tool runs as root, and others could put another program there: ${at("theirs/tool")} belongs`,
    );
    const made = { target: "/run/tool", source: "#!/bin/sh\n", mode: "execfd" };
    expect(notices(run("/run/tool", mounts(made)))).toEqual([]);
  });
  test("once for each command, and nothing of programs of root's", () => {
    const commands = ["a", "b"].map((uid) => ({ uid, exec: { cmdpath: at("theirs/tool") } }));
    expect(notices({ acls: { user: "root" }, commands }).map((one) => one.slice(0, 24))).toEqual([
      "sandboxes[0].commands[0]",
      "sandboxes[0].commands[1]",
    ]);
    expect(notices(run("/bin/true"))).toEqual([]);
    if (isRoot) expect(notices(run(at("mine/tool")))).toEqual([]);
  });
});

test("what is not there any more is told, too", () => {
  expect(thisMachine().changeable(join(dir, "mine/gone"))).toContain("ENOENT");
  expect(thisMachine().changeable("/usr")).toContain("is not a regular file");
  expect(thisMachine().changeable("/bin/sh")).toBeUndefined();
});
