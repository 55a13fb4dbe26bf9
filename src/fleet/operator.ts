/** An operator of a fleet: what it sees of boards, and its calls, to one or to a group. */
import type { Flow } from "./call.ts";
import { Calls, type Invocation, WINDOW } from "./calls.ts";
import { Link, type Message } from "./link.ts";
import type { Fleet } from "./load.ts";
import type { Outcome } from "./outcome.ts";
import { Presence } from "./presence.ts";
import { Topics } from "./topics.ts";

export interface OperatorOptions {
  readonly fleet: Pick<Fleet, "broker" | "secrets" | "prefix">;
  readonly operator: string;
  /** Of a process that has other things to do. */
  readonly isOneOfMany?: boolean;
  /** Bytes of one answer; see inflow.ts. */
  readonly whole?: number;
  /** One line for people. */
  readonly tell: (text: string) => void;
  /** ms that a board which went away in the middle of a call without a timeout is waited for. */
  readonly away?: number;
  /** Something is news of a board: of its `status`, `about` or `api`. */
  readonly seen?: (board: string, kind: string) => void;
}

/** Bytes of a packet: far more than a piece. */
const LARGEST = 4 << 20;
/** s: what came in the meantime is still there after a broken link. */
const SESSION = 300;
const KEEPALIVE = 30;
/** ms for what was said to boards before the end. */
const LAST_WORDS = 2000;
/** ms */
const CONNECT_LIMIT = 20_000;
/** ms between two looks at calls of which nothing was heard. */
const LOOK = 1000;
/** ms after which what the broker has refused is asked for again: its rights may be others by then. */
const AGAIN = 60_000;
/** s: what is said in the course of a call has no worth later. */
const FLOW_EXPIRY = 20;
/** ms without anything new after which all that the broker keeps has come, and the longest for that. */
const [QUIET, QUIET_LIMIT] = [400, 15_000];

export class Operator {
  readonly presence = new Presence();
  readonly topics: Topics;
  readonly #link: Link;
  readonly #calls: Calls;
  readonly #connected = Promise.withResolvers<void>();
  #isConnected = false;
  #lastSeen = 0;
  /** What is asked for on each connection, by topic. */
  readonly #wanted = new Map<string, () => Promise<void>>();
  /** Of these the topics that the broker has refused, and when, ms of performance.now(). */
  readonly #refused = new Map<string, number>();
  #refusal = "";
  readonly #timer: ReturnType<typeof setInterval>;

