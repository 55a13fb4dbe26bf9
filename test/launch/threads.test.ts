/** How many processes an ordinary user may still have: of which root takes no notice, so another one asks. */
import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { supplies } from "../../src/launch/supplies.ts";
import { asOrdinary } from "../accounts.ts";
import { isRoot } from "../served.ts";

const PROGRAM = `
const { supplies } = await import(${JSON.stringify(join(import.meta.dir, "../../src/launch/supplies.ts"))});
const own = supplies().filter(({ limit }) => limit.startsWith("RLIMIT_NPROC"));
const { readdirSync } = await import("node:fs");
console.log(JSON.stringify({ own, threads: readdirSync("/proc/self/task").length }));
`;

/** As the ordinary user, with a limit of so many. */
function asked(most: string, soft = most) {
  const run = Bun.spawnSync([
    ...["prlimit", `--nproc=${soft}:${most}`, ...asOrdinary, process.execPath, "-e", PROGRAM],
  ]);
  const text = run.stdout.toString();
  if (text === "") throw new Error(run.stderr.toString());
  return JSON.parse(text) as {
    own: { total: number; used: number; limit: string; name: string; each: number }[];
    threads: number;
  };
}

describe.if(isRoot)("processes of a user", () => {
  /** Only some may have more than they have. */
  const hard = /^Max processes +\S+ +(\S+)/m.exec(readFileSync("/proc/self/limits", "utf8"))?.[1];
  const highest = hard === "unlimited" ? Infinity : Number(hard);
  const all = () => Number(/\/(\d+) /.exec(readFileSync("/proc/loadavg", "utf8"))?.[1]);

  test("are its own threads, where those of everybody would leave little", () => {
    const most = Math.min(highest, Math.max(200, all()));
    const { own, threads } = asked(`${most}`);
    expect(own).toMatchObject([
      {
        ...{ name: "processes", limit: "RLIMIT_NPROC (LimitNPROC of systemd)" },
        ...{ total: most - Math.min(32, Math.floor(most / 4)), each: 4 },
      },
    ]);
    // Some of the runtime's come and go, and other suites may run as that user.
    expect(own[0]?.used).toBeWithin(Math.floor(threads / 2), all());
  });

  test("are no more than its soft limit, and any where there is none", () => {
    const most = Math.min(highest, Math.max(400, all()));
    expect(asked(`${most}`, `${most - 100}`).own[0]?.total).toBe(most - 100);
    expect(asked(`${most}`, `${most - 10}`).own[0]?.total).toBe(most - 32);
    if (highest === Infinity) expect(asked("unlimited").own).toEqual([]);
  });

  test("are those of everybody, where these leave much", () => {
    const most = Math.min(highest, 1_000_000);
    const { own } = asked(`${most}`);
    expect(own[0]?.total).toBe(most - 32);
    const { used = 0 } = supplies().find(({ limit }) => limit.endsWith("(sysctl)")) ?? {};
    if (most > 8 * used) expect(own[0]?.used).toBeWithin(Math.floor(used / 2), 2 * used);
  });
});
