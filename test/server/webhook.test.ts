/** Webhooks, from outside: who may start a command by one, and who may not. */
import { afterAll, beforeAll, describe, expect, spyOn, test } from "bun:test";
import { createHmac } from "node:crypto";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Request as Call } from "../../src/api/client.ts";
import { type Reply, success } from "../../src/api/reply.ts";
import type { Webhook } from "../../src/plan/webhook.ts";
import { type Delivery, Webhooks } from "../../src/server/webhook.ts";
import { isRoot, serve, type Served } from "../served.ts";

const SECRET = "It's a Secret to Everybody";
let dir: string;
let served: Served;
beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), "spawnbox-webhook-"));
  chmodSync(dir, 0o755);
  writeFileSync(join(dir, "hook"), `${SECRET}\n`, { mode: 0o600 });
  writeFileSync(join(dir, "empty"), "\n", { mode: 0o600 });
  const file = join(dir, "hook");
  const echo = (uid: string, args: unknown[], webhook?: object | string, more: object = {}) => ({
    ...{ uid, privilege: "urn:hooked", encoder: "sync" },
    ...{ exec: { cmdpath: "/bin/echo", args: ["-n", ...args] }, ...(webhook && { webhook }) },
    ...more,
  });
  const stamped = { file, timestamp: "X-Timestamp" };
  served = await serve({
    metadata: { uid: "h", version: "1", api: "h" },
    sandboxes: {
      uid: "box",
      prefix: "",
      ...(isRoot && { acls: { user: "daemon" } }),
      commands: [
        echo("hub", ["?ref?", "?action?"], file),
        echo("raw", ["%body%"], { file, argument: "body" }),
        echo("key", ["key", "?a?"], { file, kind: "key" }),
        echo("gitlab", ["gitlab"], { file, kind: "key", header: "X-Gitlab-Token" }),
        echo("slack", ["?text?"], {
          ...stamped,
          ...{ header: "X-Slack-Signature", prefix: "v0=", signed: "v0:{timestamp}:{body}" },
        }),
        echo("dotted", ["%n%"], { ...stamped, encoding: "base64", prefix: "", tolerance: 5 }),
        echo("strict", ["%n%"], stamped, { params: { n: { type: "integer", maximum: 5 } } }),
        echo("empty", ["x"], { file: join(dir, "empty") }),
        echo("missing", ["x"], { file: join(dir, "missing") }),
        echo("other", ["other"]),
        echo("field", ["%payload%"], file),
      ],
    },
  });
});
afterAll(async () => {
  await served[Symbol.asyncDispose]();
  rmSync(dir, { recursive: true });
});

const hmac = (text: string | Uint8Array, secret = SECRET, encoding: "hex" | "base64" = "hex") =>
  createHmac("sha256", secret).update(text).digest(encoding);
const JSON_TYPE = { "content-type": "application/json" };

async function post(
  verb: string,
  body: string | Uint8Array,
  headers: Record<string, string>,
  method = "POST",
) {
  const response = await fetch(`${served.url}/api/h/${verb}`, {
    ...{ method, headers },
    ...(method === "POST" && { body }),
  });
  const text = await response.text();
  const reply = text === "" ? {} : (JSON.parse(text) as Partial<Reply>);
  const { stdout } = (reply.response ?? {}) as { stdout?: string[] };
  return { status: response.status, stdout: stdout?.join("\n"), text, headers: response.headers };
}
const signed = (body: string | Uint8Array, secret = SECRET) => ({
  ...JSON_TYPE,
  "x-hub-signature-256": `sha256=${hmac(body, secret)}`,
});
const now = (offset = 0) => String(Math.floor(Date.now() / 1000) + offset);

