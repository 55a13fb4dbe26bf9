/** The npm client of AFB, unchanged, against the executable: what a redpesk page does. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { AFB } from "@redpesk/afb-ws";
import { Window } from "happy-dom";
import demo from "../../config/demo.json";
import type { Reply } from "../../src/api/reply.ts";
import { type Served, serve } from "../served.ts";

/** What the package's types leave out. */
interface AfbWs {
  call(method: string, args: unknown): Promise<Reply>;
  onevent(name: string, handler: (event: AfbEvent) => void): void;
  close(): void;
}
interface AfbEvent {
  event: string;
  data: { type: string; pid: number; stdout?: unknown; status?: object };
}

let served: Served;
let window: Window;
let ws: AfbWs;
const events: AfbEvent[] = [];
let heard = Promise.withResolvers<void>();

beforeAll(async () => {
  served = await serve(demo);
  window = new Window({ url: `${served.url}/` });
  Object.assign(globalThis, { window });
  const afb = new AFB("api", "");
  const Ws = afb.ws as unknown as new (open: (ws: AfbWs) => void, abort: () => void) => AfbWs;
  ws = await new Promise<AfbWs>(
    (resolve, reject) => new Ws(resolve, () => reject(new Error("aborted"))),
  );
  ws.onevent("*", (event) => {
    events.push(event);
    heard.resolve();
    heard = Promise.withResolvers();
  });
});
afterAll(async () => {
  ws?.close();
  Reflect.deleteProperty(globalThis, "window");
  await window?.happyDOM.close();
  await served?.[Symbol.asyncDispose]();
});

/** The events of one task up to its final one. */
async function eventsOf(pid: number): Promise<AfbEvent[]> {
  for (;;) {
    const mine = events.filter((event) => event.data.pid === pid);
    if (mine.at(-1)?.data.type === "final-event") return mine;
    await heard.promise;
  }
}
const response = <T>(reply: Reply) => reply.response as T;

test("ping counts", async () => {
  expect((await ws.call("demo/ping", {})).response).toBe("pong=1");
  expect((await ws.call("demo/PING", null)).response).toBe("pong=2");
});

test("info lists groups, verbs, samples and usage", async () => {
  const info = response<{
    groups: { uid: string; verbs: Record<string, unknown>[] }[];
    metadata: object;
  }>(await ws.call("demo/info", {}));
  expect(info.metadata).toMatchObject({ uid: "demo", version: "1.0" });
  expect(info.groups.map((group) => group.uid)).toEqual(["basic", "box"]);
  expect(info.groups[0]?.verbs[1]).toMatchObject({
    uid: "list",
    verb: "list",
    sample: [{ dirname: "/" }, { dirname: "/etc" }],
    usage: { action: ["start", "stop"], args: { dirname: "a directory" } },
  });
});

test("start of a line encoder: the reply, an event per line, the final event", async () => {
  const started = response<{ pid: number; command: string }>(await ws.call("demo/count", {}));
  expect(started.command).toBe("count");
  const got = await eventsOf(started.pid);
  expect(got.map(({ data }) => data.stdout ?? data.type)).toEqual([
    "3",
    "2",
    "1",
    "lift off",
    "final-event",
  ]);
  expect(got.every(({ event }) => event === "demo/count")).toBe(true);
  expect(got.at(-1)?.data.status).toMatchObject({ exit: 0 });
});

test("start of a text encoder: one event with all lines", async () => {
  const { pid } = response<{ pid: number }>(await ws.call("demo/list", { dirname: "/" }));
  const got = await eventsOf(pid);
  expect(got.map(({ data }) => data.type)).toEqual(["data", "final-event"]);
  expect(got[0]?.data.stdout).toEqual(expect.arrayContaining([expect.stringMatching(/ usr$/)]));
});

test("stop by pid ends the task", async () => {
  const { pid } = response<{ pid: number }>(await ws.call("demo/sleep", { seconds: 1000 }));
  const stop = await ws.call("demo/sleep", { action: "stop", args: { pid, signal: "sigterm" } });
  expect(stop.response).toBe(`basic/sleep@${pid}`);
  expect((await eventsOf(pid)).at(-1)?.data.status).toMatchObject({ signal: "Terminated" });
});

test("a failed call rejects with the reply", async () => {
  const failed: unknown = await ws.call("demo/list", {}).catch((reply: unknown) => reply);
  expect(failed).toMatchObject({
    request: { status: "invalid-request", info: expect.stringContaining("dirname"), code: -12 },
  });
});
