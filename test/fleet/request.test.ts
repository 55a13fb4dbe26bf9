/** A message that is to be a call: what it asks for to the letter, and why it is none. */
import { describe, expect, test } from "bun:test";
import type { Message } from "../../src/fleet/link.ts";
import { askedOf, Ignored, placeOf } from "../../src/fleet/request.ts";
import { Topics } from "../../src/fleet/topics.ts";
import type { AfbError } from "../../src/errors.ts";

const topics = new Topics("p");
const who = { board: "b", groups: ["g"], homeassistant: { operator: "ha", prefix: "h" } };
const limits = { expiry: 60, largest: 20, window: 9 };
type Properties = NonNullable<Message["properties"]>;
const message = (properties: Properties | undefined, more: Partial<Message> = {}): Message => ({
  ...{ topic: "p/b/call/op/a/v", payload: "", qos: 1, retain: false, dup: false },
  ...(properties && { properties }),
  ...more,
});
const answer = { responseTopic: "p/b/out/op/1", messageExpiryInterval: 10 };

/** Why a message is ignored. */
function ignored(one: Message): string | undefined {
  try {
    placeOf(one, topics, who);
    return undefined;
  } catch (error) {
    if (error instanceof Ignored) return error.message;
    throw error;
  }
}

describe("it has its place", () => {
  test("of the topic for its answer, or of its correlation data", () => {
    const call = { operator: "op", api: "a", verb: "v", group: undefined, isMute: false };
    expect(placeOf(message({ responseTopic: "p/b/out/op/1" }), topics, who)).toEqual({
      ...{ ...call, id: "1", correlation: undefined },
    });
    const correlationData = Buffer.from("c-2");
    expect(placeOf(message({ correlationData }), topics, who)).toEqual({
      ...{ ...call, id: "c-2", correlation: correlationData },
    });
    // Whatever it is, where the topic tells.
    const long = Buffer.alloc(256, "é");
    expect(placeOf(message({ ...answer, correlationData: long }), topics, who)).toEqual({
      ...{ ...call, id: "1", correlation: long },
    });
    const press = message(undefined, { topic: "p/b/call/ha/a/v", qos: 0 });
    expect(placeOf(press, topics, who)).toEqual({
      ...{ ...call, operator: "ha", correlation: undefined, isMute: true },
      id: expect.stringMatching(/^[0-9a-f-]{36}$/) as string,
    });
  });

  test("or is ignored, and why", () => {
    const none = "a call of op without an id: see Response Topic and Correlation Data";
    expect(ignored(message(undefined))).toBe(none);
    expect(ignored(message({ correlationData: Buffer.from("a/b") }))).toBe(none);
    expect(ignored(message({ responseTopic: "p/b/out/op/" }))).toBe(none);
    expect(ignored(message({ responseTopic: "p/b/out/other/1" }))).toBe(
      "a call of op that wants its answer elsewhere",
    );
    expect(ignored(message(answer, { retain: true }))).toBe("a call of op that is retained");
    expect(ignored(message({ ...answer, correlationData: Buffer.alloc(257) }))).toBe(
      "a call of op with correlation data of 257 bytes",
    );
    expect(ignored(message(answer, { topic: `p/b/${"x".repeat(300)}` }))).toBe(
      `a message to "p/b/${"x".repeat(196)}"`,
    );
    // Nobody is told to press by another, and none of a board without Home Assistant.
    expect(ignored(message(undefined, { qos: 0 }))).toBe(none);
    const press = message(undefined, { topic: "p/b/call/ha/a/v", qos: 0 });
    expect(() => placeOf(press, topics, { ...who, homeassistant: undefined })).toThrow(Ignored);
  });
});

