/** What may be executed: each argument, each bound, and what is told of a call that fails. */
import { describe, expect, test } from "bun:test";
import type { Refusal } from "../../src/api/witness.ts";
import { parseExact } from "../../src/numbers.ts";
import { parseTemplate } from "../../src/plan/argv.ts";
import type { Plan } from "../../src/plan/plan.ts";
import { apiOf, connecting, granting, shell, spawnLaunch } from "./harness.ts";

const make = connecting();
const exec = (uid: string, more: Partial<Plan> = {}) => ({
  ...{ uid, plans: [] },
  exec: shell("exec", "", { sandbox: uid, argv: { elements: [], names: new Set() }, ...more }),
});
const SANDBOXES = [exec("open", { timeout: 500 }), exec("endless"), exec("brief", { timeout: 1 })];

/** The plan and the command line of a start, or why there is none. */
async function started(args: unknown, sandboxes = SANDBOXES, granted: string[] = []) {
  const seen: { plan: Plan; argv: readonly string[] }[] = [];
  const refusals: Refusal[] = [];
  const { client, registry } = make([], {
    apis: [apiOf([], { sandboxes })],
    launch: (plan, argv, ...rest) => {
      seen.push({ plan, argv });
      return spawnLaunch(plan, argv, ...rest);
    },
    granted: granting(...granted),
    witnesses: [{ refused: (one: Refusal) => void refusals.push(one) } as never],
  });
  const { request } = await client.call("exec", args);
  const [one] = seen;
  return { ...one, why: `${request.status}: ${request.info}`, refusals, registry };
}
const fine = { sandbox: "open", exec: { cmdpath: "/bin/true" } };

test.each<[object, Partial<Plan> & { argv?: unknown }, readonly string[]]>([
  [{}, { command: "true", timeout: 500, sandbox: "open" }, ["/bin/true"]],
  [{ exec: { cmdpath: "/bin/true", args: 5 } }, { command: "true" }, ["/bin/true", "5"]],
  [{ uid: "a.b-c_1" }, { command: "a.b-c_1" }, ["/bin/true"]],
  [{ uid: "u".repeat(64) }, { command: "u".repeat(64) }, ["/bin/true"]],
  [{ timeout: 0.2 }, { timeout: 200 }, ["/bin/true"]],
  [{ timeout: 9 }, { timeout: 500 }, ["/bin/true"]],
  [{ timeout: 0 }, { timeout: 500 }, ["/bin/true"]],
  [{ timeout: 2_147_483 }, { timeout: 500 }, ["/bin/true"]],
  [{ sandbox: "endless" }, { timeout: 0 }, ["/bin/true"]],
  [{ sandbox: "endless", timeout: 3 }, { timeout: 3000 }, ["/bin/true"]],
  [{ sandbox: "brief", timeout: 3 }, { timeout: 1 }, ["/bin/true"]],
  [{ timeout: 0.001 }, { timeout: 1 }, ["/bin/true"]],
  [{ encoder: "line" }, { encoder: { name: "line", opts: {} } }, ["/bin/true"]],
  [
    { encoder: { output: "line", opts: { maxlen: 9 } } },
    { encoder: { name: "line", opts: { maxlen: 9 } } },
    ["/bin/true"],
  ],
])("%j is executed", async (more, plan, line) => {
  const { plan: found, argv } = await started({ ...fine, ...more });
  expect(found).toMatchObject(plan);
  expect(argv).toEqual(line);
});

