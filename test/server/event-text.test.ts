/** Events are encoded once for all who get one, and never with what they were before. */
import { expect, test } from "bun:test";
import { FrameReader } from "../../src/server/frames.ts";
import { encodeEvent, eventMessage } from "../../src/server/event-text.ts";

function textOf(message: string | Buffer): string {
  if (typeof message === "string") return message;
  const reader = new FrameReader();
  reader.push(message);
  const read = reader.next();
  return read?.type === "text" ? read.text : "";
}

test("for all who get an event the same text, from the second on in one frame", () => {
  let asked = 0;
  const data = { text: "é\ud800", toJSON: () => ({ asked: ++asked }) };
  const messages = [1, 2, 3].map(() => eventMessage("a/b", data));
  const expected = `[5,"a/b",{"jtype":"afb-event","event":"a/b","data":{"asked":1}}]`;
  expect(messages.map(textOf)).toEqual([expected, expected, expected]);
  expect(messages[2]).toBe(messages[1]!);
  expect(encodeEvent("a/b", data)).toContain(`{"asked":1}`);
  expect(asked).toBe(1);
  expect(textOf(eventMessage("a/c", data))).toContain('"event":"a/c","data":{"asked":2}');
});

test("an object that is sent again later is read again", async () => {
  const data = { count: 1 };
  eventMessage("a/b", data);
  await Promise.resolve();
  data.count = 2;
  expect(textOf(eventMessage("a/b", data))).toContain('"data":{"count":2}');
});
