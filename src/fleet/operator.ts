/** An operator of a fleet: what it sees of boards, and its calls, to one or to a group. */
import type { Reply } from "../api/reply.ts";
import { parseForeign } from "../json.ts";
import { isObject } from "../object.ts";
import type { Flow } from "./call.ts";
import { Inflow } from "./inflow.ts";
import { Link, type Message } from "./link.ts";
import type { Fleet } from "./load.ts";
import type { Kind } from "./outflow.ts";
import { Presence } from "./presence.ts";
import { Topics } from "./topics.ts";

export interface OperatorOptions {
  readonly fleet: Pick<Fleet, "broker" | "secrets" | "prefix">;
  readonly operator: string;
  /** One line for people. */
  readonly tell: (text: string) => void;
  /** ms that a board which went away in the middle of a call without a timeout is waited for. */
  readonly away?: number;
  /** A board has changed. */
  readonly seen?: (board: string, kind: string, payload: Buffer) => void;
}

/**
 * - `ok`: the call succeeded, and so did the task that it started
 * - `error`: it did not, or it is not known whether it did
 * - `refused`: nothing was done
 * - `timeout`: there is no answer, or the task has not ended
 * - `offline`: the board is not there, and was not called
 */
export type Result = "ok" | "error" | "refused" | "timeout" | "offline";

export interface Outcome {
  readonly board: string;
  readonly result: Result;
  readonly reply?: Reply;
  /** In words, where there is no reply. */
  readonly info?: string;
}

export interface Invocation {
  /** API/VERB */
  readonly method: string;
  /** JSON, or "" for none. */
  readonly args: string;
  /** s that the broker keeps it. */
  readonly expiry: number;
  /** ms from its start to its end; undefined: as long as it takes. */
  readonly timeout: number | undefined;
  /** ms until the first answer. */
  readonly patience: number;
  readonly detach: boolean | undefined;
  readonly token: string | undefined;
  /** What is printed: the `afb-event`. A promise holds the board's task. */
  readonly event: (board: string, event: Record<string, unknown>) => void | Promise<void>;
}

interface Pending {
  readonly board: string;
  readonly inflow: Inflow;
  readonly settle: PromiseWithResolvers<Outcome>;
  readonly invocation: Invocation;
  readonly begun: number;
  heard: number;
  isAccepted: boolean;
  /** Since when the board is offline. */
  away: number | undefined;
}

export const WINDOW = 64;
/** Bytes of a packet: far more than a piece. */
const LARGEST = 4 << 20;
/** s: what came in the meantime is still there after a broken link. */
const SESSION = 300;
const KEEPALIVE = 30;
/** ms */
const CONNECT_LIMIT = 20_000;
/** ms between two looks at calls of which nothing was heard, and ms of silence after which a board is asked. */
const LOOK = 1000;
const ASK = 5000;
const AWAY = 60_000;
/** s: what is said in the course of a call has no worth later. */
const FLOW_EXPIRY = 20;
/** ms that a board has to tell that the time is over. */
const LATER = 3000;
/** ms without anything new after which all that the broker keeps has come, and the longest for that. */
const [QUIET, QUIET_LIMIT] = [400, 15_000];

export class Operator {
  readonly presence = new Presence();
  readonly topics: Topics;
  readonly #link: Link;
  readonly #calls = new Map<string, Pending>();
  readonly #connected = Promise.withResolvers<void>();
  #isConnected = false;
  #lastSeen = 0;
  readonly #timer: ReturnType<typeof setInterval>;

