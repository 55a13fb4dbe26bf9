/** What a killed supervisor leaves behind: ended by the server, which gets it, and nobody else. */
import { expect, spyOn, test } from "bun:test";
import { join } from "node:path";
import * as children from "../../ffi/children.ts";
import { sweepOrphans } from "../../src/launch/orphans.ts";
import { isRoot } from "../accounts.ts";

const module = (name: string) => JSON.stringify(join(import.meta.dir, "../../src/launch", name));
/** What becomes of children, by what they are: in a process that has them all. */
const PROGRAM = `
const { readFileSync } = await import("node:fs");
const { adoptOrphans, sweepOrphans } = await import(${module("orphans.ts")});
const { living, unknown } = await import(${module("living.ts")});
const detached = () => Bun.spawn({ cmd: ["/bin/sleep", "1018"], detached: true, stdio: ["ignore", "ignore", "ignore"] });
const isAlive = (pid) => { try { process.kill(pid, 0); return !/^State:\\\\tZ/m.test(readFileSync("/proc/" + pid + "/status", "utf8")); } catch { return false; } };
const isThere = (pid) => { try { process.kill(pid, 0); return true; } catch { return false; } };
const before = detached();
adoptOrphans();
await sweepOrphans();
const own = Bun.spawn(["/bin/sleep", "1018"]);
const supervisor = detached();
living.set(supervisor.pid, { known: Promise.resolve(), look() {} });
// A tree of which nothing is in one session, and whose root has gone.
const script = "setsid sh -c 'trap : TERM; setsid sleep 1018 & echo $! $$; wait; wait' & read line";
const gone = Bun.spawn(["/bin/sh", "-c", script], { stdio: ["pipe", "pipe", "ignore"] });
const { value } = await gone.stdout.getReader().read();
const tree = new TextDecoder().decode(value).trim().split(" ").map(Number);
gone.stdin.end();
await gone.exited;
const had = tree.map(isAlive);
// One that is asked for is waited for: it may be among them.
const asked = Promise.withResolvers();
unknown.add({ known: asked.promise, look() {} });
let isOver = false;
const sweeping = Promise.all([sweepOrphans(), sweepOrphans()]).then(() => (isOver = true));
for (let i = 0; i < 50; i++) await new Promise((resolve) => setImmediate(resolve));
const early = [isOver, tree.map(isAlive)];
asked.resolve();
if (process.pid !== 1) await sweeping;
console.log(JSON.stringify([had, early, tree.map(isThere), [before, own, supervisor].map(({ pid }) => isAlive(pid))]));
for (const { pid } of [before, own, supervisor]) process.kill(pid, "SIGKILL");
for (const pid of tree) try { process.kill(pid, "SIGKILL"); } catch {}
process.exit();
`;
function told(first: readonly string[] = []) {
  // In a session that is not that of the first process, wherever the tests run.
  const options = { timeout: 20_000, detached: true };
  const run = Bun.spawnSync([...first, process.execPath, "-e", PROGRAM], options);
  return run.stdout.toString() || run.stderr.toString();
}
const [ALL, NONE] = [
  [true, true],
  [false, false],
];

test("all of them end, but for supervisors, children of before and those of this session", () => {
  expect(JSON.parse(told())).toEqual([ALL, [false, ALL], NONE, [true, true, true]]);
});

test.if(isRoot)("the first process of a container ends nobody's", () => {
  const first = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"];
  expect(JSON.parse(told(first))).toEqual([ALL, [true, ALL], ALL, [true, true, true]]);
});

/** Which of the children are dead, at one look after the other: no kernel says when one of them dies. */
test.skipIf(process.pid === 1)(
  "none of the dead loses its number and its place while one of them lives, nor before all heirs are known",
  async () => {
    const same = Array.from({ length: 8 }, () => "01");
    const looks = [...same, "011", "111", "1111", "1111", "1111", "1111", ""];
    const done: string[] = [];
    const naps: number[] = [];
    let look = "";
    const next = () => {
      look = looks.shift() ?? "";
      done.push(look);
      return [...look].map((_, i) => i + 1);
    };
    const spied = [
      spyOn(children, "listChildren").mockImplementation(next),
      spyOn(children, "stateOfChild").mockImplementation((pid) =>
        look[pid - 1] === "1" ? "dead" : "alive",
      ),
      spyOn(children, "sessionOf").mockImplementation((pid) => pid),
      spyOn(children, "killNow").mockReturnValue(true),
      spyOn(children, "reapChild").mockImplementation((pid) => void done.push(`reaped ${pid}`)),
      spyOn(Bun, "sleep").mockImplementation(async (ms) => void naps.push(Number(ms))),
    ];
    try {
      await sweepOrphans();
    } finally {
      for (const one of spied) one.mockRestore();
    }
    const reaped = [1, 2, 3, 4].map((pid) => `reaped ${pid}`);
    // Others may have come to be there since, as many as there were.
    const twice = ["1111", "1111", ...reaped];
    expect(done).toEqual([...same, "011", "111", ...twice, ...twice, ""]);
    // While none dies, longer and longer.
    expect(naps).toEqual([1, 2, 4, 8, 16, 32, 64, 64, 1]);
  },
);
