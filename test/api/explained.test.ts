/** `monitor/explain` of several sandboxes: which are told of, to whom, and that others are heard meanwhile. */
import { expect, spyOn, test } from "bun:test";
import { explainVerb } from "../../src/api/explained.ts";
import type { Gate } from "../../src/api/gate.ts";
import type { Plan, SandboxPlan } from "../../src/plan/plan.ts";
import { asUser, compiled } from "../plan/compiling.ts";

const command = (uid: string, privilege?: string) => ({
  ...{ uid, ...(privilege !== undefined && { privilege }), exec: { cmdpath: "/bin/true" } },
});
const box = (uid: string) => ({
  uid,
  commands: [command(`${uid}-a`, `may-${uid}`), command(`${uid}-b`)],
});
const plans = compiled({}, asUser, { sandboxes: [box("One"), box("two")] });
/** @param may by the privileges that a call takes */
const asked = async (args: unknown, may: (privileges: readonly unknown[]) => boolean) => {
  const gate = { may: async (privileges: Plan["privileges"]) => may(privileges) };
  const verb = explainVerb({ gate: gate as unknown as Gate, apis: () => [plans] });
  return (await verb.call({ api: "monitor", verb: "explain", args, session: { uuid: "u" } })) as {
    sandbox: string;
    verbs: string[];
    steps: object[];
  }[];
};
const told = async (...of: Parameters<typeof asked>) =>
  (await asked(...of)).map(({ sandbox, verbs }) => [sandbox, ...verbs]);

test("each sandbox is told of to who may call one of its verbs, and these", async () => {
  const all = [
    ["One", "One/One-a", "One/One-b"],
    ["two", "two/two-a", "two/two-b"],
  ];
  expect(await told(undefined, () => true)).toEqual(all);
  expect(await told(null, () => true)).toEqual(all);
  expect(await told({}, (privileges) => privileges.length === 0)).toEqual([
    ["One", "One/One-b"],
    ["two", "two/two-b"],
  ]);
  expect(await told({}, (privileges) => `${privileges.join()}` === "may-two")).toEqual([
    ["two", "two/two-a"],
  ]);
  expect(await told({}, () => false)).toEqual([]);
});

test("by names, in whatever case", async () => {
  for (const [args, boxes] of [
    [{ api: "t" }, ["One", "two"]],
    [{ api: "T", sandbox: "one" }, ["One"]],
    [{ sandbox: "two" }, ["two"]],
    [{ api: "u" }, []],
    [{ sandbox: "three" }, []],
  ] as const)
    expect((await told(args, () => true)).map(([uid]) => uid)).toEqual([...boxes]);
  for (const [args, why] of [
    [[], 'expects {"api":NAME,"sandbox":UID}'],
    [{ apis: "t" }, 'unknown key "apis" (api, sandbox)'],
    [{ api: 1 }, "api: expected a name"],
  ] as const)
    expect(asked(args, () => true)).rejects.toMatchObject({
      message: why,
      status: "invalid-request",
    });
});

test("what it does is told once it is found out, without the command itself", async () => {
  const [first] = await asked({ sandbox: "one" }, () => true);
  const [again] = await asked({ sandbox: "one" }, () => true);
  expect(again).toEqual(first as never);
  expect(again?.steps).toBe(first?.steps as never);
  expect(JSON.stringify(first?.steps)).not.toContain("/bin/true");
});

test("who takes long lets others be heard behind each, and who does not is done in one turn", async () => {
  const many = Array.from({ length: 4 }, (): SandboxPlan | undefined => plans.sandboxes[0]);
  /** @param taking ms of each sandbox */
  const turnsOf = async (...taking: number[]) => {
    let now = 1000;
    using _clock = spyOn(performance, "now").mockImplementation(() => now);
    const left = [...taking];
    // Of two verbs that each has.
    let isFirst = false;
    const may = async () => {
      isFirst = !isFirst;
      if (isFirst) now += left.shift() ?? 0;
      return false;
    };
    const apis = () => [{ ...plans, sandboxes: many as SandboxPlan[] }];
    const verb = explainVerb({ gate: { may } as unknown as Gate, apis });
    let turns = 0;
    let isOver = false;
    const count = (): void => {
      turns++;
      if (!isOver) setImmediate(count);
    };
    setImmediate(count);
    await verb.call({ api: "monitor", verb: "explain", args: {}, session: { uuid: "u" } });
    isOver = true;
    return turns;
  };
  expect(await turnsOf(5, 4, 5, 4)).toBe(4);
  expect(await turnsOf(0, 0, 0, 0)).toBe(0);
  expect(await turnsOf(3, 0, 0, 0)).toBe(0);
  // Counted from the last turn.
  expect(await turnsOf(2, 2, 2, 1)).toBe(1);
  expect(await turnsOf(4, 0, 3, 0)).toBe(1);
});
