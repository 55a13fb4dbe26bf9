/** This machine as a board of a fleet: what it tells the broker of itself, and the calls that come by it. */
import type { Registry } from "../api/registry.ts";
import type { Refusal } from "../api/witness.ts";
import { callerRecord } from "../api/record.ts";
import { failure } from "../api/reply.ts";
import type { Caller } from "../api/client.ts";
import { findCased } from "../cased.ts";
import { AfbError } from "../errors.ts";
import { isObject } from "../object.ts";
import { parseForeign, TooManyValues } from "../json.ts";
import { encodeReply } from "../server/afb.ts";
import { Sessions } from "../server/session.ts";
import { errorLine } from "../unexpected.ts";
import { Answered } from "./answered.ts";
import { BoardCall, type Flow } from "./call.ts";
import { Announcing } from "./announcing.ts";
import { Link, type Message } from "./link.ts";
import type { Fleet } from "./load.ts";
import type { Kind } from "./outflow.ts";
import { askedOf, Ignored, type Place, placeOf } from "./request.ts";
import { Topics } from "./topics.ts";

const OFFLINE = "offline";

export interface BoardOptions {
  readonly fleet: Fleet;
  readonly board: string;
  readonly registry: Registry;
  /** Whether the access file names the operator. */
  readonly knows: (operator: string) => boolean;
  readonly named: (caller: Caller) => string | undefined;
  /** Told of calls that do not even come to the registry. */
  readonly refused: (refusal: Refusal) => void;
  /** One line for people. */
  readonly tell: (text: string) => void;
  /** ms; see the constants. */
  readonly silence?: number;
}

/** Calls that are open, of one operator and of all. */
const MOST_EACH = 64;
const MOST = 256;
/** Calls that are over, and of which something may have to be sent again. */
const MOST_OVER = 256;
/** Messages that wait for the broker beyond which nothing is added. */
const MOST_WAITING = 1000;
/** ms of silence after which an operator that has spoken, or that keeps a task waiting, is gone. */
const SILENCE = 30_000;
const LOOK = 1000;
/** ms after which a broker that has refused what it takes to be called is asked again: its rights may be others by then. */
const AGAIN = 60_000;
/** s: what is answered is worth nothing to who comes back later. */
const ANSWER_EXPIRY = 60;
/** What came before that answer is not here any more. */
const LATE = { late: "true" };
/** Lines for people about calls that are ignored, and ms in which there may be so many. */
const LINES = 5;
const LINES_TIME = 60_000;

export class Board {
  readonly topics: Topics;
  readonly #link: Link;
  readonly #sessions = new Sessions(1024);
  readonly #calls = new Set<BoardCall>();
  readonly #over = new Set<BoardCall>();
  readonly #answered = new Answered<BoardCall>();
  readonly #begun = performance.now();
  #connectedAt = Infinity;
  readonly #announcing: Announcing;
  #closing = false;
  #isJoined = false;
  /** So far. */
  #connections = 0;
  /** When the broker has refused it, ms of performance.now(), and whether it has on this connection. */
  #refusedAt = Infinity;
  #isRefused = false;
  #said = "";
  /** What the broker keeps of what was told before has come, or was asked for. */
  #isTold = false;
  #hasAsked = false;
  readonly #timer: ReturnType<typeof setInterval>;
  #lines = 0;
  #linesSince = -Infinity;

