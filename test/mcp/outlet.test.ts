/** Streams of answers on their way to one client: piece by piece, counted until they are read. */
import { expect, test } from "bun:test";
import { totalmem } from "node:os";
import { Outlets } from "../../src/mcp/outlet.ts";

function make() {
  const told: string[] = [];
  const outlets = new Outlets(
    () => void told.push("slow"),
    () => void told.push("idle"),
  );
  return { told, outlets };
}
/** A body that a test feeds. */
function source() {
  let control!: ReadableStreamDefaultController<Uint8Array>;
  const cancelled: unknown[] = [];
  const body = new ReadableStream<Uint8Array>({
    start: (controller) => void (control = controller),
    cancel: () => void cancelled.push(true),
  });
  return {
    body,
    cancelled,
    control,
    push: (bytes: number) => control.enqueue(new Uint8Array(bytes)),
  };
}
const turn = () => new Promise<void>((resolve) => setImmediate(resolve));
const K = 1 << 10;

test("what has no body, and what else there is of an answer", () => {
  const { outlets } = make();
  const none = new Response(null, { status: 202 });
  expect(outlets.through(none)).toBe(none);
  const headers = { a: "b", connection: "keep-alive" };
  const some = outlets.through(new Response("x", { status: 201, headers }));
  expect([some.status, some.headers.get("a"), outlets.open]).toEqual([201, "b", 1]);
  // That is between the server and the client.
  expect(some.headers.has("connection")).toBe(false);
  outlets.close();
});

test("one that is dropped while its client waits for more ends once", async () => {
  const { outlets, told } = make();
  const reader = outlets.through(new Response(source().body)).body?.getReader();
  const next = reader?.read();
  await turn();
  outlets.close();
  expect((await next)?.done).toBe(true);
  expect([outlets.open, told]).toEqual([0, ["idle"]]);
});

test("in pieces that a client takes, each chunk held until its last one", async () => {
  const { outlets, told } = make();
  const { body, push, control } = source();
  const reader = outlets.through(new Response(body)).body?.getReader();
  const piece = async () => (await reader?.read())?.value?.length;
  push(64 * K);
  await turn();
  expect(outlets.isSlow).toBe(false);
  push(1);
  await turn();
  expect(outlets.isSlow).toBe(true);
  push(150 * K);
  await turn();
  expect(await piece()).toBe(64 * K);
  expect(await piece()).toBe(1);
  expect(outlets.isSlow).toBe(true);
  expect([await piece(), await piece()]).toEqual([64 * K, 64 * K]);
  expect(outlets.isSlow).toBe(true);
  expect([await piece(), outlets.isSlow]).toEqual([22 * K, false]);
  // Who waits for more has it when it comes.
  const next = piece();
  push(5);
  expect(await next).toBe(5);
  control.close();
  expect([await piece(), outlets.open, told]).toEqual([undefined, 0, ["idle"]]);
});

test("what was read to its end counts no more, and another one counts all the same", async () => {
  const { outlets } = make();
  for (let n = 0; n < 2; n++) {
    const { body, push, control } = source();
    const text = outlets.through(new Response(body));
    push(64 * K + 1);
    await turn();
    expect([n, outlets.isSlow]).toEqual([n, true]);
    control.close();
    expect((await text.text()).length).toBe(64 * K + 1);
    expect(outlets.isSlow).toBe(false);
  }
});

test("one that breaks ends; one that nobody wants is not made any more", async () => {
  const { outlets, told } = make();
  const [breaks, unwanted] = [source(), source()];
  const text = outlets.through(new Response(breaks.body)).text();
  const other = outlets.through(new Response(unwanted.body));
  expect(outlets.open).toBe(2);
  breaks.push(3);
  await turn();
  breaks.control.error(new Error("broken"));
  expect(await text).toHaveLength(3);
  expect([outlets.open, told]).toEqual([1, []]);
  unwanted.push(100 * K);
  await turn();
  expect(outlets.isSlow).toBe(true);
  await other.body?.cancel();
  expect([unwanted.cancelled, outlets.isSlow, outlets.open, told]).toEqual([
    ...[[true], false, 0, ["idle"]],
  ]);
});

test.each<[string, (outlets: Outlets, response: Response) => unknown]>([
  ["nobody wants", (_, { body }) => body?.cancel()],
  ["is closed", (outlets) => outlets.close()],
])("what has just come of one that %s does not count", async (_, end) => {
  const { outlets, told } = make();
  const { body, push } = source();
  const response = outlets.through(new Response(body));
  push(100 * K);
  await end(outlets, response);
  await turn();
  expect([outlets.isSlow, outlets.open, told]).toEqual([false, 0, ["idle"]]);
});

test("closed: what is not sent is not sent any more, and idle is told once", async () => {
  const { outlets, told } = make();
  const { body, push } = source();
  const waiting = outlets.through(new Response(body));
  const reader = waiting.body?.getReader();
  const next = reader?.read();
  const other = source();
  const text = outlets.through(new Response(other.body)).text();
  other.push(10 * K);
  push(0);
  await turn();
  outlets.close();
  expect([outlets.open, told, outlets.isSlow]).toEqual([0, ["idle"], false]);
  expect(((await text) as string).length).toBeLessThanOrEqual(10 * K);
  await next;
});

test("[protection] of all clients together; a trifle each may have whatever others do", async () => {
  const all = Math.min(64 << 20, totalmem() / 32);
  const others = Array.from({ length: 8 }, () => {
    const one = make();
    const { body, push } = source();
    one.outlets.through(new Response(body));
    push(all / 8);
    return one;
  });
  await turn();
  await turn();
  const { outlets, told } = make();
  const { body, push } = source();
  outlets.through(new Response(body));
  push(512 * K);
  await turn();
  expect(told).toEqual([]);
  push(1);
  await turn();
  expect(told).toEqual(["slow"]);
  // What adds nothing is no reason to say so again.
  push(0);
  await turn();
  expect(told).toEqual(["slow"]);
  for (const one of [...others, { outlets }]) one.outlets.close();
  // Closed, it takes nothing of what is for others; all of it is given back.
  const { outlets: later, told: nothing } = make();
  const more = source();
  later.through(new Response(more.body));
  more.push(1 << 20);
  await turn();
  expect(nothing).toEqual([]);
  later.close();
});
