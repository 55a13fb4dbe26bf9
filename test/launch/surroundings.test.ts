/** What a sandbox takes in of the system: looked at where the kernel answers by itself, and asked for elsewhere. */
import { afterEach, expect, jest, test } from "bun:test";
import { mkdirSync, mkdtempSync, renameSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { surroundingsOf } from "../../src/launch/surroundings.ts";
import type { Plan } from "../../src/plan/plan.ts";
import { ownDescriptors } from "../descriptors.ts";
import { ENOSYS, filterSource, numbered } from "../places/rules.ts";

/** With a network namespace of that name, and what Landlock is to know. */
const planOf = (joinNet: string, ...hosts: string[]) =>
  ({ policy: { namespaces: new Set(), joinNet, landlock: { hosts } } }) as unknown as Plan;
/** Through a link of /proc the kernel does not answer for itself. */
const LINK = "/proc/self/cwd";

afterEach(() => void jest.useRealTimers());

test("is the same as long as the same lies there; nothing stays open", async () => {
  const dir = mkdtempSync(join(tmpdir(), "spawnbox-surroundings-"));
  try {
    const [one, two] = [join(dir, "one"), join(dir, "two")];
    for (const path of [one, two]) mkdirSync(path);
    for (const plan of [planOf(one, "/"), planOf(one, LINK)]) {
      const before = await surroundingsOf(plan);
      expect(before).toBeString();
      const open = [...ownDescriptors().values()].filter((to) => to.startsWith(dir));
      expect([await surroundingsOf(plan), open]).toEqual([before as string, []]);
      renameSync(one, join(dir, "other"));
      const gone = await surroundingsOf(plan);
      expect(gone).toContain("ENOENT");
      renameSync(two, one);
      expect([before, gone]).not.toContain(await surroundingsOf(plan));
      renameSync(one, two);
      renameSync(join(dir, "other"), one);
      expect(await surroundingsOf(plan)).toBe(before);
    }
  } finally {
    rmSync(dir, { recursive: true });
  }
});

test("is not told where there is no answer in time; who has not answered is not asked again until then", async () => {
  jest.useFakeTimers();
  const first = surroundingsOf(planOf(LINK));
  jest.advanceTimersByTime(99);
  let isOver = false;
  void first.then(() => (isOver = true));
  await Promise.resolve();
  expect(isOver).toBe(false);
  jest.advanceTimersByTime(1);
  expect(await first).toBeUndefined();
  // No further thread waits, also of who asks for others besides.
  expect(await surroundingsOf(planOf(LINK))).toBeUndefined();
  expect(await surroundingsOf(planOf(LINK, "/"))).toBeUndefined();
  jest.useRealTimers();
  let told: string | undefined;
  for (const end = performance.now() + 20_000; told === undefined; await Bun.sleep(1)) {
    expect(performance.now()).toBeLessThan(end);
    told = await surroundingsOf(planOf(LINK));
  }
});

test("is the same where the kernel does not know the call, or no descriptor is left", async () => {
  const source = JSON.stringify(join(import.meta.dir, "../../src/launch/surroundings.ts"));
  const program = `
const { openSync } = await import("node:fs");
const { surroundingsOf } = await import(${source});
const plan = { policy: { namespaces: new Set(), joinNet: "/", landlock: { hosts: ["/proc"] } } };
console.log(await surroundingsOf(plan));
try { for (;;) openSync("/dev/null"); } catch {}
console.log(await surroundingsOf(plan));`;
  const rules = JSON.stringify(numbered([{ call: "openat2", errno: ENOSYS }]));
  const filtered = ["/usr/bin/python3", "-IS", "-c", filterSource, rules];
  const expected = await surroundingsOf(planOf("/", "/proc"));
  for (const first of [[], filtered]) {
    const command = ["prlimit", "--nofile=100:100", ...first, process.execPath, "-e", program];
    const run = Bun.spawnSync(command);
    expect(run.stdout.toString() || run.stderr.toString()).toBe(`${expected}\n${expected}\n`);
  }
});
