/** What one value of a config demands of another. */
import { describe, expect, test } from "bun:test";
import { checkConsistency, unnameable } from "../../src/config/consistency.ts";

describe("what contradicts itself", () => {
  const command = { uid: "c", exec: { cmdpath: "/c", args: [] } };
  type Made = { metadata?: object; sandboxes?: object[]; extra?: object[] };
  const told = (config: Made): string[] => {
    const all: string[] = [];
    const given = { metadata: { uid: "u", api: "a" }, ...config };
    checkConsistency(given as never, (path, message) => void all.push(`${path}: ${message}`));
    return all;
  };
  const box = (more: object, uid = "s") => ({ sandboxes: [{ uid, commands: [command], ...more }] });
  const at = "sandboxes[0]";
  const builtin = (verb: string) =>
    `the verb \`${verb}\` is built in; rename it, or give its sandbox a prefix`;
  const args = (...all: unknown[]) => box({ commands: [{ ...command, exec: { args: all } }] });
  const result = (tool: unknown, output?: string) =>
    box({
      commands: [{ ...command, tool: { result: tool }, ...(output && { encoder: { output } }) }],
    });
  test.each<[string, Made, string[]]>([
    ["nothing", box({}), []],
    ["nothing there", {}, []],
    [
      "an API that is built in",
      { metadata: { api: "monitor" } },
      ["metadata.api: the API `monitor` is built in; choose another name"],
    ],
    [
      "one that no URL names",
      { metadata: { api: "a b" } },
      ['metadata.api: the API "a b" contains a blank or a control character'],
    ],
    [
      "rules twice",
      box({ seccomp: { rules: [], rulespath: "/r" } }),
      [`${at}.seccomp: \`rules\` and \`rulespath\` exclude each other; keep one`],
    ],
    ["rules once", box({ seccomp: { rules: [] } }), []],
    ["rules elsewhere", box({ seccomp: { rulespath: "/r" } }), []],
    [
      "a value twice",
      box({ envs: [undefined, { file: "/f", value: "v" }] }),
      [`${at}.envs[1].file: \`value\` and \`file\` exclude each other; keep one`],
    ],
    [
      "a value that is unset",
      box({ envs: [{ file: "/f", mode: "unset" }] }),
      [`${at}.envs[0].file: what is unset has no value: take \`file\` or \`mode\` away`],
    ],
    ["values once", box({ envs: [{ file: "/f" }, { value: "v", mode: "unset" }] }), []],
    ["arguments of all kinds", args("a", undefined, { arg: "a" }, { file: "/f" }), []],
    [
      "one of none",
      args("a", {}),
      [`${at}.commands[0].exec.args[1]: missing key \`arg\` or \`file\`: what the argument is`],
    ],
    [
      "params",
      box({ commands: [{ ...command, params: { x: 5 } }] }),
      [`${at}.commands[0].params.x: found 5, expected a JSON Schema (an object)`],
    ],
    ["a result", result({ type: "object" }, "json"), []],
    [
      "of another encoder",
      result({ type: "object" }, "text"),
      [
        `${at}.commands[0].tool.result: only the encoder json makes a value: say \`encoder\`: \`json\``,
      ],
    ],
    [
      "of none",
      result({ type: "object" }),
      [
        `${at}.commands[0].tool.result: only the encoder json makes a value: say \`encoder\`: \`json\``,
      ],
    ],
    [
      "no object",
      result({ type: "string" }, "json"),
      [`${at}.commands[0].tool.result: expected a JSON Schema with "type": "object"`],
    ],
    [
      "no schema",
      result(5, "json"),
      [`${at}.commands[0].tool.result: expected a JSON Schema with "type": "object"`],
    ],
    [
      "a faulty one",
      result({ type: "object", properties: { a: 1 } }, "json"),
      [`${at}.commands[0].tool.result.properties.a: found 1, expected a JSON Schema (an object)`],
    ],
    [
      "sandboxes of one name",
      { sandboxes: [...box({}).sandboxes, ...box({ prefix: "p" }).sandboxes] },
      ["sandboxes[1].uid: duplicate sandbox uid `s`: already at sandboxes[0].uid"],
    ],
    [
      "commands of one name",
      box({ commands: [command, undefined, command] }),
      [
        `${at}.commands[2].uid: duplicate command uid of this sandbox \`c\`: already at ${at}.commands[0].uid`,
      ],
    ],
    [
      "verbs of one name",
      { ...box({ prefix: "" }), extra: [undefined as never, { uid: "c" }] },
      [`extra[1].uid: duplicate verb \`c\`: already at ${at}.commands[0].uid`],
    ],
    [
      "a verb that is built in",
      box({ commands: [{ ...command, uid: "ping" }], prefix: "" }),
      [`${at}.commands[0].uid: ${builtin("ping")}`],
    ],
    [
      "exec, where it is",
      { ...box({ exec: true }), extra: [{ uid: "exec" }] },
      [`extra[0].uid: ${builtin("exec")}`],
    ],
    [
      "exec, where one of them has it",
      {
        sandboxes: [...box({ exec: true }).sandboxes, ...box({ prefix: "t" }, "t").sandboxes],
        extra: [{ uid: "exec" }],
      },
      [`extra[0].uid: ${builtin("exec")}`],
    ],
    ["exec, where it is not", { ...box({}), extra: [{ uid: "exec" }] }, []],
    [
      "a verb that no URL names",
      { extra: [{ uid: "a/../b" }] },
      ['extra[0].uid: the verb "a/../b" has a part "." or ".."'],
    ],
    [
      "of a sandbox without a name",
      { sandboxes: [{ commands: [{ ...command, uid: "a b" }] }] },
      [],
    ],
    ["a sandbox that is none", { sandboxes: [undefined as never] }, []],
  ])("%s", (_what, config, expected) => {
    expect(told(config)).toEqual(expected);
  });
  test.each<[string, string | undefined]>([
    ["a", undefined],
    ["a.b/..c", undefined],
    ["a b", "contains a blank or a control character"],
    ["a\u0007", "contains a blank or a control character"],
    [".", 'has a part "." or ".."'],
    ["a/..", 'has a part "." or ".."'],
    ["\ud800", "contains half of a surrogate pair"],
  ])("a name %j", (name, why) => {
    expect(unnameable(name)).toBe(why as string);
  });
});
