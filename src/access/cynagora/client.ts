/**
 * Questions to Cynagora: one connection, dialled when there is something to ask, and again after its end. The same question is
 * asked once at a time, and its answer kept as long as it is good. Whatever goes wrong is a refusal.
 */
import type { Answer, How, PermissionService, Question } from "../../api/permissions.ts";
import { type ServiceAddress, written } from "./address.ts";
import { Answers } from "./answers.ts";
import { Connection } from "./connection.ts";
import { type Clock, Moment, parseExpiry, theClock } from "./expiry.ts";
import { Lanes } from "./lanes.ts";
import { encodeRecord, RecordError } from "./record.ts";

export interface CynagoraOptions {
  readonly address: ServiceAddress;
  /** What was answered may be otherwise now: at most once in {@link GAP}. */
  readonly changed: () => void;
  /** For the operator. */
  readonly tell: (text: string) => void;
  /** Milliseconds in which a question is answered: it may be put to a person. */
  readonly limit?: number;
  readonly clock?: Clock;
}

/** A question that the service has not answered. */
interface Open {
  readonly id: string;
  readonly key: string;
  readonly record: Buffer;
  readonly how: How;
  /** Whether an answer counts for who asks the same later. */
  cacheable: boolean;
  readonly askers: Set<(answer: Answer) => void>;
}

const LIMIT = 10_000;
/** Milliseconds between two times that something has changed: however often the service says so. */
const GAP = 100;
/** Milliseconds between two complaints. */
const TELL_GAP = 10_000;
/** Where each of them makes the service go, as one that answers and hangs up. */
const MOST_GAP = 10_000;
/** Milliseconds after which a service that is not there is dialled again, for who waits for it. */
const AGAIN = 500;
/** Questions given up, whose answers are taken all the same: a person may be slow. */
const MOST_LATE = 256;
/** Milliseconds that a timer may wait: the machine may sleep meanwhile. */
const MOST_TIMER = 60_000;

const NO: Answer = { refused: "the permission service does not grant it" };
const LATE: Answer = { refused: "the permission service does not answer in time" };
const GONE: Answer = { refused: "the permission service cannot be asked now" };
const OVER = "it is not asked any more";
const UNASKED: Answer = {
  refused: "the permission service cannot be asked about this token or label",
};

/** The privilege is the same in any case. No field has a NUL. */
const keyOf = ({ label, session, uid, privilege }: Question): string =>
  [label, session, uid, privilege.toLowerCase()].join("\0");

export class Cynagora implements PermissionService {
  readonly #limit: number;
  readonly #clock: Clock;
  readonly #answers: Answers;
  #connection: Connection | undefined;
  #closed = false;
  #ids = 0;
  readonly #open = new Set<Open>();
  /** By key, of those that who asks the same joins: who waits for a service that is not there, and who does not. */
  readonly #joined = { patient: new Map<string, Open>(), other: new Map<string, Open>() };
  readonly #lanes = new Lanes<Open>((open) => this.#send(open));
  /** By id. */
  readonly #sent = new Map<string, Open>();
  readonly #unsent = new Set<Open>();
  /** Keys by id. */
  readonly #late = new Map<string, string>();
  readonly #probes = new Set<(why: string | undefined) => void>();
  #again: ReturnType<typeof setTimeout> | undefined;
  /** The operator knows. */
  #told = false;
  #toldAt = -Infinity;
  #changing: ReturnType<typeof setTimeout> | undefined;
  #changed = -Infinity;
  /** Milliseconds between two of them: longer where the service goes again and again. */
  #gap = GAP;
  #readyAt = -Infinity;
  /** When the first yes ends of those that somebody goes by. */
  #soonest: Moment | undefined;
  #expiring: ReturnType<typeof setTimeout> | undefined;

  constructor(readonly options: CynagoraOptions) {
    this.#limit = options.limit ?? LIMIT;
    this.#clock = options.clock ?? theClock;
    this.#answers = new Answers(this.#clock);
  }

