/** What the page knows of calls to boards, by a server that speaks for the boards. */
import { expect, test } from "bun:test";
import type { ServerWebSocket } from "bun";
import { until } from "../served.ts";
import { componentsAt } from "./components.ts";

interface Row {
  readonly result: string | undefined;
  readonly info: string;
  readonly response: unknown;
  readonly lines: readonly { readonly text: string; readonly from: string }[];
  readonly more: number;
}
interface FleetRun {
  readonly rows: ReadonlyMap<string, Row>;
  readonly counts: object;
  readonly boards: number | undefined;
  readonly isOver: boolean;
  readonly isStopping: boolean;
  readonly info: string;
  readonly to: string;
  readonly method: string;
  readonly done: number;
  heard: () => void;
  stop(): void;
  look(): void;
  take(data: object): void;
}
interface Parts {
  readonly FleetRun: new (to: string, method: string, args: object) => FleetRun;
  lastRun(): FleetRun;
  startRun(to: string, method: string, args: object): FleetRun;
  connect(): void;
  call(verb: string): Promise<object>;
  listen(event: string, heard: (data: unknown) => void): () => void;
  readonly generation: { readonly value: number };
  readonly refused: { readonly value: boolean };
  readonly lost: { readonly value: boolean };
  readonly EVENT: string;
}

