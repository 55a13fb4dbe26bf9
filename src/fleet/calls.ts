/** The calls of an operator that are not over: what comes of each, and when there is nothing more to wait for. */
import { isObject } from "../object.ts";
import type { Flow } from "./call.ts";
import { Inflow } from "./inflow.ts";
import { jsonOf, kindOf, type Outcome, replyOf, resultOf } from "./outcome.ts";
import type { Kind } from "./outflow.ts";

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

export interface CallsOptions {
  /** ms that a board which went away in the middle of a call without a timeout is waited for. */
  readonly away?: number | undefined;
  /** Bytes of one answer; see inflow.ts. */
  readonly whole?: number | undefined;
  /** Something in the course of a call. */
  readonly say: (board: string, id: string, flow: Flow) => void;
  readonly status: (board: string) => "online" | "offline" | undefined;
  /** With the broker. */
  readonly isConnected: () => boolean;
}

interface Pending {
  readonly board: string;
  readonly id: string;
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
/** ms of silence after which a board is asked. */
const ASK = 5000;
const AWAY = 60_000;
/** ms that a board has to tell that the time is over. */
const LATER = 3000;

export class Calls {
  readonly #pending = new Map<string, Pending>();

  constructor(readonly options: CallsOptions) {}

  /** The promise never rejects. */
  add(board: string, id: string, invocation: Invocation): Promise<Outcome> {
    const settle = Promise.withResolvers<Outcome>();
    const inflow = new Inflow({
      ...{ window: WINDOW, whole: this.options.whole },
      take: (kind, text) => this.#take(pending, kind, text),
      say: (flow) => this.options.say(board, id, flow),
    });
    const now = performance.now();
    const pending: Pending = {
      ...{ board, id, inflow, settle, invocation, begun: now, heard: now, isAccepted: false },
      away: undefined,
    };
    this.#pending.set(`${board}/${id}`, pending);
    return settle.promise;
  }

  /** Those that are not over. @param id of these; all by default */
  of(id?: string): { readonly board: string; readonly id: string }[] {
    return [...this.#pending.values()].filter((one) => id === undefined || one.id === id);
  }

  settle(id: string, outcome: Outcome): void {
    const key = `${outcome.board}/${id}`;
    const pending = this.#pending.get(key);
    if (!pending) return;
    this.#pending.delete(key);
    pending.settle.resolve(outcome);
  }

  /** What was lost with a connection is asked for. */
  goOn(): void {
    for (const { inflow, isAccepted } of this.#pending.values()) if (isAccepted) inflow.ask();
  }

  /** @param user the user properties */
  answer(
    board: string,
    id: string,
    payload: Buffer,
    user: Readonly<Record<string, string | readonly string[]>>,
  ): void {
    const pending = this.#pending.get(`${board}/${id}`);
    if (!pending) return;
    pending.heard = performance.now();
    const kind = kindOf(user["kind"]);
    const seq = Number(user["seq"]);
    if (!kind || !Number.isSafeInteger(seq) || seq < 0) return;
    // It stands alone, whatever came before.
    if (user["refused"] === "true" || user["lost"] === "true") {
      const reply = replyOf(payload.toString());
      const isRefused = user["refused"] === "true" && !pending.isAccepted;
      return this.settle(id, {
        ...{ board, result: isRefused ? "refused" : "error" },
        ...(reply && { reply }),
      });
    }
    if (user["late"] === "true" && seq > pending.inflow.next) {
      const reply = replyOf(payload.toString());
      const info = "part of what it has printed is lost";
      return this.settle(id, { board, result: "error", info, ...(reply && { reply }) });
    }
    pending.inflow.message(seq, kind, payload);
  }

  #take(pending: Pending, kind: Exclude<Kind, "part">, text: string): void | Promise<void> {
    const { board, id, invocation } = pending;
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
    this.settle(id, outcome);
  }

  async #events(board: string, text: string, { event }: Invocation): Promise<void> {
    for (const line of text.split("\n")) {
      const value = jsonOf(line);
      if (!isObject(value)) continue;
      const taken = event(board, value);
      if (taken) await taken;
    }
  }

  /** To be called every second or so. */
  look(): void {
    const now = performance.now();
    const { status, isConnected, away: limitAway = AWAY } = this.options;
    for (const pending of [...this.#pending.values()]) {
      const { board, id, begun, heard, inflow, invocation, isAccepted } = pending;
      const { timeout, patience } = invocation;
      const limit = timeout === undefined ? Infinity : timeout + LATER;
      const isOffline = status(board) === "offline";
      pending.away = isOffline ? (pending.away ?? now) : undefined;
      const isGone = isAccepted && timeout === undefined && now - (pending.away ?? now) > limitAway;
      const isLate = !isAccepted && !inflow.isHeard && now - begun > patience;
      if (isLate || now - begun > limit) {
        this.settle(id, { board, result: isOffline && isLate ? "offline" : "timeout" });
      } else if (isGone) {
        const info = "it went offline while it was at it";
        this.settle(id, { board, result: "error", info });
      } else if (isConnected() && now - heard > ASK && status(board) === "online") {
        pending.heard = now;
        inflow.alive();
      }
    }
  }
}