  constructor(readonly options: OperatorOptions) {
    const { fleet, operator } = options;
    this.topics = new Topics(fleet.prefix);
    const { broker, secrets } = fleet;
    this.#link = new Link({
      ...{ broker, secrets, name: operator, session: SESSION, keepalive: KEEPALIVE },
      clientId: `${operator}-${crypto.randomUUID().slice(0, 13)}`,
      ...{ largest: LARGEST, isPassing: true },
      tell: (text) => this.#told(text),
      connected: () => {
        this.#isConnected = true;
        this.#connected.resolve();
        // What was lost with the connection is asked for.
        for (const { inflow, isAccepted } of this.#calls.values()) if (isAccepted) inflow.ask();
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
   * @param apis with their verbs
   */
  async look(board = "+", apis = false): Promise<void> {
    const { topics } = this;
    // First what they are: who is told that one is there may want to know.
    const wanted = [topics.about(board), topics.status(board)];
    this.#lastSeen = performance.now();
    // With less it would be dropped where there are more boards than a broker queues.
    await this.#link.subscribe(apis ? [...wanted, topics.api(board, "+")] : wanted, {
      qos: 0,
      kept: true,
    });
    const end = performance.now() + QUIET_LIMIT;
    const isThere = (): boolean => {
      const seen = this.presence.boards.get(board);
      return !apis && seen?.status !== undefined && seen.about !== undefined;
    };
    while (performance.now() - this.#lastSeen < QUIET && performance.now() < end && !isThere())
      await Bun.sleep(10);
  }

  /** The answers to calls of this id come from now on. */
  async expect(id: string): Promise<void> {
    await this.#link.subscribe([this.topics.out("+", this.options.operator, id)]);
  }

  /** The same of all calls of this operator. */
  async expectAll(): Promise<void> {
    await this.#link.subscribe([this.topics.out("+", this.options.operator, "#")]);
  }

  /** Never rejects. */
  call(board: string, id: string, invocation: Invocation): Promise<Outcome> {
    const { topics, options } = this;
    const topic = topics.call(board, options.operator, invocation.method);
    const responseTopic = topics.out(board, options.operator, id);
    const outcome = this.#pending(board, id, invocation);
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
    const outcomes = boards.map((board) => this.#pending(board, id, invocation));
    this.#publish(topic, invocation, { correlation: Buffer.from(id) }, boards, id);
    return outcomes;
  }

  /** Says something in the course of a call. */
  say(board: string, id: string, flow: Flow): void {
    const topic = this.topics.flow(board, this.options.operator, id);
    this.#link.publish(topic, JSON.stringify(flow), { expiry: FLOW_EXPIRY }).catch(() => {});
  }

  /** To all boards whose call is not over. */
  sayAll(flow: Flow): number {
    for (const key of this.#calls.keys()) {
      const [board = "", id = ""] = key.split("/");
      this.say(board, id, flow);
    }
    return this.#calls.size;
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.#link.close();
  }

  #told(text: string): void {
    if (this.#isConnected) this.options.tell(text);
    else if (!this.#link.connected) this.#connected.reject(new Error(text));
  }

  #pending(board: string, id: string, invocation: Invocation): Promise<Outcome> {
    const settle = Promise.withResolvers<Outcome>();
    const inflow = new Inflow({
      window: WINDOW,
      take: (kind, text) => this.#take(pending, id, kind, text),
      say: (flow) => this.say(board, id, flow),
    });
    const now = performance.now();
    const pending: Pending = {
      ...{ board, inflow, settle, invocation, begun: now, heard: now, isAccepted: false },
      away: undefined,
    };
    this.#calls.set(`${board}/${id}`, pending);
    return settle.promise;
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
        for (const board of boards) this.#settle(board, id, { board, result: "refused", info });
      });
  }

  #message({ topic, payload, properties }: Message): void {
    const found = this.topics.readBoard(topic);
    if (!found) return;
    const { board, kind, rest } = found;
    const bytes = Buffer.from(payload);
    if (kind === "out") return this.#answer(board, rest, bytes, properties?.userProperties ?? {});
    if (!this.presence.note(board, kind, rest, bytes)) return;
    this.#lastSeen = performance.now();
    this.options.seen?.(board, kind, bytes);
  }