const KEYS = "sandbox, exec, uid, timeout, verbose, encoder";
test.each<[unknown, string]>([
  ["x", 'expects {"sandbox":"UID","exec":{"cmdpath":"/PATH","args":[…]}}'],
  [{ ...fine, exek: 1 }, `unknown key "exek"; did you mean \`exec\`? (${KEYS})`],
  [{ ...fine, ["k".repeat(81)]: 1 }, `unknown key "${"k".repeat(80)}" (${KEYS})`],
  [
    { ...fine, sandbox: "opne" },
    'sandbox: none "opne" that allows exec; did you mean `open`? (open, endless, brief)',
  ],
  [{ ...fine, sandbox: 5 }, "sandbox: none 5 that allows exec (open, endless, brief)"],
  [{ sandbox: "open" }, 'exec: expected {"cmdpath":"/PATH","args":[…]}'],
  [
    { ...fine, exec: { cmdpath: "/x", arg: 1 } },
    'unknown key exec."arg"; did you mean `args`? (cmdpath, args)',
  ],
  [{ ...fine, exec: { cmdpath: "true" } }, "exec.cmdpath: expected an absolute path"],
  [{ ...fine, exec: {} }, "exec.cmdpath: expected an absolute path"],
  [{ ...fine, exec: { cmdpath: "/a\0" } }, expect.stringMatching(/^exec\.cmdpath /) as never],
  [
    { ...fine, exec: { cmdpath: "/a", args: ["b", "\0"] } },
    expect.stringMatching(/^exec\.args\[1\] /) as never,
  ],
  ...["", "a b", "u".repeat(65), 5, null].map((uid): [unknown, string] => [
    { ...fine, uid },
    "uid: expected up to 64 letters, digits, _, . or -",
  ]),
  ...[-1, 2_147_484, "5", null].map((timeout): [unknown, string] => [
    { ...fine, timeout },
    `timeout: expected seconds from 0 to 2147483, not ${JSON.stringify(timeout)}`,
  ]),
  [{ ...fine, encoder: 5 }, "encoder: expected a name, or an object with output"],
  [
    { ...fine, encoder: { output: "line", opt: 1 } },
    'unknown key encoder."opt"; did you mean `opts`? (plugin, output, opts)',
  ],
  [{ ...fine, encoder: {} }, "encoder.output: expected a name"],
  [{ ...fine, encoder: { output: "line", plugin: 5 } }, "encoder.plugin: expected a name"],
  [{ ...fine, encoder: "none" }, 'encoder: there is no "none"'],
  [{ ...fine, encoder: { output: "line", plugin: "p" } }, 'encoder: there is no "line"'],
  [
    { ...fine, encoder: "log" },
    "encoder: log writes files with the rights of the server; choose another",
  ],
  [{ ...fine, encoder: { output: "line", opts: 5 } }, "encoder.opts: expected an object"],
  [
    { ...fine, encoder: { output: "line", opts: { x: 1, y: 2 } } },
    expect.stringMatching(/^encoder\.opts: .*; /) as never,
  ],
  [{ ...fine, verbose: 5 }, "verbose must be a whole number from 0 to 4, not 5"],
])("%j is not", async (args, why) => {
  const { plan, why: said } = await started(args);
  expect(plan).toBeUndefined();
  expect(said.replace("invalid-request: ", "")).toEqual(why);
});

test("numbers are what was written, of a program and of a command", async () => {
  const numbers = parseExact("[9007199254740993, 1.50, -0]") as unknown[];
  const { argv } = await started({ ...fine, exec: { cmdpath: "/bin/true", args: numbers } });
  expect(argv).toEqual(["/bin/true", "9007199254740993", "1.50", "-0"]);
  const seen: (readonly string[])[] = [];
  const template = parseTemplate("/bin/true", ["%n%"], (text) => text);
  const { client } = make([shell("v", "", { argv: template })], {
    launch: (plan, line, ...rest) => {
      seen.push(line);
      return spawnLaunch(plan, line, ...rest);
    },
  });
  await client.call("v", { n: numbers[0] });
  expect(seen).toEqual([["/bin/true", "9007199254740993"]]);
});

test("it is told what its sandbox does as loud as either asks", async () => {
  const explain = () => ["steps"];
  const { client } = make([], { apis: [apiOf([], { sandboxes: SANDBOXES })], explain });
  const plans = [];
  for (const verbose of [
    [0, 0],
    [1, 0],
    [0, 1],
  ]) {
    const args = { ...fine, verbose: verbose[1] };
    const { response } = await client.call("exec", { action: "start", verbose: verbose[0], args });
    plans.push((response as { plan?: string[] }).plan);
  }
  expect(plans).toEqual([undefined, ["steps"], ["steps"]]);
});

