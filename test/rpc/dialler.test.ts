/** Our end as an importer, tried by an exporter that forgives nothing. */
import { afterAll, expect, spyOn, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Client, type Request, SERVER_SESSION } from "../../src/api/client.ts";
import { AfbError } from "../../src/errors.ts";
import { Dialler } from "../../src/rpc/dialler.ts";
import type { Packet } from "../../src/rpc/packet.ts";
import { readValues } from "../../src/rpc/value.ts";
import { seeded } from "../config/random.ts";
import { until } from "../served.ts";
import { type CallPacket, json, reply, StrictExporter } from "./strict-exporter.ts";

const dir = mkdtempSync(join(tmpdir(), "spawnbox-dialler-"));
afterAll(() => rmSync(dir, { recursive: true }));
/** Milliseconds that a dial may take. */
const DIAL_LIMIT = 10_000;
let sockets = 0;

class TestClient implements Client {
  readonly events: [string, unknown][] = [];
  readonly backlog = 0;
  connected = true;
  readonly #gone = new Set<() => void>();

  constructor(readonly session = { uuid: `s${++sockets}` }) {}

  send(event: string, data: unknown): void {
    this.events.push([event, data]);
  }

  onClose(gone: () => void): () => void {
    this.#gone.add(gone);
    return () => void this.#gone.delete(gone);
  }