test("a call to boards: what is early, what is another's, what each has said, and the end", async () => {
  const asked: unknown[][] = [];
  let socket: ServerWebSocket<undefined> | undefined;
  using server = Bun.serve({
    port: 0,
    fetch: (request, server) =>
      server.upgrade(request, { headers: { "sec-websocket-protocol": "x-afb-ws-json1" } })
        ? undefined
        : new Response(),
    websocket: {
      open: (one) => void (socket = one),
      message: (_, text) => void asked.push(JSON.parse(`${text}`)),
    },
  });
  await using page = await componentsAt(
    `http://localhost:${server.port}/console/`,
    "connection.ts",
    "fleet-run.ts",
    "fleet-model.ts",
  );
  const { FleetRun, lastRun, startRun, connect, call, refused, lost, listen, generation, EVENT } =
    page.from as unknown as Parts;
  connect();
  await until("it is connected", () => generation.value === 1);
  const send = (...message: unknown[]) => void socket?.send(JSON.stringify(message));
  const event = (data: object) => send(5, EVENT.toUpperCase(), { data });
  const reply = (index: number, status: string, response: unknown, info?: string) =>
    send(status === "success" ? 3 : 4, asked[index]?.[1], { request: { status, info }, response });
  const waitFor = (count: number) => until(`${count} calls`, () => asked.length === count);

  const run = startRun("@dock", "a/v", { args: { x: 1 } });
  expect([lastRun() === run, run.to, run.method, run.boards, run.done]).toEqual([
    true,
    "@dock",
    "a/v",
    undefined,
    0,
  ]);
  await waitFor(1);
  expect(asked[0]).toEqual([
    2,
    "1",
    "monitor/fleet/call",
    { to: "@dock", verb: "a/v", args: { x: 1 } },
  ]);
  let heard = 0;
  run.heard = () => void heard++;
  event({ call: "c1", type: "output", board: "b1", data: { stdout: "early\n" } });
  event({ type: "output", board: "b9", data: { stdout: "no call" } });
  reply(0, "success", { call: "c1", boards: 3 });
  await until("it has begun", () => run.boards === 3 && run.rows.size === 1);
  expect(run.rows.get("b1")?.lines.map(({ text, from }) => [from, text])).toEqual([
    ["out", "early"],
  ]);
  event({ call: "c2", type: "output", board: "b2", data: { stdout: "another's" } });
  event({ call: "c1", type: "output", data: { stdout: "nobody's" } });
  event({
    call: "c1",
    type: "result",
    board: "b1",
    result: "ok",
    info: "\u001b[31mfine",
    response: { stdout: "o", stderr: "e", more: 1 },
  });
  event({ call: "c1", type: "result", board: "b1", result: "error" });
  event({ call: "c1", type: "result", board: "b2", result: "strange", response: [1] });
  const wide = "w".repeat(2001);
  event({
    call: "c1",
    type: "output",
    board: "b3",
    data: { stdout: Array.from({ length: 201 }, (_, i) => (i === 200 ? wide : `${i}`)) },
  });
  await until("all is heard", () => run.rows.size === 3);
  const [one, two, three] = ["b1", "b2", "b3"].map((board) => run.rows.get(board));
  expect(one?.lines.map(({ text }) => text)).toEqual(["early", "o", "e"]);
  expect([one?.result, one?.response]).toEqual(["error", undefined]);
  expect([two?.result, two?.response, two?.info]).toEqual(["error", [1], ""]);
  expect([
    three?.lines.length,
    three?.more,
    three?.lines[0]?.text,
    three?.lines.at(-1)?.text.length,
  ]).toEqual([200, 1, "1", 2000]);
  expect([run.counts, run.done]).toEqual([
    { ok: 1, error: 1, refused: 0, timeout: 0, offline: 0 },
    2,
  ]);
  // So many characters of all boards together: from then on each line takes the place of its board's first.
  const kept = () =>
    [...run.rows.values()].reduce(
      (sum, { lines, more }) => {
        return { lines: sum.lines + lines.length, more: sum.more + more };
      },
      { lines: 0, more: 0 },
    );
  const base = kept();
  const text = [...run.rows.values()]
    .flatMap(({ lines }) => lines)
    .reduce((sum, line) => sum + line.text.length, 0);
  const rest = ((4 << 20) - text) % 2000;
  const full = ((4 << 20) - text - rest) / 2000;
  const print = (board: number, stdout: string[]) =>
    run.take({ call: "c1", type: "output", board: `many${board}`, data: { stdout } });
  for (let left = full, board = 0; left > 0; left -= 200, board++)
    print(board, Array<string>(Math.min(200, left)).fill("w".repeat(2000)));
  print(100, ["x".repeat(rest)]);
  expect(kept()).toEqual({ lines: base.lines + full + 1, more: base.more });
  print(0, ["y"]);
  expect(kept()).toEqual({ lines: base.lines + full + 1, more: base.more + 1 });
  print(100, ["z".repeat(1999)]);
  expect(kept()).toEqual({ lines: base.lines + full + 2, more: base.more + 1 });
  print(100, ["z"]);
  expect(kept()).toEqual({ lines: base.lines + full + 2, more: base.more + 2 });
  const before = heard;
  run.stop();
  expect([run.isStopping, heard]).toEqual([true, before + 1]);
  await waitFor(2);
  expect(asked[1]?.slice(2)).toEqual(["monitor/fleet/stop", { call: "c1" }]);
  run.look();
  expect(run.isOver).toBe(false);
  event({ call: "c1", type: "end", info: "\u001b[1menough" });
  await until("the end", () => run.isOver);
  expect(run.info).toBe("enough");
  run.take({ call: "c1", type: "result", board: "b4", result: "ok" });
  expect(run.rows.has("b4")).toBe(false);

  // With a token; refused, with and without a reason.
  page.window.sessionStorage.setItem("spawnbox:token", "t0");
  for (const [info, said] of [
    ["not you", "not you"],
    [undefined, "denied"],
  ] as const) {
    const other = new FleetRun("b1", "a/v", {});
    const index = asked.length;
    await waitFor(index + 1);
    expect(asked[index]).toEqual([
      2,
      `${index + 1}`,
      "monitor/fleet/call",
      { to: "b1", verb: "a/v" },
      "t0",
    ]);
    reply(index, "denied", undefined, info);
    await until("it is refused", () => other.isOver);
    expect([other.info, other.rows.size]).toEqual([said, 0]);
  }
  const answer = call("x/y");
  await waitFor(5);
  expect(asked[4]).toEqual([2, "5", "x/y", null, "t0"]);
  reply(4, "invalid-token", 7);
  expect(await answer).toEqual({ status: "invalid-token", info: "", response: 7 });
  expect([refused.value, lost.value]).toEqual([true, false]);
  // Events only while they are listened to, and only what is one.
  const told: unknown[] = [];
  const forget = listen("Some/Event", (data) => told.push(data));
  send(5, "some/EVENT", { data: { a: 1 } });
  send(5, "some/event", { data: 1 });
  send(5, "other/event", { data: { a: 2 } });
  send(5, "some/event", { data: { a: 3 } });
  await until("they are told", () => told.length === 2);
  expect(told).toEqual([{ a: 1 }, { a: 3 }]);
  forget();
  send(5, "some/event", { data: { a: 4 } });
  // Who waits for an answer is told that there is none, and what runs is over with its connection.
  const [running, unanswered] = [new FleetRun("b1", "a/v", {}), call("x/z")];
  await waitFor(7);
  reply(5, "success", { call: "c7", boards: 1 });
  await until("it runs", () => running.boards === 1);
  socket?.close();
  expect(await unanswered).toEqual({ status: "disconnected", info: "", response: undefined });
  const again = call("x/w");
  await waitFor(8);
  reply(7, "success", "back");
  expect(await again).toMatchObject({ response: "back" });
  running.look();
  expect([running.isOver, running.info, told.length]).toEqual([true, "", 2]);
});