describe("a signature of the body", () => {
  test("is the one that senders make", async () => {
    // The example in the documentation of GitHub.
    expect(hmac("Hello, World!")).toBe(
      "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
    );
  });

  test("starts the command with what the body has for it, and nothing else", async () => {
    const body = '{"ref": "main", "action": "stop", "more": {"pid": 1}, "wait": false}';
    expect(await post("hub", body, signed(body))).toMatchObject({
      status: 200,
      stdout: "main stop",
    });
    const { headers } = await post("hub", "", signed(""));
    expect(headers.get("set-cookie")).toBeNull();
    const form = "ref=a%20b&x=1";
    const type = { "content-type": "application/x-www-form-urlencoded" };
    expect(await post("hub", form, { ...signed(form), ...type })).toMatchObject({
      status: 200,
      stdout: "a b ",
    });
    // As forges and chats send it unless told otherwise.
    const wrapped = `payload=${encodeURIComponent('{"ref": "a+b", "action": {"n": 1}}')}`;
    expect(await post("hub", wrapped, { ...signed(wrapped), ...type })).toMatchObject({
      status: 200,
      stdout: 'a+b {"n":1}',
    });
    expect(await post("field", wrapped, { ...signed(wrapped), ...type })).toMatchObject({
      status: 200,
      stdout: '{"ref": "a+b", "action": {"n": 1}}',
    });
    const beside = `${wrapped}&ref=c`;
    expect((await post("hub", beside, { ...signed(beside), ...type })).stdout).toBe("c ");
    for (const bad of ["payload=[1]", "payload=x", "payload="])
      expect([bad, (await post("hub", bad, { ...signed(bad), ...type })).status]).toEqual([
        bad,
        400,
      ]);
    const upper = { ...JSON_TYPE, "x-hub-signature-256": `sha256=${hmac(body).toUpperCase()}` };
    expect((await post("hub", body, upper)).status).toBe(200);
    const cloud = {
      ...signed(body),
      "content-type": "application/cloudevents+json; charset=utf-8",
    };
    expect((await post("hub", body, cloud)).status).toBe(200);
  });

  test("[protection] of other bytes, another secret or another verb is none, and all say the same", async () => {
    const body = '{"ref":"main"}';
    const good = signed(body);
    const wrong: [string, Record<string, string>][] = [
      [`${body} `, good],
      [body.replace("main", "maim"), good],
      [body, signed(body, "another")],
      [body, signed(body, "")],
      [body, { ...JSON_TYPE, "x-hub-signature-256": hmac(body) }],
      [body, { ...JSON_TYPE, "x-hub-signature-256": "sha256=" }],
      [body, { ...JSON_TYPE, "x-hub-signature-256": "" }],
      [body, { ...JSON_TYPE, "x-hub-signature-256": `sha256=${hmac(body).slice(0, -1)}` }],
      [body, { ...JSON_TYPE, "x-hub-signature-256": `sha256=${hmac(body)}0` }],
      [body, { ...JSON_TYPE, "x-hub-signature-256": `sha256=${hmac(body)},${hmac(body)}` }],
      [body, { ...JSON_TYPE, "x-hub-signature-256": SECRET }],
      [body, { ...JSON_TYPE, "x-hub-signature-256": `sha256=${hmac(body, SECRET, "base64")}` }],
      ["{not json", signed("x")],
    ];
    const answers = new Set<string>();
    for (const [sent, headers] of wrong) {
      const { status, text } = await post("hub", sent, headers);
      expect([headers, status]).toEqual([headers, 401]);
      answers.add(text);
    }
    expect(answers.size).toBe(1);
    // The verb itself, without: as ever.
    expect((await post("hub", body, JSON_TYPE)).status).toBe(403);
    expect((await post("other", body, good)).status).toBe(403);
    expect((await post("key", body, good)).status).toBe(403);
  });

  test("[protection] is nobody, whatever else the request brings, and starts only", async () => {
    const body = '{"action":"stop","args":{"pid":1}}';
    const answer = await post("hub", body, signed(body));
    expect([answer.status, answer.stdout]).toEqual([200, " stop"]);
    for (const method of ["GET", "HEAD", "PUT", "DELETE"])
      expect((await post("hub", body, signed(""), method)).status).toBe(405);
    const response = await fetch(`${served.url}/api/h/hub?ref=x`, {
      ...{ method: "POST", body, headers: signed(body) },
    });
    expect(response.status).toBe(400);
    const stream = await fetch(`${served.url}/api/h/hub/events`, { headers: signed("") });
    expect(stream.status).toBe(403);
    const spaced = { ...signed(body), origin: "https://evil.example" };
    expect((await post("hub", body, spaced)).status).toBe(403);
  });

  test("what is signed and no object of arguments is told", async () => {
    for (const [body, more, status] of [
      ["[1]", {}, 400],
      ["{", {}, 400],
      ["x", { "content-type": "text/plain" }, 415],
      ["x", { "content-encoding": "gzip" }, 415],
      [new Uint8Array([0xff]), {}, 400],
    ] as const)
      expect((await post("hub", body, { ...signed(body), ...more })).status).toBe(status);
    const large = `{"ref":"${"x".repeat(1 << 20)}"}`;
    expect((await post("hub", large, signed(large))).status).toBe(413);
    const long = `{"ref":"${"x".repeat(200_000)}"}`;
    expect((await post("hub", long, signed(long))).status).toBe(400);
  });

  test("the body as it is, for a command that reads it itself", async () => {
    for (const body of ['{"a": 1.50}\n', "text é\r\n", "a=b&c", "\ufeffx"]) {
      const headers = { ...signed(body), "content-type": "application/x-whatever" };
      const { status, text } = await post("raw", body, headers);
      expect(status).toBe(200);
      expect(JSON.parse(text).response.stdout.join("\n")).toBe(
        body.replace(/\n$/, "").replace("\r", "\r"),
      );
    }
    // A NUL cannot be an argument.
    expect((await post("raw", "a\0b", signed("a\0b"))).status).toBe(400);
  });
});

