/** What a broker hands on: calls to a board, answers to an operator, and packets, in whatever pieces. */
import { generate, type Packet } from "mqtt-packet";
import type { Request } from "../../src/api/client.ts";
import type { Registry } from "../../src/api/registry.ts";
import { type Reply, success } from "../../src/api/reply.ts";
import { Board } from "../../src/fleet/board.ts";
import { Calls } from "../../src/fleet/calls.ts";
import type { Message } from "../../src/fleet/link.ts";
import { PacketMeter } from "../../src/fleet/meter.ts";
import type { Outcome } from "../../src/fleet/outcome.ts";
import { Presence } from "../../src/fleet/presence.ts";
import { Topics } from "../../src/fleet/topics.ts";
import { cutting, readAlike } from "./cuts.ts";
import { spoil } from "./random.ts";
import { demand, type Json, type Random, type Target } from "./target.ts";

const WORDS = [
  ...["", "{}", "[", "null", "1e999", '{"seq":-1}', '{"from":0}', '{"stop":true,"signal":{}}'],
  ...["\0", "é", "+", "#", "a/b", "*", '{"__proto__":1}', "[".repeat(600), "x".repeat(2000), "1"],
] as const;
const IDS = ["a", "b", "c", "A-_", "é", "", "x".repeat(65)] as const;

interface Step {
  topic: string;
  payload: string;
  retain: boolean;
  dup: boolean;
  qos: number;
  response: string | null;
  correlation: string | null;
  expiry: number | null;
  user: Record<string, string | string[]>;
}

function topicOf(random: Random): string {
  const operator = random.pick(["op1", "op1", "op2", "ha", "nobody", "+", ""]);
  const method = random.pick(["boat/horn", "boat/horn", "boat/look", "boat", "boat/+", "/", ""]);
  const place = random.pick(["b1", "b1", "b1", "_group/g", "_group/all", "_group/other", "b2"]);
  if (random.once(4)) return `sb/v1/${place}/flow/${operator}/${random.pick(IDS)}`;
  if (random.once(12)) return random.list(7, () => random.pick(WORDS)).join("/");
  return `sb/v1/${place}/call/${operator}/${method}`;
}

const stepOf = (random: Random): { [Key in keyof Step]: Json } => ({
  topic: topicOf(random),
  payload: random.pick(["{}", ...WORDS]),
  retain: random.once(9),
  dup: random.once(4),
  qos: random.pick([1, 1, 1, 0]),
  response: random.once(4)
    ? null
    : `sb/v1/${random.pick(["b1", "b1", "b1", "b2"])}/out/${random.pick(["op1", "op1", "op2"])}/${random.pick(IDS)}`,
  correlation: random.once(3) ? random.pick([...IDS, "x".repeat(300)]) : null,
  expiry: random.once(8) ? null : random.pick([10, 10, 60, 61, 0, 2 ** 32 - 1]),
  user: random.once(4)
    ? {
        [random.pick(["timeout", "window", "detach", "token", "__proto__"])]: random.once(5)
          ? ["1", "2"]
          : random.pick(["1", "true", "0", "-1", "9".repeat(40), ...WORDS]),
      }
    : {},
});

const messageOf = (step: Step): Message => ({
  topic: step.topic,
  payload: Buffer.from(step.payload),
  qos: step.qos === 0 ? 0 : 1,
  ...{ retain: step.retain, dup: step.dup },
  properties: {
    ...(step.response !== null && { responseTopic: step.response }),
    ...(step.correlation !== null && { correlationData: Buffer.from(step.correlation) }),
    ...(step.expiry !== null && { messageExpiryInterval: step.expiry }),
    userProperties: step.user,
  },
});

const KNOWN = ["op1", "op2", "ha"];
const broker = { host: "127.0.0.1", port: 1, tls: false };

/** Nothing is done but for an operator that is known, and that the topic names; nothing twice; nothing that is kept by the broker. */
export const calls: Target = {
  name: "fleet-calls",
  make: (random) => random.list(12, () => stepOf(random)),
  async check(input: Json) {
    let now: Step | undefined;
    const done = new Set<string>();
    const faults: unknown[] = [];
    const called = ({ caller, args, verb }: Request): Reply => {
      const operator = caller?.operator ?? "";
      if (typeof args === "object" && args !== null && "action" in args) return success();
      demand(now !== undefined && !now.retain, "a retained call is done", now);
      demand(KNOWN.includes(operator), "an operator that nobody knows", now);
      demand(now?.topic.includes(`/call/${operator}/`) === true, "somebody else's", now);
      demand(
        /^(sb\/v1\/b1|sb\/v1\/_group\/(g|all))\/call\//.test(now?.topic ?? ""),
        "not its",
        now,
      );
      const { response, correlation, expiry, qos } = now ?? {};
      const isMute = operator === "ha" && qos === 0 && response === null && correlation === null;
      const isIn = typeof expiry === "number" && expiry > 0 && expiry <= 60;
      demand(isMute || isIn, "without an expiry", now);
      if (!isMute) {
        const id =
          response === null || response === undefined ? correlation : response.split("/").at(-1);
        demand(!done.has(`${operator}/${id}`), "twice", now, verb);
        done.add(`${operator}/${id}`);
        const own = `sb/v1/b1/out/${operator}/`;
        demand(response === null || response?.startsWith(own) === true, "elsewhere", now);
      }
      return success({ n: done.size });
    };
    const registry: Pick<Registry, "call" | "describe"> = {
      async call(request: Request) {
        try {
          return called(request);
        } catch (error) {
          // A call that rejects is one that has failed, to who has asked.
          faults.push(error);
          throw error;
        }
      },
      describe: () => [
        {
          api: "boat",
          verbs: [
            { name: "look", parameters: [], privileges: [], tool: { idempotent: true } },
            { name: "horn", parameters: [], privileges: [] },
          ],
        },
      ],
    };
    // It has no connection: what it would say waits.
    const board = new Board({
      fleet: {
        ...{
          broker,
          board: "b1",
          operator: undefined,
          groups: ["g"],
          secrets: {},
          prefix: "sb/v1",
        },
        ...{ expiry: 60, window: 64, largest: 1024, keepalive: 60, describe: true },
        homeassistant: { operator: "ha", prefix: "homeassistant" },
      },
      ...{ board: "b1", registry: registry as Registry, named: () => undefined, refused: () => {} },
      knows: (operator) => KNOWN.includes(operator),
      tell: (text) => demand(!text.includes("a message failed"), text),
    });
    try {
      for (const step of input as unknown as Step[]) {
        now = step;
        board.take(messageOf(step));
      }
      await new Promise((resolve) => setImmediate(resolve));
    } finally {
      await board.close();
    }
    for (const fault of faults) throw fault;
  },
};

