/** What a sandbox takes in of the system: looked at where the kernel answers by itself, and asked for elsewhere. */
import { afterEach, expect, jest, test } from "bun:test";
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { surroundingsOf } from "../../src/launch/surroundings.ts";
import type { Plan } from "../../src/plan/plan.ts";
import { isRoot } from "../accounts.ts";
import { ownDescriptors } from "../descriptors.ts";
import { ENOSYS, filterSource, numbered } from "../places/rules.ts";

/** With a network namespace of that name, and what Landlock is to know. */
const planOf = (joinNet: string, ...hosts: string[]) =>
  ({ policy: { namespaces: new Set(), joinNet, landlock: { hosts } } }) as unknown as Plan;
/** Through a link of /proc the kernel does not answer for itself. */
const LINK = "/proc/self/cwd";

const source = join(import.meta.dir, "../../src/launch/surroundings.ts");

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

test.skipIf(!isRoot || !existsSync("/dev/fuse"))(
  "who has answered in time is asked again, though somebody else has not",
  () => {
    const dir = mkdtempSync(join(tmpdir(), "spawnbox-surroundings-"));
    const program = `
const { dlopen } = await import("bun:ffi");
const { openSync } = await import("node:fs");
const { surroundingsOf } = await import(${JSON.stringify(source)});
const { symbols } = dlopen("libc.so.6", { mount: { args: ["cstring", "cstring", "cstring", "u64", "cstring"], returns: "i32" } });
const text = (one) => Buffer.from(one + "\\0");
// Nobody reads there what the kernel asks.
const options = "fd=" + openSync("/dev/fuse", "r+") + ",rootmode=40000,user_id=0,group_id=0";
if (symbols.mount(text("fuse"), text(${JSON.stringify(dir)}), text("fuse"), 0n, text(options)) !== 0) throw new Error("mount");
const planOf = (joinNet, ...hosts) => ({ policy: { namespaces: new Set(), joinNet, landlock: { hosts } } });
const silent = ${JSON.stringify(join(dir, "x"))};
const told = [];
for (const plan of [planOf(silent, "/"), planOf("/"), planOf("/", silent)]) told.push(await surroundingsOf(plan));
console.log(JSON.stringify(told.map((one) => typeof one)));
process.exit();`;
    try {
      const run = Bun.spawnSync(["unshare", "--mount", process.execPath, "-e", program]);
      expect(run.stdout.toString() || run.stderr.toString()).toBe(
        '["undefined","string","undefined"]\n',
      );
    } finally {
      rmSync(dir, { recursive: true });
    }
  },
);

test("is the same where the kernel does not know the call, or no descriptor is left", async () => {
  const program = `
const { openSync } = await import("node:fs");
const { surroundingsOf } = await import(${JSON.stringify(source)});
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
