/** What programs may rely on: what a config says, and what a sandbox proves. */
import { describe, expect, test } from "bun:test";
import { normalize } from "../../src/config/normalize.ts";
import { compiled, planOf } from "./compiling.ts";

const PROFILE = { profile: "minimal", acls: { user: "daemon" } };
const plan = (sandbox: object, command: object = {}) =>
  planOf(
    compiled({ ...sandbox, commands: { uid: "c", exec: { cmdpath: "/bin/sh" }, ...command } }),
  );
const mount = (source: string, mode: string, more: object = {}) => ({
  namespace: { mounts: [{ source, target: "/data", mode }] },
  ...more,
});

describe("what a sandbox proves", () => {
  const READONLY = { readonly: true, openworld: false };
  test.each<[string, object, object | undefined]>([
    ["nothing around it", { acls: { user: "daemon" } }, undefined],
    ["minimal", PROFILE, READONLY],
    ["a network", { ...PROFILE, profile: "network" }, undefined],
    ["a writable place", { ...PROFILE, ...mount("/var", "rw") }, undefined],
    ["a place that may have sockets", { ...PROFILE, ...mount("/var", "ro") }, undefined],
    [
      "the same without sockets",
      { ...PROFILE, ...mount("/var", "ro"), network: { families: [] } },
      READONLY,
    ],
    [
      "a writable place without sockets",
      { ...PROFILE, ...mount("/var", "rw"), network: { families: [] } },
      { openworld: false },
    ],
    ["sockets of the machine", { ...PROFILE, network: { families: ["AF_VSOCK"] } }, undefined],
    ["a capability", { ...PROFILE, caps: ["KILL"] }, { openworld: false }],
    [
      "processes of the machine",
      { ...PROFILE, namespace: { shares: { pid: "enable" } } },
      undefined,
    ],
    [
      "the network of the machine",
      { ...PROFILE, namespace: { shares: { net: "enable" } } },
      undefined,
    ],
    [
      "one family of sockets in the network of the machine",
      {
        ...PROFILE,
        namespace: { shares: { net: "enable" } },
        network: { families: ["AF_INET"] },
      },
      undefined,
    ],
    [
      "the network of the machine without sockets",
      { ...PROFILE, namespace: { shares: { net: "enable" } }, network: { families: [] } },
      READONLY,
    ],
  ])("%s", (_what, sandbox, tool) => {
    const found = plan(sandbox).tool;
    expect(found).toEqual(tool as typeof found);
  });

  test("what the config says comes first", () => {
    const tool = { readonly: false, destructive: true, idempotent: false, openworld: true };
    expect(plan(PROFILE, { tool }).tool).toEqual(tool);
    expect(plan({ acls: { user: "daemon" } }, { tool: { idempotent: true } }).tool).toEqual({
      idempotent: true,
    });
  });
});

describe("result", () => {
  const problems = (command: object) =>
    normalize(
      {
        metadata: { uid: "t", api: "t" },
        sandboxes: {
          uid: "s",
          commands: { uid: "c", exec: { cmdpath: "/bin/true" }, ...command },
        },
      },
      "f.json",
    ).problems.map(({ path, message }) => `${path}: ${message}`);
  const at = "sandboxes[0].commands[0].tool.result";

  test.each<[object, string | undefined]>([
    [{ encoder: "json", tool: { result: { type: "object" } } }, undefined],
    [{ tool: { result: { type: "object" } } }, `${at}: only the encoder json`],
    [{ encoder: "json", tool: { result: { type: "array" } } }, `${at}: expected a JSON Schema`],
    [{ encoder: "json", tool: { result: 5 } }, `${at}: expected a JSON Schema`],
    [
      { encoder: "json", tool: { result: { type: "object", wrong: 1 } } },
      `${at}.wrong: the keyword`,
    ],
  ])("%j", (command, problem) => {
    const found = problems(command);
    if (problem === undefined) expect(found).toEqual([]);
    else expect(found).toEqual([expect.stringContaining(problem)]);
  });
});

test("which verbs are offered: a name that is none is told", () => {
  const { mcp, notices } = compiled({ ...PROFILE }, undefined, { mcp: ["c", "net/*", "cc"] });
  expect(mcp).toEqual(["c", "net/*", "cc"]);
  expect(notices).toContainEqual({
    path: "mcp[2]",
    message: expect.stringContaining("no verb `cc` to offer; did you mean `c`"),
  });
});
