/** The group of a server, where others start and end at the same moment, and where it cannot be locked or opened. */
import { afterAll, expect, test } from "bun:test";
import {
  chmodSync,
  closeSync,
  existsSync,
  fstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { makeServerGroup, removeLeftovers } from "../../src/launch/cgroup/server.ts";
import { isRoot } from "../accounts.ts";
import { descriptorsOf } from "../descriptors.ts";
import { filterSource, numbered, EPERM } from "../places/rules.ts";

const source = JSON.stringify(join(import.meta.dir, "../../src/launch/cgroup/server.ts"));
const dir = mkdtempSync(join(tmpdir(), "spawnbox-server-group-"));
afterAll(() => rmSync(dir, { recursive: true }));
let made = 0;
function parent(): string {
  const path = join(dir, `${made++}`);
  mkdirSync(path);
  return path;
}
const openOf = (path: string) => descriptorsOf("self").filter((link) => link.startsWith(path));

test("is there and locked, though others remove what nobody has locked", async () => {
  const above = parent();
  const others = Bun.spawn([
    ...[process.execPath, "-e"],
    `const { removeLeftovers } = await import(${source});
     for (;;) await removeLeftovers(${JSON.stringify(above)});`,
  ]);
  try {
    mkdirSync(join(above, "left"));
    while (existsSync(join(above, "left"))) await Bun.sleep(1);
    for (let i = 0; i < 300; i++) {
      const { path, fd } = makeServerGroup(above);
      expect(statSync(path).ino).toBe(fstatSync(fd).ino);
      closeSync(fd);
    }
    expect(others.exitCode).toBe(null);
  } finally {
    others.kill("SIGKILL");
    await others.exited;
  }
  expect(openOf(above)).toEqual([]);
});

test("what is left is removed, and no directory stays open; what is none is an error", async () => {
  const above = parent();
  for (const name of ["left", "also"]) mkdirSync(join(above, name));
  expect(await removeLeftovers(above)).toEqual([]);
  expect([readdirSync(above), openOf(above)]).toEqual([[], []]);
  expect(removeLeftovers("/dev/null")).rejects.toThrow("ENOTDIR");
});

test("nothing is left where only somebody else may look", () => {
  const above = parent();
  mkdirSync(join(above, "left"));
  chmodSync(above, 0);
  // Root may look everywhere, with these.
  const less = isRoot ? ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] : [];
  const words = `let why; try { readdirSync(above) } catch (error) { why = error.code }
    console.log(JSON.stringify([await removeLeftovers(above), why]));`;
  expect(printed(less, above, words).trim()).toBe('[[],"EACCES"]');
  chmodSync(above, 0o755);
  expect(readdirSync(above)).toEqual(["left"]);
});

test("of what is left no more is held at a time than there are descriptors for", () => {
  const above = parent();
  for (let i = 0; i < 1000; i++) mkdirSync(join(above, `${i}`));
  const words = `console.log(JSON.stringify([await removeLeftovers(above), readdirSync(above), open()]));`;
  const limited = ["/bin/sh", "-c", 'ulimit -n 256; exec "$@"', "sh"];
  expect(printed(limited, above, words).trim()).toBe("[[],[],0]");
});

/** What a process prints of these words, which may name the directory \`above\`. */
function printed(first: readonly string[], above: string, words: string) {
  const program = `
const { readdirSync, openSync, readlinkSync } = await import("node:fs");
const { makeServerGroup, removeLeftovers } = await import(${source});
const above = ${JSON.stringify(above)};
const said = async (work) => { try { return await work(); } catch (error) { return error.name + ": " + error.message; } };
const open = () => readdirSync("/proc/self/fd").filter((fd) => { try { return readlinkSync("/proc/self/fd/" + fd).startsWith(above); } catch {} }).length;
${words}`;
  const run = Bun.spawnSync([...first, process.execPath, "-e", program], { timeout: 20_000 });
  return run.stdout.toString() || run.stderr.toString();
}

test("where locks are denied it is said, and nothing is left", () => {
  const above = parent();
  mkdirSync(join(above, "left"));
  const rules = JSON.stringify(numbered([{ call: "flock", errno: EPERM }]));
  const words = `console.log(await said(() => makeServerGroup(above)));
console.log(JSON.stringify([await removeLeftovers(above), readdirSync(above), open()]));`;
  const lines = printed(["/usr/bin/python3", "-IS", "-c", filterSource, rules], above, words).split(
    "\n",
  );
  expect(lines[0]).toMatch(
    /^CgroupUnavailable: cannot lock .*: EPERM: a seccomp filter around the server denies flock\(2\)$/,
  );
  expect(lines[1]).toBe(JSON.stringify([[`${join(above, "left")}: EPERM`], ["left"], 0]));
});

test("where no descriptor is left it is that which is said", () => {
  const above = parent();
  const words = `const fds = [];
try { for (;;) fds.push(openSync("/dev/null")); } catch {}
const why = await said(() => makeServerGroup(above));
console.log(why);`;
  expect(printed(["prlimit", "--nofile=100:100"], above, words)).toStartWith("Error: EMFILE: ");
});