interface Answer {
  /** Of the stream as it is, in its order; else what somebody makes up. */
  at: number | null;
  user: Record<string, string | string[]>;
  payload: string;
}

const STREAM = [
  { kind: "accepted", text: "{}" },
  ...[1, 2, 3, 4].map((n) => ({
    kind: "event",
    text: JSON.stringify({ event: "e", data: { n } }),
  })),
  { kind: "part", text: '{"event":"e","da' },
  { kind: "event", text: 'ta":{"n":5}}' },
  { kind: "reply", text: '{"jtype":"afb-reply","request":{"status":"success","code":0}}' },
] as const;

/** Whatever order and copies answers come in: events are told in order, each once, and there is one outcome at most. */
export const answers: Target = {
  name: "fleet-answers",
  make: (random) =>
    random.list(24, (): { [Key in keyof Answer]: Json } => ({
      at: random.once(12) ? null : random.below(STREAM.length),
      user: {
        kind: random.pick(["event", "reply", "part", "x", ""]),
        seq: random.pick(["0", "1", "-1", "1e9", "", "99999999999999999999"]),
        ...(random.once(3) && { [random.pick(["late", "refused", "lost"])]: "true" }),
      },
      payload: random.pick(WORDS),
    })),
  async check(input: Json) {
    const told: unknown[] = [];
    const outcomes: Outcome[] = [];
    const all = new Calls({ say: () => {}, status: () => "online", isConnected: () => true });
    const outcome = all.add("b", "i", {
      ...{ method: "a/b", args: "", expiry: 10, timeout: undefined, patience: 1000 },
      ...{ detach: undefined, token: undefined, event: (_board, event) => void told.push(event) },
    });
    void outcome.then((one) => outcomes.push(one));
    const steps = input as unknown as Answer[];
    for (const { at, user, payload } of steps) {
      const one = at === null ? undefined : STREAM[at];
      if (one) all.answer("b", "i", Buffer.from(one.text), { kind: one.kind, seq: `${at}` });
      else all.answer("b", "i", Buffer.from(payload), user);
      await new Promise((resolve) => setImmediate(resolve));
    }
    all.look();
    demand(outcomes.length <= 1, "two outcomes", outcomes);
    if (steps.some(({ at }) => at === null)) return;
    const numbers = told.map((event) => (event as { data?: { n?: unknown } }).data?.n);
    demand(
      numbers.every((n, i) => n === i + 1),
      "not in order, or not once",
      numbers,
    );
    demand(
      outcomes.length === 0 || numbers.length === 5,
      "over, and something is missing",
      numbers,
    );
  },
};

const topics = new Topics("sb/v1");

function stream(random: Random): Uint8Array {
  const packets = random.list(5, () =>
    generate(
      random.pick<Packet>([
        {
          ...{
            cmd: "publish",
            topic: random.pick(["a", "sb/v1/b/status"]),
            payload: random.pick(WORDS),
          },
          ...{ qos: random.pick([0, 1, 1, 2]), messageId: 5, retain: false, dup: false },
        },
        { cmd: "puback", messageId: 1 },
        { cmd: "pubrec", messageId: 1 },
        { cmd: "pingresp" },
        { cmd: "suback", messageId: 1, granted: [1] },
      ]),
      { protocolVersion: 5 },
    ),
  );
  const all = Buffer.concat(packets);
  return random.once(2) ? spoil(random, all, 4) : all;
}

/** Whether bytes are what a broker sends is the same however they are cut; what they say of boards is taken whatever it is. */
export const brokers: Target = {
  name: "fleet-packets",
  make: cutting(stream),
  check(input: Json) {
    readAlike(input, (bytes, cuts) => {
      const meter = new PacketMeter(1500);
      for (let at = 0, i = 0; at < bytes.length; i++) {
        const size = cuts[i % cuts.length] || 1;
        if (!meter.fits(bytes.subarray(at, at + size))) return [false];
        at += size;
      }
      return [true];
    });
    const presence = new Presence();
    for (const kind of ["status", "about", "api/x"]) {
      const found = topics.readBoard(`sb/v1/b/${kind}`);
      const bytes = Buffer.from(JSON.stringify(input));
      if (found) presence.note(found.board, found.kind, found.rest, bytes, 5);
    }
    presence.of("all");
  },
};