describe("a key", () => {
  test("is compared as a whole", async () => {
    const body = '{"a":"b"}';
    const by = (key: string) => post("key", body, { ...JSON_TYPE, "x-api-key": key });
    expect(await by(SECRET)).toMatchObject({ status: 200, stdout: "key b" });
    for (const key of ["", SECRET.slice(1), `${SECRET}x`, SECRET.toUpperCase(), hmac(body)])
      expect((await by(key)).status).toBe(401);
    const gitlab = { ...JSON_TYPE, "x-gitlab-token": SECRET };
    expect((await post("gitlab", "{}", gitlab)).status).toBe(200);
    expect((await post("key", "{}", gitlab)).status).toBe(403);
  });

  test("[protection] of an empty or a missing file lets nobody in", async () => {
    for (const verb of ["empty", "missing"])
      for (const secret of ["", SECRET]) {
        const { status, text } = await post(verb, "{}", signed("{}", secret));
        expect(status).toBe(501);
        expect(text).not.toContain(dir);
      }
  });

  test("of the file as it is now", async () => {
    const file = join(dir, "hook");
    writeFileSync(file, "next");
    expect((await post("hub", "{}", signed("{}"))).status).toBe(401);
    expect((await post("hub", "{}", signed("{}", "next"))).status).toBe(200);
    writeFileSync(file, `${SECRET}\n`);
    expect((await post("hub", "{}", signed("{}"))).status).toBe(200);
  });
});

