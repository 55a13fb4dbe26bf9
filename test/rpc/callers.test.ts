/** What is said to another binder and what its answers mean; what an exporter says; and how the bytes of both are bounded. */
import { describe, expect, test } from "bun:test";
import { SERVER_SESSION, type Request } from "../../src/api/client.ts";
import { failure, success } from "../../src/api/reply.ts";
import { AfbError } from "../../src/errors.ts";
import {
  answerOfMessage,
  answerOfPacket,
  messageCaller,
  packetCaller,
  readable,
} from "../../src/rpc/callers.ts";
import { credsOf, onBehalf } from "../../src/rpc/creds.ts";
import { parsePacket } from "../../src/rpc/parse-packet.ts";
import { MOST_JSON, messageSpeaker, nextSeqno, packetSpeaker } from "../../src/rpc/speakers.ts";
import { Told } from "../../src/rpc/told.ts";
import { jsonValue, readValues } from "../../src/rpc/value.ts";
import { parseMessage } from "../../src/rpc/wsapi.ts";

const request = (more: Partial<Request> = {}): Request => ({
  ...{ api: "a", verb: "v", args: { n: 1 }, session: { uuid: "s" }, ...more },
});
/** Without its padding, with its values read. */
function packet(bytes: Buffer | undefined): unknown {
  if (!bytes) return undefined;
  const read = parsePacket(bytes.subarray(0, bytes.readUInt32LE(4)));
  return "values" in read ? { ...read, values: readValues(read.values) } : read;
}
/** Out of its frame, of one that is not masked. */
function message(bytes: Buffer | undefined): unknown {
  if (!bytes) return undefined;
  const size = (bytes[1] ?? 0) & 0x7f;
  return parseMessage(bytes.subarray(size === 127 ? 10 : size === 126 ? 4 : 2));
}

describe("a call", () => {
  test("in a packet", () => {
    const caller = packetCaller();
    expect(packet(caller.call(1, "b", 2, 3, request()))).toEqual({
      ...{ type: "call", callid: 1, api: "b", verb: "v", session: 2, token: 3 },
      values: { n: 1 },
    });
    expect(packet(caller.call(1, undefined, 0, 0, request({ args: undefined })))).toMatchObject({
      ...{ api: undefined, session: 0, token: 0, values: null },
    });
    expect(packet(caller.create("token", 3, "T"))).toEqual({
      ...{ type: "create", kind: "token", id: 3, name: "T" },
    });
    expect(packet(caller.unexpected(4))).toEqual({ type: "unexpected", event: 4 });
    // Its text, two quotes and a NUL.
    const args = "x".repeat(caller.most - 2);
    expect(packet(caller.call(1, "b", 0, 0, request({ args })))).toMatchObject({ values: args });
    expect(caller.call(1, "b", 0, 0, request({ args: `${args}x` }))).toBeUndefined();
  });

  test("in a message, on whose behalf it is", () => {
    const caller = messageCaller();
    const user = { uid: 1000, gids: [100, 7], confined: false };
    const creds = (more: Partial<Request>) =>
      (message(caller.call(1, "b", 2, 3, request(more))) as { creds: unknown }).creds;
    expect(message(caller.call(1, "b", 2, 3, request()))).toEqual({
      ...{ type: "call", callid: 1, verb: "v", session: 2, token: 3, json: '{"n":1}' },
      creds: "63:63:0-NoLabel",
    });
    expect(creds({ caller: { user } })).toBe("3e8:64:0-NoLabel");
    expect(creds({ caller: { user: { ...user, gids: [] } } })).toBe("3e8:63:0-NoLabel");
    expect(creds({ caller: { user: { ...user, confined: true } } })).toBe("63:63:0-NoLabel");
    expect(creds({ session: SERVER_SESSION, caller: { user } })).toBeNull();
    expect(message(caller.create("session", 3, "S"))).toEqual({
      ...{ type: "create", kind: "session", id: 3, name: "S" },
    });
    expect(message(caller.unexpected(4))).toEqual({ type: "unexpected", event: 4 });
    const args = "é".repeat(MOST_JSON / 2 - 1);
    expect(message(caller.call(1, "b", 0, 0, request({ args })))).toMatchObject({
      json: JSON.stringify(args),
    });
    expect(caller.call(1, "b", 0, 0, request({ args: `${args}x` }))).toBeUndefined();
    expect(caller.most).toBe(MOST_JSON);
  });

  test("of who says on whose behalf it is", () => {
    const who = (creds: string, may = true) => {
      try {
        return onBehalf(creds, may);
      } catch (error) {
        return (error as AfbError).status;
      }
    };
    expect(who("63:63:0-x")).toMatchObject({ uid: 99, label: "x" });
    expect(who("63:63:0-NoLabel")).not.toHaveProperty("label");
    expect(who("63:63:0-")).not.toHaveProperty("label");
    expect(who("63:63:0")).not.toHaveProperty("label");
    expect(who("FF:10:0-a\nb-c")).toMatchObject({ uid: 255, label: "a\nb-c" });
    for (const odd of ["63:63", "63:63:", "63:63:0x", "g:1:1", "123456789:1:1", "x63:63:0", ""])
      expect([odd, who(odd)]).toEqual([odd, "internal-error"]);
    expect(who("63:63:0", false)).toBe("insufficient-scope");
    expect(credsOf(undefined)).toBe("63:63:0-NoLabel");
  });
});