  close(): void {
    this.connected = false;
    for (const gone of this.#gone) gone();
  }
}

async function against(
  answer?: (call: CallPacket) => readonly Packet[],
  cut?: (size: number) => number,
) {
  const path = join(dir, `${++sockets}`);
  const exporter = await new StrictExporter(path, answer, cut).listen();
  const to = { speech: "rpc", uri: `unix:${path}`, address: { kind: "unix", path } } as const;
  const dialler = new Dialler(to);
  return {
    exporter,
    dialler,
    path,
    call: (verb: string, args: unknown = null, more: Partial<Request> = {}) => {
      const session = more.client?.session ?? { uuid: "s" };
      return dialler.call("far", { api: "near", verb, args, session, ...more });
    },
    async [Symbol.asyncDispose]() {
      dialler.close();
      await exporter.close();
    },
  };
}

const statusOf = (error: unknown) => (error instanceof AfbError ? error.status : error);

test("calls, with sessions and tokens that are told once each, however bytes are cut", async () => {
  for (let seed = 1; seed <= 20; seed++) {
    const random = seeded(seed);
    await using far = await against(undefined, (size) => Math.ceil(random() * size));
    const args = Array.from({ length: 40 }, (_, i) => ({ i, text: "é".repeat(random() * 300) }));
    const known = Array.from({ length: 5 }, (_, i) => ({ uuid: `session${i}` }));
    const answers = await Promise.all(
      args.map((one, i) =>
        far.call("echo", one, {
          session: known[i % 5] ?? SERVER_SESSION,
          ...(i % 3 > 0 && { caller: { token: `token${i % 3}` } }),
        }),
      ),
    );
    expect(answers).toEqual(args);
    expect(far.exporter.fault).toBeUndefined();
    expect(far.exporter.names.size).toBe(7);
    expect(far.exporter.calls.every(({ api }) => api === "far")).toBe(true);
  }
});

test("what cannot be told is refused, and the next call goes on", async () => {
  await using far = await against();
  const long = far.call("echo", "x".repeat(65_525), { session: { uuid: "new" } });
  expect(statusOf(await long.catch((error: unknown) => error))).toBe("invalid-request");
  expect(await far.call("echo", "x".repeat(65_524), { session: { uuid: "new" } })).toHaveLength(
    65_524,
  );
  for (const verb of ["a\0b", "x".repeat(2000)])
    expect(statusOf(await far.call(verb).catch((error: unknown) => error))).toBe("unknown-verb");
  const token = await far
    .call("echo", 1, { caller: { token: "a\0b" } })
    .catch((error: unknown) => error);
  expect(statusOf(token)).toBe("invalid-token");
  expect(far.exporter.fault).toBeUndefined();
});

test("[access] two sessions of one uuid are two there, and nobody's is the server's", async () => {
  await using far = await against();
  const [one, other] = [{ uuid: "a" }, { uuid: "a" }];
  for (const session of [one, other, one, { uuid: "server" }, SERVER_SESSION])
    await far.call("echo", null, { session });
  const names = far.exporter.calls.map(({ session }) =>
    far.exporter.names.get(`session ${session}`),
  );
  expect([names[0], names[2], names[4]]).toEqual(["a", "a", "server"]);
  expect(new Set(names).size).toBe(4);
});

/** Two events of one name, one for each client; `stop` ends the caller's. */
function following() {
  const ids = new Map<number, number>();
  return (call: CallPacket): ReturnType<typeof reply>[] => {
    const id = ids.get(call.session) ?? ids.size + 1;
    const isNew = !ids.has(call.session);
    ids.set(call.session, id);
    if (call.verb === "stop")
      return [{ type: "unsubscribe", callid: call.callid, event: id }, reply(call, null)];
    return [
      ...(isNew ? [{ type: "create", kind: "event", id, name: "far/tick" } as const] : []),
      { type: "subscribe", callid: call.callid, event: id },
      reply(call, id),
    ];
  };
}

test("two events of one name are two: each client gets its own, until nobody listens", async () => {
  await using far = await against(following());
  const [one, other] = [new TestClient(), new TestClient()];
  const follows: string[] = [];
  const told = { follows: (event: string) => void follows.push(event) };
  const ids = await Promise.all(
    [one, other].map((client) => far.call("follow", null, { client, ...told })),
  );
  expect(ids).toEqual([1, 2]);
  expect(follows).toEqual(["far/tick", "far/tick"]);
  await far.exporter.send(
    { type: "push", event: 1, values: json("a") },
    { type: "push", event: 2, values: json("b") },
  );
  await far.exporter.send({ type: "push", event: 9, values: json("nobody's") });
  await until("both have theirs", () => one.events.length + other.events.length === 2);
  expect([one.events, other.events]).toEqual([[["far/tick", "a"]], [["far/tick", "b"]]]);
  await far.call("stop", null, { client: one });
  await far.exporter.send({ type: "push", event: 1, values: json("late") });
  other.close();
  await until("the exporter is told", () => far.exporter.told.length > 0);
  expect(far.exporter.told).toEqual([{ type: "unexpected", event: 2 }]);
  await far.call("follow");
  expect(one.events).toHaveLength(1);
  expect(far.exporter.fault).toBeUndefined();
});

test("whose privilege is withdrawn gets no more", async () => {
  await using far = await against(following());
  const client = new TestClient();
  await far.call("follow", null, { client });
  far.dialler.recheck(() => false);
  await until("the exporter is told", () => far.exporter.told.length > 0);
  expect(client.events).toEqual([["far/tick", { type: "unsubscribed" }]]);
});

test("at the end of a connection calls are disconnected, who followed is told, and it is dialled again by itself", async () => {
  const answer = following();
  await using far = await against((call) => (call.verb === "stay" ? [] : answer(call)));
  const client = new TestClient();
  await far.call("follow", null, { client });
  const open = far.call("stay").catch((error: unknown) => error);
  await until("it is open", () => far.exporter.calls.length === 2);
  far.exporter.hangUp();
  expect(statusOf(await open)).toBe("disconnected");
  expect(client.events).toEqual([
    ["far/tick", { type: "disconnected", info: expect.any(String) as string }],
  ]);
  await until("there is another connection", () => far.exporter.connections === 2);
  await until("it is known", () => far.dialler.state === "connected");
  // Nothing was called again: it may have started something.
  expect(far.exporter.calls).toHaveLength(2);
});

test("what an action has subscribed to at the start is subscribed to again", async () => {
  const answer = following();
  await using far = await against(answer);
  const client = new TestClient(SERVER_SESSION);
  const lasting = { client, session: SERVER_SESSION, lasting: true };
  await far.call("follow", { n: 1 }, lasting);
  await far.call("follow", { n: 1 }, lasting);
  await far.call("follow", { n: 2 }, lasting);
  far.exporter.hangUp();
  await until("both are called again", () => far.exporter.calls.length === 5);
  expect(far.exporter.calls.slice(3).map(({ values }) => readValues(values))).toEqual([
    { n: 1 },
    { n: 2 },
  ]);
  // An action is for what the other sends, and not for its end.
  expect(client.events).toEqual([]);
});

test("who is not there is dialled until it is, and a call does not wait for the next try", async () => {
  const path = join(dir, `${++sockets}`);
  const dialler = new Dialler({
    speech: "rpc",
    uri: `unix:${path}`,
    address: { kind: "unix", path },
  });
  dialler.start();
  const call = () =>
    dialler.call("far", { api: "near", verb: "echo", args: 1, session: { uuid: "s" } });
  expect(statusOf(await call().catch((error: unknown) => error))).toBe("not-available");
  expect(dialler.reach(300)).rejects.toThrow("ENOENT");
  await Bun.sleep(1000);
  const exporter = await new StrictExporter(path).listen();
  expect(await call()).toBe(1);
  dialler.close();
  expect(statusOf(await call().catch((error: unknown) => error))).toBe("not-available");
  await exporter.close();
});

test("who is not there is dialled after a tenth of a second, and after twice as long each time, for half a minute at most", async () => {
  const path = join(dir, `${++sockets}`);
  const real = setTimeout;
  const random = spyOn(Math, "random");
  const timers = spyOn(globalThis, "setTimeout");
  using restored = new DisposableStack();
  for (const spy of [random, timers]) restored.defer(() => spy.mockRestore());
  const quiet = spyOn(console, "error").mockImplementation(() => {});
  restored.defer(() => quiet.mockRestore());
  for (const chance of [0, 1]) {
    const all: number[] = [];
    const enough = Promise.withResolvers<void>();
    random.mockReturnValue(chance);
    timers.mockImplementation(((run: () => void, ms: number) => {
      // How long a dial may take.
      if (ms === DIAL_LIMIT) return real(run, ms);
      if (all.push(ms) === 11) enough.resolve();
      return real(run, 0);
    }) as typeof setTimeout);
    const dialler = new Dialler({
      ...{ speech: "rpc", uri: `unix:${path}`, address: { kind: "unix", path } },
    });
    dialler.start();
    await enough.promise;
    dialler.close();
    expect(all.slice(0, 11)).toEqual(
      [100, 200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 30_000, 30_000].map(
        (ms) => ms * (0.75 + chance / 2),
      ),
    );
  }
});

test("one that does not say which version it speaks is left after ten seconds", async () => {
  const path = join(dir, `${++sockets}`);
  const left = Promise.withResolvers<void>();
  const mute = createServer((socket) => socket.resume().on("close", () => left.resolve()));
  await new Promise<void>((resolve) => mute.listen({ path }, resolve));
  const real = setTimeout;
  const timers = spyOn(globalThis, "setTimeout").mockImplementation(((
    run: () => void,
    ms: number,
  ) => real(run, ms === DIAL_LIMIT ? 20 : ms)) as typeof setTimeout);
  const dialler = new Dialler({
    ...{ speech: "rpc", uri: `unix:${path}`, address: { kind: "unix", path } },
  });
  try {
    await expect(
      dialler.call("far", { api: "near", verb: "v", args: 1, session: { uuid: "s" } }),
    ).rejects.toThrow("it does not say in time which version it speaks");
    await left.promise;
  } finally {
    timers.mockRestore();
    dialler.close();
    mute.close();
  }
});

test("an exporter that announces without end, or what there is not, is hung up on", async () => {
  await using far = await against();
  await far.call("echo");
  const name = `far/${"x".repeat(1000)}`;
  const many = Array.from(
    { length: 2000 },
    (_, id) => ({ type: "create", kind: "event", id, name }) as const,
  );
  await far.exporter.send(...many);
  await until("it is dialled anew", () => far.exporter.connections > 1);
  await far.call("echo");
  const before = far.exporter.connections;
  await far.exporter.send({ type: "subscribe", callid: 77, event: 1 });
  await until("it is dialled anew", () => far.exporter.connections > before);
});

test("a connection that has run out of numbers is left for another, and what is open there goes on", async () => {
  let events = 0;
  const follow = ({ callid }: CallPacket) =>
    [
      { type: "create", kind: "event", id: ++events, name: "far/tick" },
      { type: "subscribe", callid, event: events },
    ] as const;
  await using far = await against((call) =>
    call.verb === "echo" ? [reply(call, null)] : [...follow(call), reply(call, null)],
  );
  const client = new TestClient();
  await far.call("follow", null, { client });
  const server = new TestClient(SERVER_SESSION);
  const asked = { client: server, session: SERVER_SESSION, lasting: true };
  await far.call("follow", { mine: true }, asked);
  for (let i = 0; i < 61_000; i += 1000)
    await Promise.all(
      Array.from({ length: 1000 }, (_, j) =>
        far.call("echo", null, { session: { uuid: `${i + j}` } }),
      ),
    );
  expect(far.exporter.connections).toBe(2);
  expect(far.exporter.fault).toBeUndefined();
  expect(client.events).toEqual([]);
  const mine = far.exporter.calls.filter(({ values }) =>
    JSON.stringify(readValues(values)).includes("mine"),
  );
  expect(mine).toHaveLength(2);
  // It hears of the one that is left no more, and so each event once.
  await until("the exporter is told", () => far.exporter.told.length > 0);
  expect(server.events).toEqual([]);
});

test("a process does not live for the next try", async () => {
  const path = join(dir, "nobody");
  const script = `
    import { Dialler } from ${JSON.stringify(join(import.meta.dir, "../../src/rpc/dialler.ts"))};
    const address = { kind: "unix", path: ${JSON.stringify(path)} };
    const dialler = new Dialler({ speech: "rpc", uri: "unix:nobody", address });
    dialler.start();
    console.log(dialler.state);`;
  await using child = Bun.spawn([process.execPath, "-e", script], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  expect(await child.stdout.text()).toBe("not dialled yet\n");
  expect([await child.exited, await child.stderr.text()]).toEqual([
    0,
    expect.stringContaining("it is tried again"),
  ]);
});
