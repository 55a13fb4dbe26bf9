/** A fleet: what a call by a broker costs beside one of this machine, and how many boards and calls one broker and operator do. */
import { connect } from "../../src/client.ts";
import type { Invocation } from "../../src/fleet/calls.ts";
import { Operator } from "../../src/fleet/operator.ts";
import { type Broker, fleetOf, Raw, startBroker } from "../fleet/broker.ts";
import { boards, fleetFor } from "../fleet/simulated.ts";
import { progress } from "./progress.ts";
import { residentOf } from "./resident.ts";
import type { Scratch } from "./scratch.ts";
import { serveCommand, startServer } from "./server.ts";
import { median, percentile } from "./statistics.ts";
import { mib, ms, table } from "./table.ts";

export interface FleetNumbers {
  readonly calls: readonly { readonly way: string; readonly p50: number; readonly p99: number }[];
  /** Calls a second, so many at a time. */
  readonly rate: number;
  /** Of one call: messages to and from the broker, and their bytes, TLS not counted. */
  readonly messages: number;
  readonly bytes: number;
  /** Bytes of the server's memory, without a fleet and with one. */
  readonly memory: { readonly without: number; readonly within: number };
  readonly groups: readonly {
    readonly boards: number;
    /** ms until all have joined, and of group calls. */
    readonly joined: number;
    readonly p50: number;
    readonly worst: number;
    /** Bytes of the broker's memory. */
    readonly broker: number;
  }[];
}

const AT_ONCE = 64;
const GROUPS = [200, 1000];
const GROUP_CALLS = 10;

const invocation = (method: string): Invocation => ({
  ...{ method, args: "", expiry: 20, timeout: undefined, patience: 30_000 },
  ...{ detach: undefined, token: undefined, event: () => {} },
});

export async function measureFleet(
  executable: string,
  scratch: Scratch,
  calls: number,
): Promise<FleetNumbers> {
  await using broker = await startBroker({ more: ["sys_interval 1"], acl: RIGHTS });
  const config = scratch.json("fleet-api.json", {
    metadata: { uid: "far", api: "far" },
    sandboxes: [],
  });
  const file = scratch.json("fleet.json", { ...fleetOf(broker, "board"), board: "board" });
  const access = scratch.json("fleet-access.json", {
    grants: [{ mqtt: "op1", privileges: [] }],
  });
  const plain = await startServer(serveCommand(executable, config), scratch);
  const server = await startServer(
    [...serveCommand(executable, config), "--fleet", file, "--access", access],
    scratch,
  );
  const { secrets, ...at } = { secrets: { ca: broker.ca, ...broker.cert("op1") }, prefix: "sb/v1" };
  const operator = new Operator({
    fleet: { ...at, secrets, broker: { host: "localhost", port: broker.port, tls: true } },
    operator: "op1",
    tell: (text) => console.error(text),
  });
  await operator.connect();
  await operator.expectAll();
  while (!operator.presence.isOnline("board")) await operator.look("board");
  let id = 0;
  const call = async (): Promise<void> => {
    const { result, info } = await operator.call("board", `x${id++}`, invocation("far/ping"));
    if (result !== "ok") throw new Error(`fleet: ${result} ${info ?? ""}`);
  };
  const local = await connect(`${server.url.replace("http", "ws")}/api`);
  progress(`${calls} calls, by a broker and not`);
  const timed = async (way: string, work: () => Promise<unknown>) => {
    for (let i = 0; i < 50; i++) await work();
    const times: number[] = [];
    for (let i = 0; i < calls; i++) {
      const begin = performance.now();
      await work();
      times.push(performance.now() - begin);
    }
    return { way, p50: median(times), p99: percentile(times, 0.99) };
  };
  const found = [
    await timed("WebSocket, this machine", () => local.call("far/ping", null)),
    await timed("by the broker, mutual TLS", call),
  ];
  await local.close();
  const before = await counted(broker);
  const begin = performance.now();
  let left = calls * 3;
  const caller = async (): Promise<void> => {
    while (left-- > 0) await call();
  };
  await Promise.all(Array.from({ length: AT_ONCE }, caller));
  const rate = (calls * 3) / ((performance.now() - begin) / 1000);
  const after = await counted(broker);
  const memory = { without: residentOf(plain.pid), within: residentOf(server.pid) };
  await operator.close();
  await plain.stop();
  await server.stop();
  const groups = [];
  for (const count of GROUPS) groups.push(await measureGroup(count));
  progress("");
  return {
    ...{ calls: found, rate, memory, groups },
    messages: (after.messages - before.messages) / (calls * 3),
    bytes: (after.bytes - before.bytes) / (calls * 3),
  };
}

