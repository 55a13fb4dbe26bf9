/** A connection of messages, each of one byte, over a real socket: what is handled when, and how it ends. */
import { expect, spyOn, test } from "bun:test";
import { once } from "node:events";
import { Conversation, type Protocol } from "../../src/server/conversation.ts";
import { until } from "../served.ts";
import { pair } from "./raw-pair.ts";

class Fault extends Error {}

/** @param handle is given each message, with the conversation */
async function talking(handle: (message: string, of: Conversation<string>) => void) {
  const { raw, client } = await pair();
  const said: string[] = [];
  let bytes = "";
  const protocol: Protocol<string> = {
    reader: {
      held: 0,
      message: 0,
      push: (chunk) => void (bytes += Buffer.from(chunk).toString()),
      next: () => {
        const [first] = bytes;
        bytes = bytes.slice(1);
        return first;
      },
    },
    sizeOf: () => 1,
    handle: (message) => {
      said.push(message);
      handle(message, of);
      said.push(`/${message}`);
    },
    goodbye: (code, reason) => Buffer.from(`${code} ${reason}`),
    faultOf: (error) => (error instanceof Fault ? { code: 1002, message: "odd" } : undefined),
    gone: () => void said.push("gone"),
  };
  const of = new Conversation<string>(raw, protocol);
  let heard = "";
  client.on("data", (chunk: Buffer) => (heard += chunk.toString()));
  return { raw, client, of, said, heard: () => heard };
}
const turn = () => new Promise((resolve) => setImmediate(resolve));

test("one message is handled after the other, also what comes while one is", async () => {
  const { raw, client, of, said } = await talking((message) => {
    if (message === "a") raw.received(Buffer.from("b"));
  });
  of.start(new Uint8Array());
  client.write("a");
  await until("both are handled", () => said.length === 4);
  client.write("c");
  await until("and the next", () => said.length === 6);
  expect(said).toEqual(["a", "/a", "b", "/b", "c", "/c"]);
});

test("sixteen are handled in a turn; held, none is, and then the rest", async () => {
  const { of, said } = await talking(() => {});
  await turn();
  of.start(Buffer.from("x".repeat(40)));
  expect(said).toHaveLength(32);
  of.hold(true);
  for (let i = 0; i < 5; i++) await turn();
  expect(said).toHaveLength(32);
  of.hold(false);
  await until("all are handled", () => said.length === 80);
});

test("who holds itself while it handles one is not given the next", async () => {
  const { of, said } = await talking((message) => void (message === "a" && of.hold(true)));
  of.start(Buffer.from("ab"));
  for (let i = 0; i < 5; i++) await turn();
  expect(said).toEqual(["a", "/a"]);
  of.hold(false);
  await until("it is given the next", () => said.length === 4);
});

test.each([
  ["1002 odd", new Fault(), 0],
  ["1011 internal error", new TypeError("x"), 1],
])("a message that fails ends it: %s", async (goodbye, error, lines) => {
  const spy = spyOn(console, "error").mockImplementation(() => {});
  try {
    const { client, of, said, heard } = await talking((message) => {
      if (message === "b") throw error;
    });
    const ended = once(client, "end");
    of.start(Buffer.from("abc"));
    await ended;
    expect([heard(), said, of.open]).toEqual([goodbye, ["a", "/a", "b", "gone"], false]);
    expect(spy).toHaveBeenCalledTimes(lines);
    // What still comes is dropped.
    client.write("d");
    client.end();
    for (let i = 0; i < 5; i++) await turn();
    expect(said).toEqual(["a", "/a", "b", "gone"]);
  } finally {
    spy.mockRestore();
  }
});

test("what was sent goes out before the goodbye, and nothing behind it", async () => {
  const { client, of, said, heard } = await talking(() => {});
  of.start(new Uint8Array());
  void of.send(Buffer.from("one "));
  of.answer(Buffer.from("two "));
  of.close(1000, "over");
  of.close(1000, "again");
  void of.send(Buffer.from("late"));
  of.answer(Buffer.from("late"));
  await until("it is heard", () => heard().endsWith("over"));
  // The other side is heard until it ends, too.
  client.end("a");
  await until("that is seen", () => said.includes("/a"));
  expect([heard(), said]).toEqual(["one two 1000 over", ["gone", "a", "/a"]]);
});

test("it ends with its peer, whether that says so or not", async () => {
  for (const how of ["end", "resetAndDestroy"] as const) {
    const { raw, client, of, said } = await talking(() => {});
    of.start(new Uint8Array());
    client[how]();
    await until(`it is noticed: ${how}`, () => said.length > 0);
    expect([said, of.open, of.empty]).toEqual([["gone"], false, true]);
    client.destroy();
    await until("it is closed", () => raw.destroyed);
    expect(said).toEqual(["gone"]);
  }
});