  constructor(readonly options: OperatorOptions) {
    const { fleet, operator } = options;
    this.topics = new Topics(fleet.prefix);
    this.#calls = new Calls({
      ...{ away: options.away, whole: options.whole },
      say: (board, id, flow) => this.say(board, id, flow),
      status: (board) => this.presence.stateOf(board),
      isConnected: () => this.#link.connected,
    });
    const { broker, secrets } = fleet;
    this.#link = new Link({
      ...{ broker, secrets, name: operator, session: SESSION, keepalive: KEEPALIVE },
      clientId: `${operator}-${crypto.randomUUID().slice(0, 13)}`,
      ...{ largest: LARGEST, isPassing: true, isOneOfMany: options.isOneOfMany ?? false },
      tell: (text) => this.#told(text),
      connected: () => {
        this.#isConnected = true;
        this.#connected.resolve();
        this.#refused.clear();
        this.#refusal = "";
        for (const [topic, ask] of this.#wanted) void this.#again(topic, ask);
        this.#calls.goOn();
      },
      message: (message) => this.#message(message),
    });
    this.#timer = setInterval(() => this.#look(), LOOK);
    this.#timer.unref();
    this.#connected.promise.catch(() => {});
  }

  /** Rejects with an Error that says why there is no connection. */
  async connect(): Promise<void> {
    const timer = setTimeout(
      () => this.#connected.reject(new Error("the broker does not answer")),
      CONNECT_LIMIT,
    );
    this.#link.start();
    try {
      await this.#connected.promise;
    } finally {
      clearTimeout(timer);
    }
  }

  /**
   * Looks at what the broker keeps of boards, and goes on doing so.
   * @param board all by default
   */
  async look(board = "+"): Promise<void> {
    const { topics } = this;
    this.#lastSeen = performance.now();
    // First what they are: who is told that one is there may want to know. With QoS 1 it would be dropped where there are more
    // boards than a broker queues.
    const all = [topics.about(board), topics.status(board)];
    await this.#want(topics.status(board), () => this.#link.subscribe(all, { qos: 0, kept: true }));
    const end = performance.now() + QUIET_LIMIT;
    const isThere = (): boolean => {
      const seen = this.presence.boards.get(board);
      return seen?.status !== undefined && seen.about !== undefined;
    };
    while (performance.now() - this.#lastSeen < QUIET && performance.now() < end && !isThere())
      await Bun.sleep(10);
  }

  /** What a board tells of its verbs, by API. */
  async describe(board: string): Promise<ReadonlyMap<string, unknown>> {
    const { presence, topics } = this;
    const topic = topics.api(board, "+");
    this.#lastSeen = performance.now();
    await this.#link.subscribe([topic], { qos: 0, kept: true });
    const end = performance.now() + QUIET_LIMIT;
    const isThere = (): boolean => {
      const { apis, about } = presence.boards.get(board) ?? {};
      return about !== undefined && about.apis.every((api) => apis?.has(api));
    };
    while (performance.now() - this.#lastSeen < QUIET && performance.now() < end && !isThere())
      await Bun.sleep(10);
    this.#link.unsubscribe([topic]).catch(() => {});
    const known = presence.boards.get(board)?.about?.apis ?? [];
    // What it has told once, and has no more, may still be kept.
    return new Map([...presence.takeApis(board)].filter(([api]) => known.includes(api)));
  }

  /** Now, and on each further connection, unless it is refused now. */
  async #want(topic: string, ask: () => Promise<void>): Promise<void> {
    await ask();
    this.#wanted.set(topic, ask);
  }

  /** What is refused is told once, and asked for again after a while; after the end of a connection, on the next. */
  async #again(topic: string, ask: () => Promise<void>): Promise<void> {
    try {
      await ask();
    } catch (error) {
      if (!this.#link.connected) return;
      this.#refused.set(topic, performance.now());
      const why = error instanceof Error ? error.message : String(error);
      if (why !== this.#refusal) this.#told(why);
      this.#refusal = why;
    }
  }

  #look(): void {
    this.#calls.look();
    const now = performance.now();
    for (const [topic, at] of [...this.#refused]) {
      if (now - at <= AGAIN || !this.#link.connected) continue;
      this.#refused.delete(topic);
      const ask = this.#wanted.get(topic);
      if (ask) void this.#again(topic, ask);
    }
  }

  get isConnected(): boolean {
    return this.#link.connected;
  }

  /** The answers to calls of this id come from now on. */
  async expect(id: string): Promise<void> {
    const topic = this.topics.out("+", this.options.operator, id);
    await this.#want(topic, () => this.#link.subscribe([topic]));
  }

  /** And no more. */
  ignore(id: string): void {
    const topic = this.topics.out("+", this.options.operator, id);
    this.#wanted.delete(topic);
    this.#link.unsubscribe([topic]).catch(() => {});
  }

  /** The same of all calls of this operator. */
  async expectAll(): Promise<void> {
    const topic = this.topics.out("+", this.options.operator, "#");
    await this.#want(topic, () => this.#link.subscribe([topic]));
  }

  /** Never rejects. */
  call(board: string, id: string, invocation: Invocation): Promise<Outcome> {
    const { topics, options } = this;
    const topic = topics.call(board, options.operator, invocation.method);
    const responseTopic = topics.out(board, options.operator, id);
    const outcome = this.#calls.add(board, id, invocation);
    this.#publish(topic, invocation, { responseTopic }, [board], id);
    return outcome;
  }

  /** One message for all boards of a group. @param boards those that are to answer. None of the promises rejects */
  callGroup(
    group: string,
    boards: readonly string[],
    id: string,
    invocation: Invocation,
  ): Promise<Outcome>[] {
    const topic = this.topics.groupCall(group, this.options.operator, invocation.method);
    const outcomes = boards.map((board) => this.#calls.add(board, id, invocation));
    this.#publish(topic, invocation, { correlation: Buffer.from(id) }, boards, id);
    return outcomes;
  }

  /** Says something in the course of a call. */
  say(board: string, id: string, flow: Flow): void {
    const topic = this.topics.flow(board, this.options.operator, id);
    this.#link.publish(topic, JSON.stringify(flow), { expiry: FLOW_EXPIRY }).catch(() => {});
  }

  /** To all boards whose call is not over: how many these are. @param only the call of this id */
  sayAll(flow: Flow, only?: string): number {
    const open = this.#calls.of(only);
    for (const { board, id } of open) this.say(board, id, flow);
    return open.length;
  }

  /** Waits for no more answers to calls of this id. */
  abandon(id: string, info: string): void {
    for (const { board } of this.#calls.of(id))
      this.#calls.settle(id, { board, result: "timeout", info });
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    // To each board its own.
    const end = performance.now() + LAST_WORDS;
    while (this.#link.connected && this.#link.backlog > 0 && performance.now() < end)
      await Bun.sleep(5);
    await this.#link.close();
  }

  #told(text: string): void {
    if (this.#isConnected) this.options.tell(text);
    else if (!this.#link.connected) this.#connected.reject(new Error(text));
  }

  #publish(
    topic: string,
    { args, expiry, timeout, detach, token }: Invocation,
    how: { readonly responseTopic?: string; readonly correlation?: Buffer },
    boards: readonly string[],
    id: string,
  ): void {
    const user = {
      window: String(WINDOW),
      ...(timeout !== undefined && { timeout: String(timeout) }),
      ...(detach !== undefined && { detach: String(detach) }),
      ...(token !== undefined && { token }),
    };
    this.#link
      .publish(topic, args, { ...how, expiry, user, type: "application/json" })
      .catch((error: unknown) => {
        const info = `the broker does not take it: ${error instanceof Error ? error.message : String(error)}`;
        for (const board of boards) this.#calls.settle(id, { board, result: "refused", info });
      });
  }

  #message({ topic, payload, properties }: Message): void {
    const found = this.topics.readBoard(topic);
    if (!found) return;
    const { board, kind, rest } = found;
    const bytes = Buffer.from(payload);
    if (kind === "out") {
      // Its own signs a broker drops where much is on its way to here.
      this.presence.hear(board);
      const [operator, id = ""] = rest;
      if (operator === this.options.operator)
        this.#calls.answer(board, id, bytes, properties?.userProperties ?? {});
      return;
    }
    const left = properties?.messageExpiryInterval;
    const isNews = this.presence.note(board, kind, rest, bytes, left);
    if (isNews === undefined) return;
    this.#lastSeen = performance.now();
    if (isNews) this.options.seen?.(board, kind);
  }
}