  constructor(readonly options: BoardOptions) {
    const { fleet, board } = options;
    this.topics = new Topics(fleet.prefix);
    const { broker, secrets, keepalive, expiry, largest } = fleet;
    this.#link = new Link({
      ...{ broker, secrets, keepalive, name: board, clientId: board },
      // Not less than a reconnection takes: what is under way is not lost by it.
      session: Math.max(expiry, 60),
      // What is a little too large is refused with words: a broker drops it without.
      largest: largest * 2,
      isOneOfMany: true,
      will: { topic: this.topics.status(board), payload: OFFLINE },
      tell: (text) => this.#tell(text),
      connected: () => this.#connected(),
      message: (message) => this.take(message),
    });
    this.#announcing = new Announcing({
      ...{ fleet, board, topics: this.topics, registry: options.registry },
      publish: (topic, payload, how) => this.#link.publish(topic, payload, how),
    });
    this.#timer = setInterval(() => this.#look(), LOOK);
    this.#timer.unref();
  }

  start(): void {
    this.#link.start();
  }

  /** It can be called, and the broker has been told so. */
  get isJoined(): boolean {
    return this.#isJoined && this.#link.connected;
  }

  /** APIs, or who may call, have changed. */
  refresh(): void {
    for (const call of [...this.#calls])
      if (!this.options.knows(call.place.operator))
        call.vanish(new AfbError("forbidden", "this operator may not call here any more"));
    if (this.#link.connected) this.#announcing.describe(false);
  }

  /**
   * Once nothing runs any more: the last answers go out first.
   * @param forgetsHome Home Assistant is to know nothing of it any more
   */
  async close(forgetsHome = false): Promise<void> {
    this.#closing = true;
    clearInterval(this.#timer);
    for (const call of [...this.#calls])
      call.vanish(new AfbError("disconnected", "the server has ended"), true);
    if (forgetsHome) this.#announcing.forgetHome();
    const topic = this.topics.status(this.options.board);
    await this.#link.close({ topic, payload: OFFLINE });
  }

  #connected(): void {
    this.#connectedAt = performance.now();
    this.#connections++;
    this.#isJoined = false;
    this.#isRefused = false;
    void this.#join();
    for (const call of [...this.#calls, ...this.#over]) call.outflow.goOn();
  }

  async #join(): Promise<void> {
    const { board, fleet } = this.options;
    const connection = this.#connections;
    // What was said on one before may be confirmed, or refused, on this.
    const isOver = () => connection !== this.#connections;
    this.#refusedAt = Infinity;
    try {
      // First: who sees it online can call it.
      await this.#link.subscribe(this.topics.ofBoard(board, fleet.groups));
      const { homeTopic } = this.#announcing;
      if (homeTopic !== undefined && !this.#hasAsked) await this.#ask(homeTopic);
      this.#hasAsked = true;
      // Its last word was that it is gone.
      if (this.#closing) return;
      this.#announcing.describe(true);
      await this.#announcing.online();
      if (isOver()) return;
      this.#isJoined = true;
      if (this.#isRefused) this.#tell("the broker takes now what it refused");
    } catch (error) {
      if (isOver()) return;
      this.#refusedAt = performance.now();
      this.#isRefused = true;
      // What is not taken of what is published, the connection has told.
      if (!(error instanceof Error && "code" in error))
        this.#tell(error instanceof Error ? error.message : errorLine(error));
    }
  }

  /** Where it may not, nothing comes, or the broker refuses: then what a server before has told of stays. */
  async #ask(homeTopic: string): Promise<void> {
    try {
      await this.#link.subscribe([homeTopic], { qos: 0, kept: true });
    } catch (error) {
      if (!this.#link.connected) throw error;
      this.#tell(errorLine(error));
    }
  }

  /** What comes from the broker. */
  take(message: Message): void {
    try {
      if (message.topic === this.#announcing.homeTopic) return this.#wasTold(message);
      const flow = this.topics.readFlow(message.topic, this.options.board);
      if (flow) this.#flow(flow, message);
      else this.#call(message);
    } catch (error) {
      if (error instanceof Ignored) return this.#ignore(error.message);
      // A bug that one message met ends neither the server nor the connection.
      this.options.tell(`fleet: a message failed: ${errorLine(error)}`);
    }
  }

  /** The first: what comes then is what this board says now. */
  #wasTold({ topic, payload }: Message): void {
    if (this.#isTold) return;
    this.#isTold = true;
    this.#link.unsubscribe([topic]).catch(() => {});
    this.#announcing.wasTold(payload.toString());
  }

  #flow({ operator, id }: { operator: string; id: string }, { payload, retain }: Message): void {
    if (retain) throw new Ignored(`a message of ${operator} that is retained`);
    const flow = readFlow(payload);
    if (!flow) throw new Ignored(`a message of ${operator} that says nothing`);
    const known = this.#answered.find(operator, id);
    if (known?.call) return known.call.flow(flow);
    // It asks for what nobody here knows, such as after a start of the server.
    if (flow.from === undefined || !this.options.knows(operator)) return;
    const answer = known?.answer;
    const place = { operator, id, correlation: undefined };
    const none = failure(new AfbError("no-item", "this board does not know such a call"));
    if (answer) this.#answer(place, answer.seq, "reply", answer.text, LATE);
    else this.#answer(place, 0, "reply", encodeReply(none).json, { lost: "true" });
  }

  #call(message: Message): void {
    const { fleet, board, registry, knows } = this.options;
    const place = placeOf(message, this.topics, { ...fleet, board });
    const { operator, id } = place;
    let caller: Caller = { operator, via: "mqtt" };
    try {
      if (this.#closing) throw new AfbError("not-available", "the server is shutting down");
      if (!knows(operator))
        throw new AfbError(
          "forbidden",
          `this board knows no operator ${operator}: its access file grants by "mqtt"`,
        );
      const asked = askedOf(message, place, fleet);
      const { token, digest, expiry } = asked;
      if (this.#isKnown(place, digest)) return;
      this.#requireNew(message, place);
      this.#requireRoom(operator);
      caller = { ...caller, ...(token !== undefined && { token }) };
      const call = new BoardCall({
        ...{ place, asked, registry, caller },
        session: this.#sessions.open({ uuid: `mqtt.${operator}`, fromCookie: false }),
        put: (seq, kind, payload) => this.#answer(place, seq, kind, payload),
        isAway: () => !this.#link.connected,
        over: (one, answer) => this.#ended(one, answer),
      });
      this.#answered.add(operator, id, digest, expiry, call);
      this.#calls.add(call);
      call.start();
    } catch (error) {
      if (!(error instanceof AfbError)) throw error;
      this.#refuse(place, caller, error);
    }
  }

  /** A copy of a call: it gets what the first one got, or gets. */
  #isKnown(place: Place, digest: string): boolean {
    const { operator, id } = place;
    const known = this.#answered.find(operator, id);
    if (!known) return false;
    if (known.digest !== digest) throw new Ignored(`two calls of ${operator} with the same id`);
    if (known.call?.connected) {
      known.call.outflow.resend(0);
      return true;
    }
    const before = failure(
      new AfbError("bad-state", "this call was answered before, and is not run again"),
    );
    const { seq, text } = known.answer ?? { seq: 0, text: encodeReply(before).json };
    this.#answer(place, seq, "reply", text, LATE);
    return true;
  }

  /** What a broker delivers once more may have been done by the server that was here before. */
  #requireNew({ dup }: Message, place: Place): void {
    const age = (performance.now() - this.#begun) / 1000;
    // None that was taken expires later.
    if (dup && age < this.options.fleet.expiry && !this.#mayRunTwice(place))
      throw new AfbError(
        "bad-state",
        "the board has started anew since this call was first sent: it may have been done",
      );
  }

  /** As the config says of the command, or its sandbox proves. */
  #mayRunTwice({ api, verb }: Place): boolean {
    const all = this.options.registry.describe();
    const verbs = all.find((one) => findCased(api, [one.api]) !== undefined)?.verbs ?? [];
    const name = findCased(
      verb,
      verbs.map((one) => one.name),
    );
    const { tool } = verbs.find((one) => one.name === name) ?? {};
    return tool?.idempotent ?? tool?.readonly ?? false;
  }

  #requireRoom(operator: string): void {
    let own = 0;
    for (const { place } of this.#calls) if (place.operator === operator) own++;
    if (own >= MOST_EACH || this.#calls.size >= MOST)
      throw new AfbError("busy", "too many calls are open on this board: try again");
  }

  #refuse(place: Place, caller: Caller, error: AfbError): void {
    const { api, verb, operator, isMute } = place;
    const { status, message: info } = error;
    const session = { uuid: `mqtt.${operator}` };
    this.options.refused({
      ...{ time: Date.now(), caller: callerRecord({ session, caller }, this.options.named) },
      ...{ api, verb, action: "start", status, info, hidden: true },
    });
    if (isMute) return;
    this.#answer(place, 0, "reply", encodeReply(failure(error)).json, { refused: "true" });
  }

  #answer(
    { operator, id, correlation }: Pick<Place, "operator" | "id" | "correlation">,
    seq: number,
    kind: Kind,
    payload: string | Buffer,
    more: Readonly<Record<string, string>> = {},
  ): void {
    // Nobody is to fill the memory by what is answered at once. A call that is under way has its own bounds, and is asked for again.
    if (this.#link.backlog > MOST_WAITING) return;
    const topic = this.topics.out(this.options.board, operator, id);
    const user = { kind, seq: String(seq), ...more };
    // Several events are a line each, which is no JSON for who goes by the type.
    const type = payload.includes("\n") ? "application/x-ndjson" : "application/json";
    const typed = kind === "part" ? {} : ({ type } as const);
    this.#link
      .publish(topic, payload, { correlation, user, expiry: ANSWER_EXPIRY, ...typed })
      .catch(() => {});
  }

  #ended(call: BoardCall, answer: { seq: number; text: string }): void {
    const { operator, id } = call.place;
    this.#calls.delete(call);
    this.#answered.keep(operator, id, answer);
    this.#over.add(call);
    for (const oldest of this.#over) {
      if (this.#over.size <= MOST_OVER) break;
      this.#release(oldest);
    }
  }

  #release(call: BoardCall): void {
    this.#over.delete(call);
    call.outflow.drop();
    this.#answered.release(call.place.operator, call.place.id);
  }

  #look(): void {
    this.#answered.sweep();
    const now = performance.now();
    if (this.isJoined) this.#announcing.sign();
    else if (this.#link.connected && now - this.#refusedAt > AGAIN) void this.#join();
    for (const call of this.#over)
      if (call.outflow.isConfirmed || this.#silentFor(call, now) > this.#silence)
        this.#release(call);
    for (const call of [...this.#calls]) {
      const { timeout } = call.options.asked;
      const { heard, outflow, begun } = call;
      // Who says nothing in the course of a call is only missed where a task waits for it.
      const isMissed = heard !== undefined || outflow.blockedSince !== undefined;
      if (timeout !== undefined && now - begun > timeout)
        call.vanish(new AfbError("timeout", `not over after ${timeout} ms`));
      else if (isMissed && this.#silentFor(call, now) > this.#silence)
        call.vanish(new AfbError("disconnected", "nothing was heard of the operator any more"));
    }
  }

  get #silence(): number {
    return this.options.silence ?? SILENCE;
  }

  /** ms in which it could have been heard. */
  #silentFor({ heard, outflow, begun }: BoardCall, now: number): number {
    if (!this.#link.connected) return 0;
    return now - Math.max(this.#connectedAt, heard ?? outflow.blockedSince ?? begun);
  }

  /** What is asked for again and again, and refused, is told once: so is what the connection has told. */
  #tell(text: string): void {
    if (text === this.#said) return;
    this.#said = text;
    this.options.tell(`fleet: ${text}`);
  }

  /** A few lines for people: whoever may publish could fill the log. */
  #ignore(what: string): void {
    const now = performance.now();
    if (now - this.#linesSince > LINES_TIME) {
      this.#linesSince = now;
      this.#lines = 0;
    }
    if (++this.#lines > LINES) return;
    this.options.tell(`fleet: ignored: ${what}`);
  }
}

function readFlow(payload: Message["payload"]): Flow | undefined {
  const text = payload.toString();
  if (text.length > MOST_FLOW) return undefined;
  try {
    const flow = parseForeign(text);
    if (!isObject(flow)) return undefined;
    const { seq, from, stop, signal, leave } = flow;
    return {
      ...(isCount(seq) && { seq }),
      ...(isCount(from) && { from }),
      ...(stop === true && { stop, signal }),
      ...(leave === true && { leave }),
    };
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof TooManyValues) return undefined;
    throw error;
  }
}

/** Characters. */
const MOST_FLOW = 1024;

const isCount = (value: unknown): value is number =>
  typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