  #answer(
    board: string,
    [operator, id = ""]: readonly string[],
    payload: Buffer,
    user: NonNullable<NonNullable<Message["properties"]>["userProperties"]>,
  ): void {
    const pending = this.#calls.get(`${board}/${id}`);
    if (!pending || operator !== this.options.operator) return;
    pending.heard = performance.now();
    const kind = kindOf(user["kind"]);
    const seq = Number(user["seq"]);
    if (!kind || !Number.isSafeInteger(seq) || seq < 0) return;
    // It stands alone, whatever came before.
    if (user["refused"] === "true" || user["lost"] === "true") {
      const reply = replyOf(payload.toString());
      const isRefused = user["refused"] === "true" && !pending.isAccepted;
      return this.#settle(board, id, {
        ...{ board, result: isRefused ? "refused" : "error" },
        ...(reply && { reply }),
      });
    }
    if (user["late"] === "true" && seq > pending.inflow.next) {
      const reply = replyOf(payload.toString());
      const info = "part of what it has printed is lost";
      return this.#settle(board, id, { board, result: "error", info, ...(reply && { reply }) });
    }
    pending.inflow.message(seq, kind, payload);
  }

  #take(
    pending: Pending,
    id: string,
    kind: Exclude<Kind, "part">,
    text: string,
  ): void | Promise<void> {
    const { board, invocation } = pending;
    pending.isAccepted ||= kind !== "reply";
    if (kind === "accepted") return;
    if (kind === "event") return this.#events(board, text, invocation);
    const reply = replyOf(text);
    const info = "its answer cannot be read";
    const outcome: Outcome = reply
      ? { board, result: resultOf(reply, pending.isAccepted), reply }
      : { board, result: "error", info };
    // The last word of many: the board need not keep it.
    if (pending.isAccepted) queueMicrotask(() => pending.inflow.confirm());
    this.#settle(board, id, outcome);
  }

  async #events(board: string, text: string, { event }: Invocation): Promise<void> {
    for (const line of text.split("\n")) {
      const value = jsonOf(line);
      if (!isObject(value)) continue;
      const taken = event(board, value);
      if (taken) await taken;
    }
  }

  #settle(board: string, id: string, outcome: Outcome): void {
    const key = `${board}/${id}`;
    const pending = this.#calls.get(key);
    if (!pending) return;
    this.#calls.delete(key);
    pending.settle.resolve(outcome);
  }

  #look(): void {
    const now = performance.now();
    for (const [key, pending] of [...this.#calls]) {
      const [board = "", id = ""] = key.split("/");
      const { begun, heard, inflow, invocation, isAccepted } = pending;
      const { timeout, patience } = invocation;
      const limit = timeout === undefined ? Infinity : timeout + LATER;
      const isOffline = this.presence.boards.get(board)?.status === "offline";
      pending.away = isOffline ? (pending.away ?? now) : undefined;
      const { away = AWAY } = this.options;
      const isGone = isAccepted && timeout === undefined && now - (pending.away ?? now) > away;
      const isLate = !isAccepted && !inflow.isHeard && now - begun > patience;
      if (isLate || now - begun > limit) {
        this.#settle(board, id, { board, result: isOffline && isLate ? "offline" : "timeout" });
      } else if (isGone) {
        const info = "it went offline while it was at it";
        this.#settle(board, id, { board, result: "error", info });
      } else if (this.#link.connected && now - heard > ASK && this.presence.isOnline(board)) {
        pending.heard = now;
        inflow.alive();
      }
    }
  }
}

const KINDS: ReadonlySet<unknown> = new Set<Kind>(["accepted", "event", "part", "reply"]);
const isKind = (value: unknown): value is Kind => KINDS.has(value);
const kindOf = (value: unknown): Kind | undefined => (isKind(value) ? value : undefined);

function jsonOf(text: string): unknown {
  try {
    return parseForeign(text);
  } catch (error) {
    if (error instanceof Error) return undefined;
    throw error;
  }
}

function replyOf(text: string): Reply | undefined {
  const value = jsonOf(text);
  return isReply(value) ? value : undefined;
}

function isReply(value: unknown): value is Reply {
  if (!isObject(value) || !isObject(value["request"])) return false;
  const { status, info = "" } = value["request"];
  return typeof status === "string" && typeof info === "string";
}

/** @param isAccepted something was done */
function resultOf({ request, response }: Reply, isAccepted: boolean): Result {
  if (request.status === "timeout") return "timeout";
  if (request.status !== "success") return isAccepted ? "error" : "refused";
  const { status } = isObject(response) ? response : {};
  return isObject(status) && status["exit"] !== 0 ? "error" : "ok";
}
