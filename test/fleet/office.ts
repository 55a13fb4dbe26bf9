/** The desk of an operator's server at a broker that the test speaks for, at times that it chooses. */
import { expect } from "bun:test";
import type { IPublishPacket, Packet } from "mqtt-packet";
import type { Client, Request } from "../../src/api/client.ts";
import type { AfbError } from "../../src/errors.ts";
import { Desk, type DeskOptions } from "../../src/fleet/desk.ts";
import { SIGN_EXPIRY } from "../../src/fleet/presence.ts";
import { clock } from "./clock.ts";
import { fleetFor } from "./simulated.ts";
import { type Answer, granting, speaking } from "./speaking.ts";

export type Event = Readonly<Record<string, unknown>>;
export const turn = () => new Promise<void>((resolve) => setImmediate(resolve));
const session = { uuid: "s" };
export const request = (args: unknown, more: Partial<Request> = {}): Request => ({
  ...{ api: "monitor", verb: "fleet/x", args, session, ...more },
});

/** Who takes events, until it goes. */
export class Taker implements Client {
  readonly session = session;
  connected = true;
  readonly backlog = 0;
  readonly events: Event[] = [];
  readonly leaving = new Set<() => void>();
  send(event: string, data: unknown): void {
    expect(event).toBe("monitor/fleet");
    this.events.push(data as Event);
  }
  onClose(gone: () => void): () => void {
    this.leaving.add(gone);
    return () => void this.leaving.delete(gone);
  }
  go(): void {
    this.connected = false;
    for (const gone of [...this.leaving]) gone();
  }
  of(type: string): Event[] {
    return this.events.filter((event) => event["type"] === type);
  }
}

export interface How {
  readonly options?: Partial<DeskOptions>;
  /** What a board answers at once. */
  readonly answers?: (board: string, method: string) => unknown;
  readonly answer?: Answer;
}

/** With boards that the broker tells of. */
export function officeAt({ options = {}, answers = () => undefined, answer = granting }: How = {}) {
  const time = clock();
  const broker = speaking((packet: Packet) => {
    if (packet.cmd === "publish") queueMicrotask(() => reply(packet));
    return answer(packet);
  });
  const told: string[] = [];
  const called: string[][] = [];
  const [desk, look] = time.making(
    () =>
      new Desk({
        ...{ fleet: fleetFor(broker), operator: "op1", tell: (text) => told.push(text) },
        ...{ may: () => true, ...options },
        called: (_, id, to, method) => called.push([id, to, method]),
      }),
  );
  const out = (board: string, id: string, seq: number, value: unknown, user = {}) =>
    broker.publish(
      `sb/v1/${board}/out/op1/${id}`,
      typeof value === "string" ? value : JSON.stringify(value),
      { properties: { userProperties: { kind: "reply", seq: `${seq}`, ...user } } },
    );
  const boards = new Map<string, object | undefined>();
  function reply({ topic, properties = {} }: IPublishPacket): void {
    const [, , to = "", kind = "", third = "", ...rest] = topic.split("/");
    const isGroup = to === "_group";
    if ((isGroup ? third : kind) !== "call") return;
    const id =
      properties.correlationData?.toString() ?? properties.responseTopic?.split("/").at(-1);
    const method = rest.slice(isGroup ? 1 : 0).join("/");
    for (const board of isGroup ? boards.keys() : [to]) {
      const value = answers(board, method);
      if (value !== undefined) out(board, id ?? "", 0, value);
    }
  }
  const tell = (board: string, status: string, about?: object, left = SIGN_EXPIRY): void => {
    boards.set(board, about);
    const more = { retain: true, qos: 0 } as const;
    if (about) broker.publish(`sb/v1/${board}/about`, JSON.stringify(about), more);
    broker.publish(`sb/v1/${board}/status`, status, {
      ...{ ...more, properties: { messageExpiryInterval: left } },
    });
  };
  /** Once there is a connection, and nothing new: of `working`, which is the first to ask. */
  const opened = async <T>(working: Promise<T>, tells = () => {}): Promise<T> => {
    const before = broker.subscribes.length;
    await broker.when(() => broker.subscribes.length > before);
    tells();
    await broker.taken();
    return settled(working);
  };
  /** While time goes on. */
  const settled = async <T>(working: Promise<T>): Promise<T> => {
    let isDone = false;
    const done = (): void => void (isDone = true);
    void working.then(done, done);
    for (; !isDone; await Bun.sleep(1)) time.pass(400);
    return working;
  };
  const open = async (...names: string[]) => {
    await opened(desk.boards(request({})), () => {
      for (const name of names) tell(name, "online", { groups: ["dock"], apis: ["boat"] });
    });
  };
  return {
    ...{ time, broker, desk, look, told, called, out, tell, opened, open, settled },
    async [Symbol.asyncDispose]() {
      await settled(desk.close());
      broker[Symbol.dispose]();
      time[Symbol.dispose]();
    },
  };
}
/** Why it fails. */
export const failed = async (working: Promise<unknown>): Promise<unknown> =>
  working.then(
    () => undefined,
    ({ status, message }: AfbError) => ({ status, message }),
  );
export const disconnects = ({ got }: { readonly got: readonly Packet[] }) =>
  got.filter(({ cmd }) => cmd === "disconnect").length;
