/** The question to a person: what it shows, and each answer that is no yes. */
import type { ElicitRequest, ElicitResult } from "@modelcontextprotocol/sdk/types.js";
import { afterEach, expect, jest, test } from "bun:test";
import type { Asked } from "../../src/api/client.ts";
import { called, type Linking, linking, verb } from "./linked.ts";

const link = linking();
afterEach(() => void jest.useRealTimers());
const YES: ElicitResult = { action: "accept", content: { confirm: true } };
const PLAN: Asked["plan"] = { api: "p", verb: "v", sandbox: "s", privileges: [] };

/** What a call is answered whose verb asks so, and what the person was shown. */
async function asking(start: Partial<Asked>, answer?: Linking["answer"], more: Linking = {}) {
  const shown: ElicitRequest["params"][] = [];
  const asks = verb("v", async ({ confirm }) => {
    await confirm?.({ plan: PLAN, kept: {}, ...start });
    return "it began";
  });
  const { client } = await link({
    ...more,
    verbs: [asks],
    ...(answer && {
      answer: (asked) => {
        shown.push(asked);
        return answer(asked);
      },
    }),
  });
  const { content } = await called(client, "p_v", undefined, { timeout: 3_600_000 });
  return { said: content[0]?.text, shown };
}

test("a yes, asked as a form that is easily said no to", async () => {
  const { said, shown } = await asking({}, () => YES);
  expect(said).toBe("it began");
  expect(shown).toEqual([
    {
      mode: "form",
      message: "Start p/v?\nVerb: p/v, in the sandbox s\nArguments: none, or the config hides them",
      requestedSchema: {
        type: "object",
        properties: {
          confirm: {
            ...{ type: "boolean", title: "Start it" },
            description: "yes: it is started as shown",
            default: false,
          },
        },
        required: ["confirm"],
      },
    },
  ]);
});

test.each<[string, Partial<Asked>, string]>([
  [
    "the command line",
    { kept: { argv: ["/bin/x", "a\nb\u202e"], args: { a: 1 } } },
    'Start p/v?\nVerb: p/v, in the sandbox s\nCommand line: ["/bin/x","a\\nb\\u202e"]',
  ],
  [
    "arguments",
    { kept: { args: { a: "\u202e" } } },
    'Start p/v?\nVerb: p/v, in the sandbox s\nArguments: {"a":"\\u202e"}',
  ],
  [
    "what it is called, and what it does, each in a line",
    { plan: { ...PLAN, label: "The\nthing", info: "does\nit", sandbox: "s\n" } },
    "Start The\\u000athing?\ndoes\\u000ait\nVerb: p/v, in the sandbox s\\u000a\nArguments: none, or the config hides them",
  ],
])("what is shown: %s", async (_what, start, message) => {
  const { shown } = await asking(start, () => YES);
  expect(shown.map((one) => one.message)).toEqual([message]);
});

const SHOWN = 4_000;
/** A command line of so many characters, as it is shown. */
const long = (length: number) => ({
  kept: { argv: ["x".repeat(length - 'Command line: [""]'.length)] },
});
const MUCH =
  "forbidden: p/v asks a person before it starts, and nobody reads so much: its arguments are to be shorter than 4000 characters";
test.each<[string, Partial<Asked>, Linking["answer"], string]>([
  [
    ...(["nobody is there", {}, undefined] as [string, object, undefined]),
    "forbidden: p/v asks a person before it starts, and this client cannot ask one (it has no elicitation): use one that can, or start it otherwise",
  ],
  ["as much as somebody reads", long(SHOWN), () => YES, "it began"],
  ["more than that", long(SHOWN + 1), () => YES, MUCH],
  ["what is not all there", { kept: { args: {}, cut: 9000 } }, () => YES, MUCH],
  ["no", {}, () => ({ action: "decline" }), "forbidden: p/v was not started: it was declined"],
  [
    "no, with a yes in it",
    {},
    () => ({ action: "decline", content: { confirm: true } }),
    "forbidden: p/v was not started: it was declined",
  ],
  [
    "nothing",
    {},
    () => ({ action: "cancel" }),
    "forbidden: p/v was not started: the question was left without an answer",
  ],
  [
    "a yes that is none",
    {},
    () => ({ action: "accept", content: { confirm: false } }),
    "forbidden: p/v was not started: it was not confirmed",
  ],
  [
    "a client that breaks",
    {},
    () => {
      throw new Error("broken");
    },
    "forbidden: nobody could be asked: MCP error -32603: broken",
  ],
])("[protection] %s", async (_what, start, answer, expected) => {
  expect((await asking(start, answer)).said).toBe(expected);
});

test.each([
  [["x"], "it began"],
  [[], "insufficient-scope: p/v: the privilege for it was withdrawn meanwhile"],
])("[protection] who answers has the privileges then: %p", async (left, expected) => {
  let has = ["x"];
  const registry = { granted: () => ({ privileges: new Set(has) }) };
  const answer = () => {
    has = left;
    return YES;
  };
  const { said } = await asking({ plan: { ...PLAN, privileges: ["x"] } }, answer, { registry });
  expect(said).toBe(expected);
});

test("a person has five minutes, and then it is as if there were none", async () => {
  const asked = Promise.withResolvers<void>();
  const told: string[] = [];
  jest.useFakeTimers();
  const done = asking({}, () => {
    asked.resolve();
    return new Promise<ElicitResult>(() => {});
  }).then(({ said = "" }) => void told.push(said));
  await asked.promise;
  jest.advanceTimersByTime(5 * 60_000 - 1);
  for (let n = 0; n < 50; n++) await Promise.resolve();
  expect(told).toEqual([]);
  jest.advanceTimersByTime(1);
  await done;
  expect(told).toEqual(["forbidden: nobody could be asked: MCP error -32001: Request timed out"]);
});

test("cancelled while somebody thinks", async () => {
  const asked = Promise.withResolvers<void>();
  const refused = Promise.withResolvers<unknown>();
  const asks = verb("v", async ({ confirm }) => {
    await confirm?.({ plan: PLAN, kept: {} }).catch(refused.resolve);
  });
  const answer = () => {
    asked.resolve();
    return new Promise<ElicitResult>(() => {});
  };
  const { client } = await link({ verbs: [asks], answer });
  const abort = new AbortController();
  const call = client.callTool({ name: "p_v" }, undefined, { signal: abort.signal });
  call.catch(() => {});
  await asked.promise;
  abort.abort("enough");
  expect(await refused.promise).toMatchObject({
    ...{ status: "bad-state", message: "it was cancelled before it began" },
  });
  await expect(call).rejects.toThrow("enough");
});