async function measureGroup(count: number): Promise<FleetNumbers["groups"][number]> {
  progress(`a group of ${count} boards`);
  await using broker = await startBroker({ tls: false, more: ["max_queued_messages 10000"] });
  const begin = performance.now();
  await using _ = await boards(broker, count);
  const joined = performance.now() - begin;
  const operator = new Operator({
    fleet: fleetFor(broker),
    operator: "op1",
    tell: (text) => console.error(text),
  });
  await operator.connect();
  await Promise.all([operator.look(), operator.expectAll()]);
  const all = operator.presence.of("all");
  const times: number[] = [];
  for (let i = 0; i < GROUP_CALLS; i++) {
    const start = performance.now();
    const outcomes = await Promise.all(
      operator.callGroup("all", all, `g${i}`, invocation("boat/horn")),
    );
    times.push(performance.now() - start);
    const good = outcomes.filter(({ result }) => result === "ok").length;
    if (good !== count) throw new Error(`a group call: ${good} of ${count} boards answered`);
  }
  await operator.close();
  return {
    ...{ boards: count, joined, p50: median(times), worst: Math.max(...times) },
    broker: broker.memory,
  };
}

/** Those of the operator op1 and the board `board`, and what the broker counts. */
const RIGHTS = `pattern write sb/v1/%u/#
pattern read sb/v1/%u/#
pattern read sb/v1/_group/+/call/#
user op1
topic readwrite sb/v1/#
user counter
topic read $SYS/#
`;

/** Messages and bytes of all publications, to the broker and from it. */
async function counted(broker: Broker): Promise<{ messages: number; bytes: number }> {
  // It counts once a second.
  await Bun.sleep(2500);
  await using raw = await Raw.as(broker, "counter");
  const topics = ["messages/received", "messages/sent", "bytes/received", "bytes/sent"];
  await raw.subscribe(...topics.map((one) => `$SYS/broker/publish/${one}`));
  const [received = 0, sent = 0, read = 0, written = 0] = await Promise.all(
    topics.map(async (one) => Number((await raw.find(({ topic }) => topic.endsWith(one))).text)),
  );
  return { messages: received + sent, bytes: read + written };
}

export function printFleet({ calls, groups, memory, ...one }: FleetNumbers): string {
  const { rate, messages, bytes } = one;
  return [
    table(
      "one call",
      ["p50", "p99"],
      calls.map(({ way, p50, p99 }) => [way, ms(p50), ms(p99)]),
    ),
    `${AT_ONCE} at once: ${rate.toFixed(0)} calls/s; each is ${messages.toFixed(1)} messages of ${bytes.toFixed(0)} bytes in all at the broker`,
    `memory of a server: ${mib(memory.without)}, as a board ${mib(memory.within)} after these calls`,
    table(
      "a group call, all answers collected",
      ["joined after", "p50", "worst", "broker"],
      groups.map((group) => [
        `${group.boards} boards`,
        ...[ms(group.joined), ms(group.p50), ms(group.worst), mib(group.broker)],
      ]),
    ),
  ].join("\n\n");
}