describe("an answer", () => {
  const told = ({ error, ...rest }: { error?: Error; response?: unknown }): unknown => {
    if (!error) return rest.response;
    // A code that is not a verb's own is that of its status.
    const { status, code, message } = error as Error & { status?: string; code?: number };
    return [status, code, message];
  };

  test.each<[number, readonly unknown[], unknown]>([
    [0, [], undefined],
    [0, [null], null],
    [0, [{ a: 1 }], { a: 1 }],
    [7, [1, 2], [1, 2]],
    [-12, ["invalid pid"], ["invalid-request", undefined, "invalid pid"]],
    [-12, [], ["invalid-request", undefined, ""]],
    [-12, [{ a: 1 }], ["invalid-request", undefined, '{"a":1}']],
    [-999, ["x"], ["internal-error", undefined, "-999: x"]],
    [-1000, ["x"], ["error", -1000, "x"]],
    [-1001, [], ["error", -1001, ""]],
  ])("in a packet, %d with %j", (status, values, expected) => {
    const all = values.map((one) => jsonValue(JSON.stringify(one)));
    const answer = answerOfPacket({ type: "reply", callid: 1, status, values: all });
    expect(told(answer as never)).toEqual(expected);
  });

  test("in a packet that cannot be read says so", () => {
    const values = [jsonValue("{")];
    expect(answerOfPacket({ type: "reply", callid: 1, status: 0, values })).toEqual({
      response: { unreadable: expect.stringContaining("JSON") },
    });
    expect(readable(() => undefined)).toBeNull();
    expect(() =>
      readable(() => {
        throw new RangeError("bug");
      }),
    ).toThrow("bug");
  });

  test.each<[string | null, string | null, string | null, unknown]>([
    [null, null, "1", 1],
    [null, "info", null, undefined],
    [null, null, "{", { unreadable: expect.stringContaining("JSON") }],
    ["forbidden", "not you", null, ["forbidden", undefined, "not you"]],
    ["forbidden", null, '"x"', ["forbidden", undefined, '"x"']],
    ["forbidden", null, "null", ["forbidden", undefined, ""]],
    ["forbidden", null, null, ["forbidden", undefined, ""]],
    ["own-word", "why", null, ["own-word", -1000, "why"]],
    ["own word", "why", null, ["error", -1000, "own word: why"]],
    ["own word", null, null, ["error", -1000, "own word"]],
    ["x".repeat(64), null, null, ["x".repeat(64), -1000, ""]],
    ["x".repeat(65), null, null, ["error", -1000, "x".repeat(65)]],
    ["success", "x", null, ["success", -1000, "x"]],
  ])("in a message, %p, %p, %p", (error, info, json, expected) => {
    expect(told(answerOfMessage({ type: "reply", callid: 1, error, info, json }) as never)).toEqual(
      expected,
    );
  });
});

