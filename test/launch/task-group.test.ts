/** The group of a task between two tasks: what is counted of the next one, what is open of it, and whose it is after its end. */
import { afterAll, expect, test } from "bun:test";
import {
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { GroupPlace, makePlace, taskGroup } from "../../src/launch/cgroup/task-group.ts";
import { LaunchError } from "../../src/launch/task.ts";
import { descriptorsOf } from "../descriptors.ts";

const dir = mkdtempSync(join(tmpdir(), "spawnbox-task-group-"));
afterAll(() => rmSync(dir, { recursive: true }));
let made = 0;
function place(countsMemory: boolean, files: Readonly<Record<string, string>>) {
  const path = join(dir, `${made++}`);
  mkdirSync(path);
  for (const [name, text] of Object.entries({ "cpu.stat": "", ...files }))
    writeFileSync(join(path, name), text);
  return new GroupPlace(
    path,
    countsMemory,
    openSync(path, "r"),
    openSync(join(path, "cpu.stat"), "r"),
  );
}
const spent = (user: number, system: number) => `user_usec ${user}\nsystem_usec ${system}\n`;
const openOf = (path: string) => descriptorsOf("self").filter((link) => link.startsWith(path));

test("what the one before has used is not counted of the next; what is open of it is closed", () => {
  const one = place(true, { "cpu.stat": spent(1000, 500), "cgroup.events": "populated 0\n" });
  expect(one.usage(true)).toEqual({ oom: false, user: 1, system: 0.5 });
  expect(one.settle()).toBe(true);
  expect(one.usage(true)).toEqual({ oom: false, user: 0, system: 0 });
  writeFileSync(join(one.path, "cpu.stat"), spent(4000, 1700));
  expect(one.usage(true)).toEqual({ oom: false, user: 3, system: 1.2 });
  // Somebody is in it: it is as it was.
  writeFileSync(join(one.path, "cgroup.events"), "populated 1\n");
  expect(one.settle()).toBe(false);
  expect(one.usage(true)).toEqual({ oom: false, user: 3, system: 1.2 });
  expect(openOf(one.path)).toEqual([one.path, join(one.path, "cpu.stat")]);
  one.close();
  expect(openOf(one.path)).toEqual([]);
});

test("a place that cannot be made or opened is refused, and nothing is left of it", () => {
  const refusal = (path: string, ...settings: Parameters<typeof makePlace>[1]) => {
    try {
      makePlace(path, settings, false);
      return undefined;
    } catch (error) {
      if (!(error instanceof LaunchError)) throw error;
      return [error.step, error.what, error.errno];
    }
  };
  const path = join(dir, "refused");
  expect(refusal(join(path, "x"))).toEqual(["cgroup", join(path, "x"), "ENOENT"]);
  expect(refusal(path)).toEqual(["cgroup", path, "ENOENT"]);
  expect([existsSync(path), openOf(path)]).toEqual([false, []]);
  const pids = { controller: "pids", file: "pids.max", value: "3" } as const;
  expect(refusal(path, pids)).toEqual(["cgroup", "pids.max=3", "ENOENT"]);
  expect([existsSync(path), openOf(path)]).toEqual([false, []]);
});

test("after its end it is another's: nothing is killed in it any more", async () => {
  const one = place(false, { "cgroup.kill": "", "cgroup.events": "populated 0\n" });
  const ends: boolean[] = [];
  const owner = { keep: () => true, onEnd: (gone: boolean) => void ends.push(gone) };
  const task = taskGroup(one, true, owner);
  expect([task.path, task.fd, task.isKept]).toEqual([one.path, one.fd, true]);
  const { gone } = task.end(true);
  task.kill();
  await gone;
  task.kill();
  expect(readFileSync(join(one.path, "cgroup.kill"), "utf8")).toBe("");
  expect(ends).toEqual([true]);
  // Kept, it is open for the next one.
  expect(openOf(one.path)).toHaveLength(2);
  const next = taskGroup(one, true, owner);
  next.kill();
  expect(readFileSync(join(one.path, "cgroup.kill"), "utf8")).toBe("1");
  const ended = next.end(true);
  rmSync(one.path, { recursive: true });
  await ended.gone;
  expect([ends, openOf(one.path)]).toEqual([[true, true], []]);
});

test("what cannot be counted or removed is neither kept nor gone", async () => {
  const ends: boolean[] = [];
  const owner = { keep: () => true, onEnd: (gone: boolean) => void ends.push(gone) };
  const odd = place(false, { "cgroup.events": "populated 0\n" });
  const uncounted = new GroupPlace(odd.path, false, odd.fd, openSync(odd.path, "r"));
  closeSync(odd.cpu);
  const ended = taskGroup(uncounted, false, owner).end(true);
  expect(ended.usage).toEqual({ oom: false, user: 0, system: 0 });
  rmSync(odd.path, { recursive: true });
  await ended.gone;
  expect([ends, openOf(odd.path)]).toEqual([[true], []]);
  // It is no directory.
  const file = place(false, {});
  const broken = new GroupPlace(join(file.path, "cpu.stat"), false, file.fd, file.cpu);
  await taskGroup(broken, false, owner).end(true).gone;
  expect([ends, openOf(file.path)]).toEqual([[true, false], []]);
});