describe("it asks for something", () => {
  const ask = (properties: Properties = {}, payload: string | Buffer = "", isMute = false) =>
    askedOf(message({ ...answer, ...properties }, { payload }), { isMute }, limits);
  const refused = (...given: Parameters<typeof ask>): readonly [string, string] => {
    try {
      ask(...given);
      return ["", ""];
    } catch (error) {
      const { status, message } = error as AfbError;
      return [status, message];
    }
  };
  const user = (userProperties: Record<string, string | string[]>) => ({ userProperties });

  test("with what it says of that", () => {
    expect(ask()).toEqual({
      ...{ args: undefined, expiry: 10, timeout: undefined, detach: undefined, window: 9 },
      ...{ token: undefined, digest: expect.any(String) as string },
    });
    const all = { timeout: "2147483647", detach: "true", window: "65535", token: "t" };
    expect(ask(user(all))).toMatchObject({
      ...{ timeout: 2_147_483_647, detach: true, window: 9, token: "t" },
    });
    expect(ask(user({ timeout: "1", detach: "false", window: "8", token: "" }))).toMatchObject({
      ...{ timeout: 1, detach: false, window: 8, token: undefined },
    });
    // Nobody waits for a button: it says nothing of itself.
    expect(askedOf(message(undefined), { isMute: true }, limits).expiry).toBe(1);
    expect(ask({ messageExpiryInterval: 60 }).expiry).toBe(60);
    expect(ask({}, `"${"x".repeat(18)}"`).args).toBe("x".repeat(18));
    for (const contentType of ["application/json", "Application/JSON; charset=utf-8"])
      expect(ask({ contentType }, "5").args).toBe(5);
  });

  test("or is refused, and why", () => {
    const invalid = (...given: Parameters<typeof ask>) => {
      const [status, said] = refused(...given);
      expect(status).toBe("invalid-request");
      return said;
    };
    expect(invalid({}, "x".repeat(21))).toBe(
      'the arguments have 21 bytes: this board takes 20 ("largest")',
    );
    expect(invalid({ messageExpiryInterval: 61 })).toBe(
      'the call expires in 61 s: this board takes up to 60 s ("expiry")',
    );
    const { responseTopic } = answer;
    expect(() => askedOf(message({ responseTopic }), { isMute: false }, limits)).toThrow(
      "a call needs a Message Expiry: it could be done long after it made sense",
    );
    expect(refused({ messageExpiryInterval: 0 })).toEqual(["timeout", "the call has expired"]);
    for (const contentType of ["text/plain", "application/jsonx", "xapplication/json", ""])
      expect(invalid({ contentType })).toBe("the arguments are to be application/json");
    for (const timeout of ["0", "2147483648", "01", "1.5", "-1", ""])
      expect(invalid(user({ timeout }))).toBe(
        "the user property timeout is a number from 1 to 2147483647",
      );
    for (const window of ["0", "65536", "x"])
      expect(invalid(user({ window }))).toBe(
        "the user property window is a number from 1 to 65535",
      );
    for (const detach of ["", "TRUE", "1"])
      expect(invalid(user({ detach }))).toBe("the user property detach is true or false");
    for (const name of ["timeout", "window", "detach", "token"])
      expect(invalid(user({ [name]: ["1", "2"] }))).toBe(
        `the user property ${name} is there more than once`,
      );
    for (const payload of ["{", Buffer.of(0x22, 0xff, 0x22)])
      expect(invalid({}, payload)).toStartWith("the arguments are not JSON: ");
    const many = { ...limits, largest: 1 << 20 };
    const values = message(answer, { payload: `[${"0,".repeat(100_000)}0]` });
    expect(() => askedOf(values, { isMute: false }, many)).toThrow("the arguments are not JSON: ");
  });

  test("as another than one of other bytes, or to another verb", () => {
    const digest = (payload: string, topic = "p/b/call/op/a/v") =>
      askedOf(message(answer, { payload, topic }), { isMute: false }, limits).digest;
    expect(digest("[1]")).toBe(digest("[1]"));
    expect(new Set([digest("[1]"), digest("[1 ]"), digest("[1]", "p/b/call/op/a/w")]).size).toBe(3);
    expect(digest("[1]")).toMatch(/^[0-9a-z]{5,}$/);
  });
});
