/** One call of an operator on a board, from its start to the last answer: a client of the registry as any other. */
import { valueOf } from "../api/event-data.ts";
import { Farewells } from "../api/farewells.ts";
import type { Caller, Client, Session } from "../api/client.ts";
import type { Registry } from "../api/registry.ts";
import { failure, type Reply, success } from "../api/reply.ts";
import { AfbError } from "../errors.ts";
import { isObject } from "../object.ts";
import { encodeReply } from "../server/afb.ts";
import { encodeEvent } from "../server/event-text.ts";
import { tasksToFollow } from "../server/follow.ts";
import { type Kind, Outflow } from "./outflow.ts";
import type { Asked, Place } from "./request.ts";

export interface CallOptions {
  readonly place: Place;
  readonly asked: Asked;
  readonly session: Session;
  readonly caller: Caller;
  readonly registry: Registry;
  /** The connection to the broker. */
  readonly put: (seq: number, kind: Kind, payload: Buffer) => void;
  readonly isAway: () => boolean;
  /** The last answer is there, and may still have to be sent. */
  readonly over: (call: BoardCall, answer: { readonly seq: number; readonly text: string }) => void;
}

/** What an operator says in the course of a call. */
export interface Flow {
  /** All up to that number has arrived. */
  readonly seq?: number;
  /** It wants what has not arrived, from that number on. */
  readonly from?: number;
  readonly stop?: boolean;
  readonly signal?: unknown;
  /** It does not want any more of it; the task goes on as the config has it. */
  readonly leave?: boolean;
}

export class BoardCall implements Client {
  readonly outflow: Outflow;
  readonly place: Place;
  /** When the operator was last heard of; undefined: it says nothing in the course of a call. */
  heard: number | undefined;
  readonly begun = performance.now();
  #isOver = false;
  /** Of the task that it has started, once that is known. */
  #pid: number | undefined;
  /** Tasks whose end is the end of this; undefined before the reply. */
  #tasks: Set<number> | undefined;
  #started: Reply | undefined;
  #last: { readonly status?: unknown; readonly unsubscribed?: unknown } = {};
  #stopWith: { readonly signal: unknown } | undefined;
  readonly #farewells = new Farewells();

  constructor(readonly options: CallOptions) {
    const { place, asked, put, isAway } = options;
    this.place = place;
    const { window } = asked;
    this.outflow = new Outflow({
      window,
      isAway: () => !place.isMute && isAway(),
      put: (seq, kind, payload) => {
        if (place.isMute) queueMicrotask(() => this.outflow.confirm(seq));
        else put(seq, kind, payload);
      },
    });
  }

  get session(): Session {
    return this.options.session;
  }

  get connected(): boolean {
    return !this.#isOver;
  }

  get backlog(): number {
    return this.outflow.backlog;
  }

  start(): void {
    const { registry, place, session, caller, asked } = this.options;
    const from = { peer: `mqtt:${place.operator}`, connection: session };
    registry
      .call({
        ...{ api: place.api, verb: place.verb, args: asked.args },
        ...{ client: this, session, caller, from },
      })
      .then(
        (reply) => this.#reply(reply),
        (error: unknown) => this.end(failure(error)),
      );
  }

  send(event: string, data: unknown): void | Promise<void> {
    if (this.#isOver) return;
    const value = valueOf(data);
    const { type, pid, status } = isObject(value) ? value : {};
    if (type === "initial-event" && typeof pid === "number") this.#own(pid);
    const room = this.outflow.event(encodeEvent(event, data));
    if (type !== "final-event" && type !== "unsubscribed") return room;
    this.#last = type === "final-event" ? { status } : { unsubscribed: value };
    if (typeof pid === "number" && this.#tasks?.delete(pid)) this.#endIfDone();
    return room;
  }

  onClose(gone: () => void): () => void {
    return this.#farewells.add(gone, this.#isOver);
  }

  /** The operator says something. */
  flow({ seq, from, stop, signal, leave }: Flow): void {
    this.heard = performance.now();
    if (seq !== undefined) this.outflow.confirm(seq);
    if (from !== undefined) this.outflow.resend(from);
    if (stop === true) this.#stop(signal);
    if (leave === true) this.vanish(new AfbError("disconnected", "the operator has left"), true);
  }

  /**
   * The operator does not listen any more, or may not: as with any client that is gone, the config says what becomes of the task.
   * @param lives it goes on as far as the operator has a say
   */
  vanish(why: AfbError, lives = this.options.asked.detach !== false): void {
    if (this.#isOver) return;
    if (!lives) this.#stop(undefined);
    this.end(failure(why));
  }

  /** With the last answer. */
  end(reply: Reply): void {
    if (this.#isOver) return;
    this.#isOver = true;
    const text = encodeReply(reply).json;
    const seq = this.outflow.say("reply", text);
    this.#farewells.tell();
    this.options.over(this, { seq, text });
  }

  #reply(reply: Reply): void {
    if (this.#isOver) return;
    const { asked } = this.options;
    const tasks = tasksToFollow(reply, asked.args);
    if (tasks.size === 0) return this.end(reply);
    const { response } = reply;
    // Of a subscription they are others'.
    if (isObject(response)) for (const pid of tasks) this.#own(pid);
    this.#tasks = tasks;
    this.#started = reply;
    this.outflow.say("accepted", encodeReply(reply).json);
  }

  #endIfDone(): void {
    if (this.#tasks?.size !== 0) return;
    const { status, unsubscribed } = this.#last;
    if (unsubscribed !== undefined) {
      const info = isObject(unsubscribed) ? String(unsubscribed["info"]) : "";
      return this.end(failure(new AfbError("insufficient-scope", info)));
    }
    const response = this.#started?.response;
    this.end(success(isObject(response) ? { ...response, status } : response));
  }

  #own(pid: number): void {
    this.#pid = pid;
    const wanted = this.#stopWith;
    this.#stopWith = undefined;
    if (wanted) this.#stop(wanted.signal);
  }

  /** As any caller stops a task: with what that needs, and told to whom it is told. */
  #stop(signal: unknown): void {
    const { registry, place, session, caller } = this.options;
    if (this.#pid === undefined) {
      // It may wait for its turn.
      this.#stopWith = { signal };
      return;
    }
    const args = { pid: this.#pid, ...(signal !== undefined && { signal }) };
    const { api, verb, operator } = place;
    const from = { peer: `mqtt:${operator}`, connection: session };
    void registry
      .call({ api, verb, args: { action: "stop", args }, session, caller, from })
      .then(({ request: { status, info = "" } }) => {
        if (status !== "success" && !this.#isOver)
          void this.outflow.event(
            encodeEvent(`${api}/${verb}`, { type: "not-stopped", status, info }),
          );
      });
  }
}