test("a program whose name is long, or none, has one", async () => {
  const named = async (cmdpath: string) =>
    (await started({ ...fine, exec: { cmdpath } })).plan?.command;
  expect(await named(`/x/${"é".repeat(70)}`)).toBe("é".repeat(64));
  expect(await named("/")).toBe("exec");
});

describe("of a call that fails", () => {
  const shy = [exec("open"), exec("shy", { discreet: true })];
  const told = async (args: unknown, sandboxes: typeof SANDBOXES) => {
    const { refusals } = await started(args, sandboxes as typeof SANDBOXES);
    const [one] = refusals as unknown as { args?: unknown; hidden?: true }[];
    return [one?.args, one?.hidden];
  };
  const wrong = { sandbox: "open", exec: 5 };
  test("its arguments are told, where its sandbox does not hide them", async () => {
    expect(await told(wrong, SANDBOXES)).toEqual([wrong, undefined]);
    expect(await told(wrong, shy as never)).toEqual([wrong, undefined]);
    expect(await told({ ...wrong, sandbox: "shy" }, shy as never)).toEqual([undefined, true]);
  });
  test("where nobody knows which sandbox it was to be, as the one that hides most", async () => {
    for (const sandbox of ["none", 5]) {
      expect(await told({ ...wrong, sandbox }, SANDBOXES)).toEqual([
        { ...wrong, sandbox },
        undefined,
      ]);
      expect(await told({ ...wrong, sandbox }, shy as never)).toEqual([undefined, true]);
    }
    expect(await told({ action: 5 }, SANDBOXES)).toEqual([undefined, true]);
  });
});

test("[protection] it needs what all of its sandboxes need, and each what it needs besides", async () => {
  const sandboxes = [
    exec("open", { privileges: ["all"] }),
    exec("guarded", { privileges: ["all", "own"] }),
  ];
  const { registry } = await started(fine, sandboxes);
  const verb = registry.describe()[0]?.verbs.find(({ name }) => name === "exec");
  expect(verb).toMatchObject({
    ...{ name: "exec", privileges: ["all"], task: true },
    info: "runs a program in a sandbox: open, guarded",
    sample: [{ sandbox: "open", exec: { cmdpath: "/bin/ls", args: ["-l"] } }],
  });
  expect(verb?.parameters.map(({ name, required }) => [name, required])).toEqual([
    ...[
      ["sandbox", true],
      ["exec", true],
      ["uid", false],
      ["timeout", false],
    ],
    ...[
      ["verbose", false],
      ["encoder", false],
    ],
  ] as never);
  expect(verb?.parameters.map(({ schema }) => schema)).toEqual([
    { type: "string", enum: ["open", "guarded"] },
    {
      type: "object",
      properties: { cmdpath: { type: "string", pattern: "^/" }, args: true },
      ...{ required: ["cmdpath"], additionalProperties: false },
    },
    { type: "string", pattern: "^[\\w.-]{1,64}$" },
    { type: "number", minimum: 0, maximum: 2_147_483 },
    { type: "integer", minimum: 0, maximum: 4 },
    {
      anyOf: [
        { type: "string" },
        {
          type: "object",
          properties: { plugin: { type: "string" }, output: { type: "string" }, opts: true },
          ...{ required: ["output"], additionalProperties: false },
        },
      ],
    },
  ]);
  const may = async (sandbox: string, ...granted: string[]) =>
    (await started({ ...fine, sandbox }, sandboxes, granted)).plan?.sandbox;
  expect([await may("open"), await may("open", "all")]).toEqual([undefined, "open"]);
  expect([await may("guarded", "all"), await may("guarded", "own", "all")]).toEqual([
    ...[undefined, "guarded"],
  ]);
});