describe("an exporter", () => {
  const own = failure(new AfbError("forbidden", "a\0b"));

  test("in packets", () => {
    const speaker = packetSpeaker();
    const reply = (...args: Parameters<typeof speaker.reply>) => packet(speaker.reply(...args));
    expect(reply(1, success({ a: 1 }))).toEqual({
      ...{ type: "reply", callid: 1, status: 0, values: { a: 1 } },
    });
    expect(reply(1, success())).toMatchObject({ status: 0, values: undefined });
    expect(reply(1, success(null))).toMatchObject({ values: null });
    expect(reply(1, own)).toMatchObject({ status: own.request.code, values: "a\ufffdb" });
    expect(reply(1, failure(new AfbError("forbidden", "x".repeat(5000))))).toMatchObject({
      values: "x".repeat(4096),
    });
    expect(packet(speaker.push(3, { n: 1 }))).toEqual({
      ...{ type: "push", event: 3, values: { n: 1 } },
    });
    expect(packet(speaker.create(3, "t/e"))).toEqual({
      ...{ type: "create", kind: "event", id: 3, name: "t/e" },
    });
    expect(packet(speaker.subscribe(1, 3))).toEqual({ type: "subscribe", callid: 1, event: 3 });
    expect(packet(speaker.destroy(3))).toEqual({ type: "destroy", kind: "event", id: 3 });
    const most = "x".repeat(speaker.most - 2);
    for (const say of [
      (data: unknown) => speaker.push(1, data),
      (data: unknown) => speaker.reply(1, success(data)),
    ]) {
      expect(packet(say(most))).toMatchObject({ values: most });
      expect(say(`${most}x`)).toBeUndefined();
    }
  });

  test("in messages", () => {
    const speaker = messageSpeaker();
    const reply = (...args: Parameters<typeof speaker.reply>) => message(speaker.reply(...args));
    expect(reply(1, success({ a: 1 }))).toEqual({
      ...{ type: "reply", callid: 1, error: null, info: null, json: '{"a":1}' },
    });
    expect(reply(1, success())).toMatchObject({ error: null, json: "null" });
    expect(reply(1, own)).toEqual({
      ...{ type: "reply", callid: 1, error: "forbidden", info: "a\ufffdb", json: "null" },
    });
    expect(message(speaker.push(3, { n: 1 }))).toEqual({
      ...{ type: "push", event: 3, json: '{"n":1}' },
    });
    expect(message(speaker.create(3, "t/e"))).toEqual({
      ...{ type: "create", kind: "event", id: 3, name: "t/e" },
    });
    expect(message(speaker.subscribe(1, 3))).toEqual({ type: "subscribe", callid: 1, event: 3 });
    expect(message(speaker.destroy(3))).toEqual({ type: "destroy", kind: "event", id: 3 });
    const most = "x".repeat(speaker.most - 2);
    for (const say of [
      (data: unknown) => speaker.push(1, data),
      (data: unknown) => speaker.reply(1, success(data)),
    ]) {
      expect(message(say(most))).toMatchObject({ json: `"${most}"` });
      expect(say(`${most}x`)).toBeUndefined();
    }
  });

  test("counts its packets from 1 to 65535", () => {
    let before = nextSeqno();
    const seen = new Set([before]);
    for (let i = 0; i < 0xffff; i++) {
      const next = nextSeqno();
      expect(next === (before === 0xffff ? 1 : before + 1)).toBe(true);
      seen.add((before = next));
    }
    expect([seen.size, Math.min(...seen), Math.max(...seen)]).toEqual([0xffff, 1, 0xffff]);
  });
});

describe("numbers of sessions and tokens", () => {
  const made = () => new Told((kind, id, name) => Buffer.from(`${kind} ${id} ${name}`));

  test("there are 65535 of each, of which 60000 are used before another connection is better", () => {
    const told = made();
    const before: Buffer[] = [];
    for (let i = 1; i <= 0xffff; i++) {
      expect(told.session({ uuid: `${i}` }, before) === i).toBe(true);
      if (i === 59_999) expect([told.isUsedUp, told.isFull]).toEqual([false, false]);
      if (i === 60_000) expect([told.isUsedUp, told.isFull]).toEqual([true, false]);
      if (i === 65_534) expect(told.isFull).toBe(false);
    }
    expect([told.isFull, before.length]).toEqual([true, 0xffff]);
    const more = () => told.session({ uuid: "more" }, before);
    expect(more).toThrow("too many sessions on one connection: try again");
    expect(before).toHaveLength(0xffff);
    // Tokens have numbers of their own.
    expect(told.token("T", before)).toBe(1);
    const others = made();
    for (let i = 1; i <= 60_000; i++) others.token(`${i}`, before);
    expect([others.isUsedUp, others.isFull]).toEqual([true, false]);
  });

  test("of this server's own session another client's of that name is told apart", () => {
    const told = made();
    const before: Buffer[] = [];
    told.session({ uuid: SERVER_SESSION.uuid }, before);
    told.session(SERVER_SESSION, before);
    const [first, second] = before.map(String);
    expect(first).toMatch(/^session 1 [-0-9a-f]{36}$/);
    expect(second).toBe(`session 2 ${SERVER_SESSION.uuid}`);
  });
});
