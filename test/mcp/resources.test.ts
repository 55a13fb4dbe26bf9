/** What a client can read: what is listed, what is in it, and what is not there. */
import { expect, test } from "bun:test";
import { parseTemplate } from "../../src/plan/argv.ts";
import { read } from "../../src/mcp/resources.ts";
import { apiOf, granting, shell } from "../api/harness.ts";
import { asUser, compiled } from "../plan/compiling.ts";
import { called, linking } from "./linked.ts";

const link = linking();
const commands = { uid: "c", exec: { cmdpath: "/bin/sh" } };
const SANDBOXES = () => {
  const boxes = [
    { uid: "a b", commands },
    { uid: "secret", prefix: "secret", privilege: "x", commands },
  ];
  return [apiOf([], { sandboxes: boxes.flatMap((one) => compiled(one, asUser).sandboxes) })];
};
const BOX = {
  ...{ uri: "spawnbox://sandbox/t/a%20b", name: "t/a b", title: "Sandbox t/a b" },
  description: "what it does before a command runs, and how much it leaves open",
  mimeType: "application/json",
};
const TASKS = {
  ...{ uri: "spawnbox://tasks", name: "tasks", title: "Last tasks" },
  description: "what this caller has started lately, the newest first",
  mimeType: "application/json",
};
const DOCTOR = {
  ...{ uri: "spawnbox://doctor", name: "doctor", title: "Doctor" },
  description:
    "what this kernel and the user of the server can do, and what to do about what is missing",
  mimeType: "application/json",
};

test("[protection] sandboxes of which the caller may call something, and what is there besides", async () => {
  const doctor = async () => '{"doctor":1}';
  const all = async (granted: string[], host: object) => {
    const registry = { apis: SANDBOXES(), granted: granting(...granted) };
    const { client } = await link({ registry, host });
    return { client, resources: (await client.listResources()).resources };
  };
  const { client, resources } = await all([], { doctor });
  expect(resources).toEqual([BOX, TASKS, DOCTOR]);
  expect((await all(["x"], {})).resources.map(({ uri }) => uri)).toEqual([
    ...["spawnbox://sandbox/t/a%20b", "spawnbox://sandbox/t/secret", "spawnbox://tasks"],
  ]);
  const { contents } = await client.readResource({ uri: BOX.uri });
  const [one] = contents;
  expect(contents).toEqual([
    {
      uri: BOX.uri,
      mimeType: "application/json",
      text: expect.stringContaining('{\n  "api": "t"'),
      _meta: { "spawnbox/untrusted": true },
    },
  ]);
  expect(JSON.parse((one as { text: string }).text)).toMatchObject({ api: "t", sandbox: "a b" });
  expect(await client.readResource({ uri: DOCTOR.uri })).toEqual({
    contents: [
      {
        ...{ uri: DOCTOR.uri, mimeType: "application/json", text: '{"doctor":1}' },
        _meta: { "spawnbox/untrusted": true },
      },
    ],
  });
});

test.each([
  ...["spawnbox://sandbox/t/none", "spawnbox://sandbox/t/secret", "spawnbox://sandbox/"],
  ...["spawnbox://doctor", "spawnbox://tasks/", "other://sandbox/t/a%20b", "a%20b", ""],
])("[protection] %p is not there", async (uri) => {
  const { client } = await link({ registry: { apis: SANDBOXES(), granted: granting() } });
  const error: unknown = await client.readResource({ uri }).catch((why: unknown) => why);
  expect(error).toMatchObject({
    ...{ code: -32002, data: { uri } },
    message: expect.stringContaining("there is no such resource"),
  });
});

test("[protection] tasks that this caller has started, the newest first, and so many of them", async () => {
  const plans = [shell("s", "", { argv: parseTemplate("/bin/true", [], (text) => text) })];
  const { client, registry, own, who, host } = await link({ plans });
  await called(client, "p_s");
  const text = async (ids: ReadonlySet<string> = own.ids) => {
    const { contents } = await read("spawnbox://tasks", host, who, ids);
    return (contents[0] as { text: string }).text;
  };
  // Somebody else's are there too.
  const other = { ...who, session: { uuid: "other" } };
  const run = () => registry.call({ ...other, api: "p", verb: "s", args: {}, wait: true });
  await Promise.all(Array.from({ length: 50 }, run));
  const args = { limit: 1000 };
  const { response } = await registry.call({ ...who, api: "monitor", verb: "tasks", args });
  const all = (response as { id: string }[]).map(({ id }) => id);
  expect(all).toHaveLength(51);
  const found = await client.readResource({ uri: "spawnbox://tasks" });
  expect(found.contents).toEqual([
    {
      ...{ uri: "spawnbox://tasks", mimeType: "application/json", text: await text() },
      _meta: { "spawnbox/untrusted": true },
    },
  ]);
  expect(await text()).toStartWith('[\n  {\n    "');
  expect(JSON.parse(await text())).toEqual([
    expect.objectContaining({ id: [...own.ids][0], verb: "s" }),
  ]);
  const ids = (JSON.parse(await text(new Set(all))) as { id: string }[]).map(({ id }) => id);
  expect(ids).toEqual(all.slice(0, 50));
});

test("[protection] what hides or turns around text is seen, and means the same", async () => {
  const argv = parseTemplate("/bin/echo", ["a\u202eb\u200b"], (text) => text);
  const { client } = await link({ plans: [shell("s", "", { argv })] });
  await called(client, "p_s");
  const { contents } = await client.readResource({ uri: "spawnbox://tasks" });
  const { text } = contents[0] as { text: string };
  expect(text).toContain("a\\u202eb\\u200b");
  expect(text).not.toMatch(/[\u202e\u200b]/);
  expect(JSON.parse(text)).toMatchObject([{ argv: ["/bin/echo", "a\u202eb\u200b"] }]);
});