  ask(question: Question, how: How): Answer | Promise<Answer> {
    const key = keyOf(question);
    const known = this.#answers.get(key);
    if (known?.yes) this.#goodUntil(known.until);
    if (known) return known.yes ? "yes" : NO;
    if (this.#closed) return GONE;
    const joined = this.#joinedBy(how);
    const same = joined.get(key);
    if (same) return this.#wait(same);
    const id = String(++this.#ids);
    const { label, session, uid, privilege } = question;
    let record: Buffer;
    try {
      record = encodeRecord("check", id, label, session, String(uid), privilege);
    } catch (error) {
      if (error instanceof RecordError) return UNASKED;
      throw error;
    }
    const open: Open = { id, key, record, how, cacheable: true, askers: new Set() };
    this.#open.add(open);
    joined.set(key, open);
    const answer = this.#wait(open);
    // Those of who may already are as many as there are of them.
    if (how.patient) this.#send(open);
    else this.#lanes.enter(how.from, open);
    return answer;
  }

  /** Why it cannot be reached; undefined where it can. */
  probe(): Promise<string | undefined> {
    if (this.#connection?.ready) return Promise.resolve(undefined);
    if (this.#closed) return Promise.resolve(OVER);
    const { promise, resolve } = Promise.withResolvers<string | undefined>();
    this.#probes.add(resolve);
    this.#connect();
    return promise;
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#connection?.close();
    this.#connection = undefined;
    for (const timer of [this.#again, this.#changing, this.#expiring]) clearTimeout(timer);
    this.#answers.clear();
    this.#fail([...this.#open]);
    this.#tellProbes(OVER);
  }

  #joinedBy({ patient }: How): Map<string, Open> {
    return this.#joined[patient ? "patient" : "other"];
  }

  /** Each asker waits as long as one may. */
  #wait(open: Open): Promise<Answer> {
    const { promise, resolve } = Promise.withResolvers<Answer>();
    const settle = (answer: Answer): void => {
      clearTimeout(timer);
      open.askers.delete(settle);
      resolve(answer);
    };
    const timer = setTimeout(() => {
      settle(LATE);
      if (open.askers.size === 0) this.#giveUp(open);
    }, this.#limit);
    open.askers.add(settle);
    return promise;
  }

  #send(open: Open): void {
    const connection = this.#connection;
    if (connection?.ready) {
      this.#sent.set(open.id, open);
      connection.send(open.record);
      return;
    }
    this.#unsent.add(open);
    if (this.#again === undefined || !open.how.patient) this.#connect();
  }

  #connect(): void {
    clearTimeout(this.#again);
    this.#again = undefined;
    if (this.#connection || this.#closed) return;
    this.#connection = new Connection(this.options.address, {
      ready: () => this.#ready(),
      answer: (id, yes, expiry) => this.#answered(id, yes, expiry),
      clear: () => this.#clear(),
      gone: (why, greeted) => this.#gone(why, greeted),
    });
    this.#connection.dial(this.#limit);
  }

  #ready(): void {
    [this.#readyAt] = this.#clock();
    this.#tellProbes(undefined);
    const waiting = [...this.#unsent];
    this.#unsent.clear();
    // With the connection, all of them may be over.
    for (const open of waiting) if (this.#open.has(open)) this.#send(open);
  }

  #answered(id: string, yes: boolean, expiry: string | undefined): void {
    this.#told = false;
    const { ms, cacheable } = parseExpiry(expiry);
    const open = this.#sent.get(id);
    const key = open?.key ?? this.#late.get(id);
    this.#late.delete(id);
    // Whoever asked for it, it was from before a change.
    if (key === undefined) return;
    if (cacheable && (open?.cacheable ?? true)) this.#answers.set(key, yes, ms);
    if (!open) return;
    if (yes) this.#goodUntil(new Moment(ms, this.#clock));
    this.#settle(open, yes ? "yes" : NO);
  }

  /** Answers to what was asked before count for who has asked, and for nobody else. */
  #clear(): void {
    this.#answers.clear();
    this.#late.clear();
    for (const open of this.#sent.values()) {
      open.cacheable = false;
      this.#leave(open);
    }
    this.#change();
  }

  #gone(why: string, wasReady: boolean): void {
    this.#connection = undefined;
    // Changes are not heard of any more.
    this.#answers.clear();
    this.#late.clear();
    this.#tellProbes(why);
    for (const open of this.#sent.values()) this.#unsent.add(open);
    this.#sent.clear();
    const impatient = [...this.#open].filter(({ how }) => !how.patient);
    if (this.#open.size > 0) this.#tell(why);
    this.#fail(impatient);
    if (this.#unsent.size > 0 && !this.#connection) this.#dialLater();
    if (!wasReady) return;
    const [now] = this.#clock();
    this.#gap = now - this.#readyAt < MOST_GAP ? Math.min(2 * this.#gap, MOST_GAP) : GAP;
    this.#change();
  }

  /** Once, until it answers again, and not too often where it does and does not. */
  #tell(why: string): void {
    const [now] = this.#clock();
    if (this.#told || now - this.#toldAt < TELL_GAP) return;
    this.#told = true;
    this.#toldAt = now;
    const where = written(this.options.address);
    this.options.tell(`the permission service at ${where}: ${why}: what needs it is refused`);
  }

  #dialLater(): void {
    clearTimeout(this.#again);
    this.#again = setTimeout(() => this.#connect(), Math.min(AGAIN, this.#limit / 4));
  }

  /** Nobody waits for it any more. */
  #giveUp(open: Open): void {
    this.#tell("it does not answer in time");
    if (this.#sent.has(open.id) && open.cacheable) {
      this.#late.set(open.id, open.key);
      for (const oldest of this.#late.keys()) {
        if (this.#late.size <= MOST_LATE) break;
        this.#late.delete(oldest);
      }
    }
    this.#forget(open);
  }

  #fail(all: readonly Open[]): void {
    // First, so that none of them takes the place of another.
    for (const open of all) this.#lanes.drop(open.how.from, open);
    for (const open of all) this.#settle(open, GONE);
  }

  #settle(open: Open, answer: Answer): void {
    this.#forget(open);
    for (const settle of [...open.askers]) settle(answer);
  }

  #forget(open: Open): void {
    this.#open.delete(open);
    this.#sent.delete(open.id);
    this.#unsent.delete(open);
    this.#leave(open);
    if (!open.how.patient) this.#lanes.leave(open.how.from, open);
  }

  #leave(open: Open): void {
    const joined = this.#joinedBy(open.how);
    if (joined.get(open.key) === open) joined.delete(open.key);
  }

  #tellProbes(why: string | undefined): void {
    const probes = [...this.#probes];
    this.#probes.clear();
    for (const tell of probes) tell(why);
  }

  #change(): void {
    if (this.#changing !== undefined || this.#closed) return;
    const [now] = this.#clock();
    const wait = Math.max(0, this.#changed + this.#gap - now);
    this.#changing = setTimeout(() => {
      this.#changing = undefined;
      [this.#changed] = this.#clock();
      this.options.changed();
    }, wait);
  }

  /** Somebody has got a yes that ends: who goes by it then has to be asked about again. */
  #goodUntil(until: Moment): void {
    if (until.left === Infinity) return;
    if (this.#soonest && this.#soonest.left <= until.left) return;
    this.#soonest = until;
    this.#awaitExpiry();
  }

  #awaitExpiry(): void {
    clearTimeout(this.#expiring);
    const left = this.#soonest?.left ?? Infinity;
    if (left <= 0) {
      this.#soonest = undefined;
      this.#change();
      return;
    }
    this.#expiring = setTimeout(() => this.#awaitExpiry(), Math.min(left, MOST_TIMER));
  }
}
