/** Standard input and output of a client that has started this process, by a program that answers what a test sends to it. */
import { afterEach, expect, test } from "bun:test";
import { closeSync } from "node:fs";
import { join } from "node:path";
import { isWritable, pipe } from "../../ffi/libc.ts";
import { until } from "../served.ts";

const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

/**
 * A program that answers `echo` at once, `long` with so many characters, and `later` when it hears of another message; and tells when it
 * is over, and what was wrong. The two seconds that a client has which does not read are over at once, or never.
 */
const PROGRAM = `
  const { setTimeout } = globalThis;
  globalThis.setTimeout = (run, ms) =>
    ms !== 2000 ? setTimeout(run, ms) : process.env.UNREAD === "at once" ? setTimeout(run) : undefined;
  import { Pipe } from ${JSON.stringify(join(import.meta.dir, "../../src/mcp/pipe.ts"))};
  const own = new Pipe();
  const late = [];
  const answer = (id, more = {}) => own.send({ jsonrpc: "2.0", id, result: more });
  own.onmessage = (message) => {
    const { id, method, params } = message;
    for (const one of late.splice(0)) answer(one);
    if (method === "echo") answer(id, { params });
    if (method === "long") answer(id, { text: "x".repeat(params.length) });
    if (method === "fails") own.send({ jsonrpc: "2.0", id, error: { code: 1, message: "no" } });
    if (method === "later") late.push(id);
    if (method === "tells") own.send({ jsonrpc: "2.0", method: "told" });
    console.error("heard " + method);
  };
  own.onerror = (error) => console.error("wrong: " + error.name);
  own.onclose = () => console.error("closed");
  await own.start();
  console.error("started");
  own.over.then(() => console.error("over"));
  await own.over;
  await own.close();
  process.exit();`;

function started(stdout: number | "pipe" = "pipe", unread = "never") {
  const child = Bun.spawn([process.execPath, "-e", PROGRAM], {
    ...{ stdio: ["pipe", stdout, "pipe"], timeout: 60_000 },
    env: { ...process.env, UNREAD: unread },
  });
  ends.push(() => child.kill());
  let said = "";
  const hears = (async () => {
    for await (const chunk of child.stderr) said += Buffer.from(chunk).toString();
  })();
  const says = (...messages: (object | string)[]) => {
    for (const one of messages)
      child.stdin.write(
        `${typeof one === "string" ? one : JSON.stringify({ jsonrpc: "2.0", ...one })}\n`,
      );
    return child.stdin.flush();
  };
  const tells = (text: string) => until(`it says "${text}"`, () => said.includes(`${text}\n`));
  const end = async () => {
    const code = await child.exited;
    await hears;
    return [
      code,
      said
        .trim()
        .split("\n")
        .filter((line) => !line.startsWith("heard")),
    ];
  };
  return {
    child,
    says,
    tells,
    end,
    text: () => new Response(child.stdout as ReadableStream).text(),
  };
}
const results = (text: string) =>
  text
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as { id?: number; method?: string; result?: object });

test("at the end of its input it is over once all is answered, and no sooner", async () => {
  const { child, says, tells, end, text } = started();
  await says(
    { id: 1, method: "later" },
    { id: 2, method: "echo", params: { arguments: null, a: 1 } },
    { id: 3, method: "fails" },
    { method: "tells" },
  );
  await tells("heard tells");
  await says({ id: 4, method: "later" });
  await child.stdin.end();
  await tells("heard later");
  // It is asked for the fourth, and waits.
  await Bun.sleep(250);
  expect(child.exitCode).toBeNull();
  child.kill("SIGTERM");
  const found = results(await text());
  // What some clients write for no arguments is none.
  expect(found.find(({ id }) => id === 2)?.result).toEqual({ params: { a: 1 } });
  expect(found.map(({ id, method }) => id ?? method)).toEqual([1, 2, 3, "told"]);
  expect(await end()).toEqual([0, ["started", "over", "closed"]]);
});

test("of what was cancelled no answer is waited for; answers that come late end it", async () => {
  const { child, says, end, text } = started();
  await says(
    { id: 1, method: "later" },
    { method: "notifications/cancelled", params: { requestId: 2 } },
    { id: "two", method: "later" },
    { method: "notifications/cancelled", params: { requestId: "two" } },
    { method: "notifications/cancelled" },
  );
  await child.stdin.end();
  expect(results(await text()).map(({ id }) => id)).toEqual([1, "two"] as never);
  expect(await end()).toEqual([0, ["started", "over", "closed"]]);
});

test("what is no message is told, and all else goes on", async () => {
  const { child, says, end, text } = started();
  await says("{", { id: 1, method: "echo" });
  await child.stdin.end();
  expect(results(await text()).map(({ id }) => id)).toEqual([1]);
  expect(await end()).toEqual([0, ["started", "wrong: SyntaxError", "over", "closed"]]);
});

test.each(["SIGTERM", "SIGINT"] as const)("%s ends it, while its input goes on", async (signal) => {
  const { child, says, tells, end, text } = started();
  await says({ id: 1, method: "later" });
  await tells("heard later");
  child.kill(signal);
  expect(await text()).toBe("");
  expect(await end()).toEqual([0, ["started", "over", "closed"]]);
});

test("a client that is gone has no answer to wait for", async () => {
  const [read, write] = pipe();
  const { child, says, tells, end } = started(write);
  closeSync(write);
  await says({ id: 1, method: "later" });
  await tells("heard later");
  closeSync(read);
  await child.stdin.end();
  expect(await end()).toEqual([0, ["started", "over", "closed"]]);
});

test("nor is one waited for that goes while it has not read all", async () => {
  const [read, write] = pipe();
  const { child, says, tells, end } = started(write);
  await says({ id: 1, method: "long", params: { length: 300_000 } });
  await until("it is answered", () => !isWritable(write));
  closeSync(write);
  // Each waits for room, and that is not worth a word.
  for (let id = 2; id < 32; id++) await says({ id, method: "echo" });
  child.kill("SIGTERM");
  await tells("over");
  closeSync(read);
  expect(await end()).toEqual([0, ["started", "over", "closed"]]);
});

test("one that is there, and does not read, is waited for two seconds and no longer", async () => {
  const [read, write] = pipe();
  const { child, says, end } = started(write, "at once");
  await says({ id: 1, method: "long", params: { length: 300_000 } });
  await until("it is answered", () => !isWritable(write));
  closeSync(write);
  child.kill("SIGTERM");
  expect(await end()).toEqual([0, ["started", "over", "closed"]]);
  closeSync(read);
});