describe("a time stamp", () => {
  const slack = (body: string, time = now(), over = time) => ({
    ...JSON_TYPE,
    "x-timestamp": time,
    "x-slack-signature": `v0=${hmac(`v0:${over}:${body}`)}`,
  });

  test("lets each signature count once, near its time", async () => {
    const body = '{"text":"hi"}';
    const headers = slack(body);
    expect(await post("slack", body, headers)).toMatchObject({ status: 200, stdout: "hi" });
    const again = await post("slack", body, headers);
    expect(again.status).toBe(401);
    for (const spelled of ["SLACK", "s%6Cack", "Slac%4b", "sla%63k"])
      expect([spelled, (await post(spelled, body, headers)).status]).toEqual([spelled, 401]);
    expect((await post("slack", body, slack(body, now(1)))).status).toBe(200);
    for (const time of [now(-301), now(302), "", "x", `${now()}.0`, `-${now()}`, "9".repeat(13)])
      expect([time, (await post("slack", body, slack(body, time))).status]).toEqual([time, 401]);
    // Another time than was signed, and none.
    expect((await post("slack", body, slack(body, now(5), now(-400)))).status).toBe(401);
    const { "x-timestamp": _, ...without } = slack(body);
    expect((await post("slack", body, without)).status).toBe(401);
    expect((await post("slack", body, slack(body, now(), ""))).text).toBe(again.text);
  });

  test("[protection] of many at once with one signature one counts", async () => {
    const body = '{"text":"once"}';
    const headers = slack(body, now(-3));
    const all = await Promise.all(Array.from({ length: 20 }, () => post("slack", body, headers)));
    expect(all.map(({ status }) => status).sort()).toEqual([200, ...Array<number>(19).fill(401)]);
  });

  test("in other writing", async () => {
    const body = '{"n":"7"}';
    const time = now();
    const dotted = { ...JSON_TYPE, "x-timestamp": time };
    const hub = (encoding: "hex" | "base64") => hmac(`${time}.${body}`, SECRET, encoding);
    const by = (signature: string) =>
      post("dotted", body, { ...dotted, "x-hub-signature-256": signature });
    expect((await by(hub("hex"))).status).toBe(401);
    expect((await by(hub("base64").toLowerCase())).status).toBe(401);
    expect(await by(hub("base64"))).toMatchObject({ status: 200, stdout: "7" });
  });

  test("what did not start may come again", async () => {
    const time = now();
    const headers = (body: string) => ({
      ...{ ...JSON_TYPE, "x-timestamp": time },
      "x-hub-signature-256": `sha256=${hmac(`${time}.${body}`)}`,
    });
    for (let i = 0; i < 2; i++)
      expect((await post("strict", '{"n":9}', headers('{"n":9}'))).status).toBe(400);
    expect((await post("strict", '{"n":3}', headers('{"n":3}'))).status).toBe(200);
    expect((await post("strict", '{"n":3}', headers('{"n":3}'))).status).toBe(401);
  });

  test("a right signature at a wrong time is told in the log, as a clock may be wrong; a wrong one is not", async () => {
    const webhook: Webhook = {
      ...{ header: "s", prefix: "", file: join(dir, "hook") },
      signature: {
        ...{ encoding: "hex", algorithm: "sha256", signed: ["timestamp", "body"] },
        timestamp: { header: "x-time", tolerance: 300 },
      },
    };
    const registry = { call: async () => success() };
    using told = spyOn(console, "error").mockImplementation(() => {});
    const send = async (time: string, secret = SECRET) => {
      const headers: Record<string, string> = { "x-time": time, s: hmac(`${time}{}`, secret) };
      const delivery: Delivery = {
        ...{ api: "a", verb: "v", from: undefined, search: "", body: Buffer.from("{}") },
        header: (name) => headers[name],
      };
      const hooked = { id: "a/v", webhook, privileges: ["p"] };
      // What is said once in a while is said by each of its own.
      const refused = new Webhooks().call(hooked, delivery, registry);
      await expect(refused).rejects.toMatchObject({ message: "this webhook was not accepted" });
      return told.mock.calls.splice(0).map(([line]) => String(line).replace(/\b360\d\b/, "3600"));
    };
    const begin = "a/v: a webhook that is signed rightly was refused: its time in x-time";
    const end =
      "the clock here, and the tolerance 300 s: is this clock right, or was the request sent again?";
    expect(await send(now(-3600))).toEqual([`${begin} is 3600 s behind ${end}`]);
    expect(await send(now(3605))).toEqual([`${begin} is 3600 s ahead of ${end}`]);
    const milliseconds = `${now()}000`;
    for (const [time, shown] of [
      [milliseconds, milliseconds],
      ["\u001b".padEnd(99, "x"), String.raw`\u001b`.padEnd(45, "x")],
      ["", ""],
    ] as const)
      expect(await send(time)).toEqual([`${begin} "${shown}" is no number of seconds since 1970`]);
    expect(await send(now(-3600), "another")).toEqual([]);
  });

  test("signatures that are remembered are bounded: more are refused, none is forgotten before its time", async () => {
    const webhook: Webhook = {
      ...{ header: "s", prefix: "", file: join(dir, "hook") },
      signature: {
        ...{ encoding: "hex", algorithm: "sha256", signed: ["timestamp", "body"] },
        timestamp: { header: "t", tolerance: 300 },
      },
    };
    const calls: Call[] = [];
    const registry = {
      call: async (call: Call) => {
        calls.push(call);
        return success();
      },
    };
    const webhooks = new Webhooks();
    const time = now();
    const send = (text: string, search = "") => {
      const body = Buffer.from(JSON.stringify({ text }));
      const headers: Record<string, string> = {
        ...{ t: time, s: hmac(`${time}${body.toString()}`), "content-type": "application/json" },
      };
      const delivery: Delivery = {
        ...{ api: "a", verb: "v", from: undefined, search, body },
        header: (name) => headers[name],
      };
      return webhooks.call({ id: "a/v", webhook, privileges: ["p"] }, delivery, registry);
    };
    // A question mark alone asks for nothing. What did not start is not remembered.
    expect(await send("0", "?a")).toMatchObject({
      request: { info: "a webhook takes nothing from its URL" },
    });
    for (let i = 0; i < 10_000; i++) await send(String(i), "?");
    expect(send("more")).rejects.toMatchObject({ status: "busy" });
    expect(send("0")).rejects.toMatchObject({ status: "unauthorized" });
    expect(calls).toHaveLength(10_000);
    expect(calls[0]).toMatchObject({ caller: {}, args: { action: "start", args: { text: "0" } } });
  }, 60_000);
});

test("OpenAPI and explain tell of them, and not the secret", async () => {
  const document = await (await fetch(`${served.url}/openapi.json`)).text();
  const { paths, components } = JSON.parse(document);
  expect(paths["/api/h/hub"].post.security).toEqual([
    { token: ["urn:hooked"] },
    { "webhook-x-hub-signature-256": [] },
  ]);
  expect(components.securitySchemes["webhook-x-api-key"]).toMatchObject({ name: "x-api-key" });
  expect(paths["/api/h/hub"].get.security).toEqual([{ token: ["urn:hooked"] }]);
  expect(document).not.toContain(SECRET);
});
