/** `monitor/reload`, and what a reload changes for callers. */
import { describe, expect, test } from "bun:test";
import type { ApiPlan, ImportPlan, Plan } from "../../src/plan/plan.ts";
import { changesOf, reloadVerb } from "../../src/service/reload-verb.ts";
import { apiOf, shell } from "../api/harness.ts";

const NONE = { added: [], changed: [], removed: [] };
const request = (args: unknown) =>
  ({ api: "monitor", verb: "reload", args, session: { uuid: "s" } }) as const;

describe("the verb", () => {
  test("gives what has changed", async () => {
    const changes = { ...NONE, added: ["a/b"] };
    const verb = reloadVerb(async () => ({ ok: true, loaded: { changes }, problems: [] }) as never);
    expect(await verb.call(request(null))).toEqual(changes);
    expect(verb.privileges).toEqual(["urn:spawnbox:reload"]);
  });

  test("says what is wrong, and how much", async () => {
    const problem = { file: "f", path: "p", message: "m" };
    const failing = (count: number) =>
      reloadVerb(async () => ({ ok: false, problems: Array(count).fill(problem) }) as never);
    expect(failing(1).call(request({}))).rejects.toThrow(/^nothing changed: 1 problem\nf: p: m$/);
    expect(failing(2).call(request(undefined))).rejects.toThrow(
      /^nothing changed: 2 problems\nf: p: m\nf: p: m$/,
    );
  });

  test("takes nothing", async () => {
    let asked = 0;
    const verb = reloadVerb(async () => {
      asked++;
      return { ok: true, loaded: { changes: NONE }, problems: [] } as never;
    });
    for (const args of [{ a: 1 }, "x", [1], 5])
      expect((async () => verb.call(request(args)))()).rejects.toThrow("reload takes no arguments");
    expect(asked).toBe(0);
  });
});

describe("what has changed", () => {
  const plan = (verb: string, more: Partial<Plan> = {}) => shell(verb, "true", more);
  const api = (plans: Plan[], more: Partial<ApiPlan> = {}) => [apiOf(plans, more)];
  const before = api([plan("a"), plan("b")]);

  test.each<[string, ApiPlan[], object]>([
    ["nothing", api([plan("a"), plan("b")]), {}],
    ["their order", api([plan("b"), plan("a")]), {}],
    ["one more", api([plan("a"), plan("b"), plan("c")]), { added: ["p/c"] }],
    ["one fewer", api([plan("b")]), { removed: ["p/a"] }],
    ["all", [], { removed: ["p/a", "p/b"] }],
    ["how long it may take", api([plan("a", { timeout: 5 }), plan("b")]), { changed: ["p/a"] }],
    [
      "what is launched",
      api([plan("a", { ops: Uint8Array.of(1) }), plan("b")]),
      { changed: ["p/a"] },
    ],
    [
      "its control group",
      api([plan("a", { policy: { cgroup: { path: "x" } } as never }), plan("b")]),
      { changed: ["p/a"] },
    ],
    [
      "what else is of its policy, which is in what is launched",
      api([plan("a", { policy: { umask: 7 } as never }), plan("b")]),
      {},
    ],
    [
      "the name of its API",
      api([plan("a"), plan("b")], { api: "q" }),
      { added: ["q/a", "q/b"], removed: ["p/a", "p/b"] },
    ],
  ])("%s", (_, after, changes) => {
    expect(changesOf(before, after)).toEqual({ ...NONE, ...changes });
  });

  test("exec, of all sandboxes; further verbs, and imports", () => {
    const exec = (uid: string, more: Partial<Plan> = {}) => ({
      ...{ uid, plans: [], exec: plan("exec", { sandbox: uid, ...more }) },
    });
    const one = api([], { sandboxes: [exec("s")] });
    expect(changesOf([], one)).toEqual({ ...NONE, added: ["p/exec"] });
    expect(changesOf(one, api([], { sandboxes: [exec("s"), exec("t")] }))).toEqual({
      ...{ ...NONE, changed: ["p/exec"] },
    });
    const actions = (action: string) => ({
      actions: {
        ...{ onload: [], onstart: [], events: [] },
        extra: [
          {
            ...{ uid: "x", action, required: false },
            target: { kind: "api", api: "p", verb: "a" } as const,
          },
        ],
      },
    });
    expect(changesOf(api([], actions("api://p#a")), api([], actions("api://p#b")))).toEqual({
      ...{ ...NONE, changed: ["p/x"] },
    });
    const imports = (uri: string) => {
      const address = { kind: "unix", path: "/x" } as const;
      const plan: ImportPlan = {
        ...{ name: "far", remote: "far", speech: "rpc", uri, address, privileges: [] },
      };
      return { imports: [plan] };
    };
    expect(changesOf(api([]), api([], imports("unix:/x")))).toEqual({ ...NONE, added: ["far/*"] });
    expect(changesOf(api([], imports("unix:/x")), api([], imports("unix:/y")))).toEqual({
      ...{ ...NONE, changed: ["far/*"] },
    });
  });
});
