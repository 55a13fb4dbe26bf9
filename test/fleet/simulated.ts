/** Boards without commands: each with a connection of its own, in this process; and who calls them. */
import type { Registry } from "../../src/api/registry.ts";
import type { Request } from "../../src/api/client.ts";
import { failure, type Reply, success } from "../../src/api/reply.ts";
import { AfbError } from "../../src/errors.ts";
import { Board, type BoardOptions } from "../../src/fleet/board.ts";
import type { Invocation } from "../../src/fleet/calls.ts";
import type { Fleet } from "../../src/fleet/load.ts";
import { Operator } from "../../src/fleet/operator.ts";
import type { Outcome } from "../../src/fleet/outcome.ts";
import type { Broker } from "./broker.ts";

/** Where one listens. */
type At = Pick<Broker, "port">;

export const fleetFor = (broker: At, more: Partial<Fleet> = {}): Fleet => ({
  broker: { host: "127.0.0.1", port: broker.port, tls: false },
  ...{ board: undefined, operator: undefined, groups: [], secrets: {}, prefix: "sb/v1" },
  ...{ expiry: 60, window: 64, largest: 256 << 10, keepalive: 60, describe: true },
  homeassistant: undefined,
  ...more,
});

/** What a board answers; by default `ok`. */
export type Answering = (board: string, request: Request) => Reply | Promise<Reply>;

export function simulated(
  broker: At,
  board: string,
  answering: Answering = () => success("ok"),
  fleet: Partial<Fleet> = {},
  more: Partial<BoardOptions> = {},
): Board {
  const registry = {
    call: async (request: Request) => answering(board, request),
    describe: () => [
      {
        api: "boat",
        verbs: [
          { name: "horn", parameters: [], privileges: [], task: true },
          {
            name: "look",
            parameters: [],
            ...{ privileges: ["x"], task: true, tool: { idempotent: true } },
          },
          {
            name: "light",
            parameters: [{ name: "colour", required: true }],
            privileges: [],
            task: true,
          },
        ],
      },
    ],
  } satisfies Partial<Registry>;
  return new Board({
    ...{ fleet: fleetFor(broker, fleet), board, registry: registry as unknown as Registry },
    ...{ knows: () => true, named: () => undefined, refused: () => {}, tell: () => {} },
    ...more,
  });
}

export async function boards(
  broker: At,
  count: number,
  answering?: Answering,
  groups: (index: number) => readonly string[] = () => [],
): Promise<{ readonly all: readonly Board[] } & AsyncDisposable> {
  const all = Array.from({ length: count }, (_, i) =>
    simulated(broker, nameOf(i), answering, { groups: groups(i) }),
  );
  for (const board of all) board.start();
  const end = Date.now() + 60_000;
  while (!all.every((board) => board.isJoined)) {
    if (Date.now() > end) throw new Error("not all boards have joined");
    await Bun.sleep(20);
  }
  return {
    all,
    async [Symbol.asyncDispose]() {
      await Promise.all(all.map((board) => board.close()));
    },
  };
}

export const nameOf = (index: number): string => `board-${String(index).padStart(4, "0")}`;

export const broken = (): Reply => failure(new AfbError("internal-error", "broken"));

export const invocation = (more: Partial<Invocation> = {}): Invocation => ({
  ...{ method: "boat/horn", args: "", expiry: 20, timeout: undefined, patience: 20_000 },
  ...{ detach: undefined, token: undefined, event: () => {}, ...more },
});

/** With one that is connected. */
export async function withOperator<T>(
  at: At,
  work: (operator: Operator) => Promise<T>,
): Promise<T> {
  const operator = new Operator({ fleet: fleetFor(at), operator: "op1", tell: () => {} });
  await operator.connect();
  try {
    return await work(operator);
  } finally {
    await operator.close();
  }
}

export const count = (outcomes: readonly Outcome[], wanted: string): number =>
  outcomes.filter(({ result }) => result === wanted).length;
