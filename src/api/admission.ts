/**
 * Who may start a task now. The server has so many places for running tasks, a sandbox may have fewer, and launches take turns
 * with everything else: a few are on their way at a time, and behind those one begins in each turn of the event loop. Who has to
 * wait does so in a queue that is fair between clients, bounded in length and time. Beyond it a start is refused, as `busy`,
 * before anything of it was done.
 */
import { availableParallelism } from "node:os";
import type { Backlog } from "../backlog.ts";
import { everybody } from "../encoders/hold.ts";
import { AfbError } from "../errors.ts";
import type { Plan } from "../plan/plan.ts";
import { Share } from "../share.ts";
import { askerOf, type Request } from "./client.ts";
import { type Asker, Served, Turns } from "./turns.ts";

export interface AdmissionOptions {
  /** Most tasks at a time, of all sandboxes. */
  readonly tasks?: number;
  /** Most launches that are on their way at a time. */
  readonly starting?: number;
  /** Most starts that wait, of all clients; of a single one, as many as are free besides. */
  readonly queue?: number;
  /** Milliseconds that a start waits at most. */
  readonly patience?: number;
  /** Milliseconds after which a launch hangs, and others do not wait for it any more. */
  readonly slow?: number;
  /** Output that peers have not read. */
  readonly backlog?: Backlog;
}

/** A place for one task. */
export interface Place {
  /** The launch has come to its end, whether or not the command runs now. */
  launched(): void;
  /** Nothing of the task is left. */
  leave(): void;
}

/** Enough to keep the processors busy; more would only take them from who is answered meanwhile. */
const STARTING = Math.max(8, 2 * availableParallelism());
/** Milliseconds for which it is not forgotten that several peers launch: then each has a quarter of that on its way, so each takes less. */
const COMPANY = 1_000;
/** Launches that begin in one turn of the event loop, at most; and ms from one such turn to the next that are worth one. */
const A_TURN = 8;
const EACH = 4;
const QUEUE = 4096;
const PATIENCE = 30_000;
/** A fraction of how long others wait: as many that hang as may be on their way must not use that up. */
const SLOW = 2_000;

/** A start whose turn has not come. */
export interface Waiting {
  /** Rejects with AfbError `busy`, or with what it was given up for. */
  readonly place: Promise<Place>;
  giveUp(why: AfbError): void;
}

interface Entry {
  readonly plan: Plan;
  readonly peer: string;
  readonly enter: (place: Place) => void;
}

/** What all starts wait for that no sandbox holds back. */
const EVERYBODY = "";

export class Admission {
  readonly tasks: number;
  readonly #starting: number;
  readonly #patience: number;
  readonly #slow: number;
  readonly #queue: Share;
  readonly #backlog: Backlog;
  /** Peers that start nothing more until they have read. */
  readonly #unread = new Set<string>();
  /** By the sandbox that holds them back, since one that is full keeps nobody else waiting. */
  readonly #waiting = new Map<string, Turns<Entry>>();
  /** What each connection holds of the queue. */
  readonly #parts = new WeakMap<object, ReturnType<Share["part"]>>();
  /** In whichever queue. */
  readonly #served = new Served();
  #running = 0;
  #launching = 0;
  /** The same by peer; without those that have none. */
  readonly #byPeer = new Map<string, number>();
  /** Running tasks of each sandbox, also where it has no limit now. */
  readonly #inSandbox = new Map<string, number>();
  /** Which peer launched last, and when that was another before, ms of performance.now(). */
  #peer: string | undefined;
  #changed = -Infinity;
  #scheduled = false;
  /** When some were let in last, ms of performance.now(). */
  #last = 0;
  /** How long turns of the event loop take, ms, about. */
  #turn = 0;

  constructor(options: AdmissionOptions = {}) {
    this.tasks = options.tasks ?? Infinity;
    this.#starting = options.starting ?? STARTING;
    this.#patience = options.patience ?? PATIENCE;
    this.#slow = options.slow ?? SLOW;
    this.#queue = new Share(options.queue ?? QUEUE);
    this.#backlog = options.backlog ?? everybody;
  }

  /**
   * A place, or the wait for one.
   * @param request whose connection it is that waits
   * @throws AfbError `busy`: no more can wait
   */
  enter(plan: Plan, request: Pick<Request, "from" | "session">): Place | Waiting {
    const queue = queueOf(plan);
    const asker = askerOf(request);
    if (this.#mayEnter(plan, asker.peer) && !this.#waiting.has(queue)) {
      this.#served.serve(asker);
      return this.#place(plan, asker.peer);
    }
    return this.#wait(queue, asker, plan);
  }

  /** How many run or are being started, and how many wait. */
  get load(): { running: number; waiting: number } {
    return { running: this.#running, waiting: this.#queue.most - this.#queue.free };
  }

  /**
   * Each peer has a part of what is on its way; where it is alone, as much as keeps the processors busy. Where turns are long, most
   * of what is on its way has come to its end, and has not been heard of: so each has more.
   */
  #mayEnter(plan: Plan, peer: string): boolean {
    const alone = peer === this.#peer && performance.now() - this.#changed > COMPANY;
    const part = Math.max(this.#starting / 4, this.#turn / EACH);
    const own = alone ? this.#starting : Math.min(Math.ceil(part), this.#starting);
    const isFree = this.#launching < 2 * this.#starting && (this.#byPeer.get(peer) ?? 0) < own;
    return isFree && this.#hasPlace(plan) && this.#hasRead(peer);
  }

  /** Its answers would only add to what waits for it. The server itself reads nothing. */
  #hasRead(peer: string): boolean {
    if (peer === "" || !this.#backlog.isFull(peer)) return true;
    if (!this.#unread.has(peer)) {
      this.#unread.add(peer);
      this.#backlog.onRoom(peer, () => {
        this.#unread.delete(peer);
        this.#schedule();
      });
    }
    return false;
  }

  #hasPlace(plan: Plan): boolean {
    const { sandboxConcurrency: most } = plan;
    if (this.#running >= this.tasks) return false;
    return most === 0 || (this.#inSandbox.get(sandboxOf(plan)) ?? 0) < most;
  }

  #count(peer: string, change: number): void {
    if (change > 0 && peer !== this.#peer) {
      // The first of all is alone.
      if (this.#peer !== undefined) this.#changed = performance.now();
      this.#peer = peer;
    }
    this.#launching += change;
    const now = (this.#byPeer.get(peer) ?? 0) + change;
    if (now > 0) this.#byPeer.set(peer, now);
    else this.#byPeer.delete(peer);
  }

  #place(plan: Plan, peer: string): Place {
    const sandbox = sandboxOf(plan);
    const count = (change: number): void => {
      this.#running += change;
      const now = (this.#inSandbox.get(sandbox) ?? 0) + change;
      if (now > 0) this.#inSandbox.set(sandbox, now);
      else this.#inSandbox.delete(sandbox);
    };
    count(1);
    this.#count(peer, 1);
    const launched = once(() => {
      clearTimeout(hanging);
      this.#count(peer, -1);
      this.#schedule();
    });
    const hanging = setTimeout(launched, this.#slow);
    const leave = once(() => {
      launched();
      count(-1);
      this.#schedule();
    });
    return { launched, leave };
  }

  #wait(queue: string, asker: Asker, plan: Plan): Waiting {
    const part = this.#parts.get(asker.connection) ?? this.#queue.part();
    this.#parts.set(asker.connection, part);
    if (part.held >= this.#queue.free) throw this.#busy(plan, "no more can wait");
    const { promise: place, resolve, reject } = Promise.withResolvers<Place>();
    const turns = this.#waiting.get(queue) ?? new Turns<Entry>(this.#served);
    this.#waiting.set(queue, turns);
    let over = false;
    const done = (): void => {
      over = true;
      clearTimeout(timer);
      part.add(-1);
    };
    const enter = (given: Place): void => {
      done();
      resolve(given);
    };
    const entry: Entry = { plan, peer: asker.peer, enter };
    const giveUp = (why: AfbError): void => {
      if (over) return;
      turns.remove(asker, entry);
      if (turns.size === 0) this.#waiting.delete(queue);
      done();
      reject(why);
    };
    const late = `its turn did not come within ${this.#patience / 1000} s`;
    const timer = setTimeout(() => giveUp(this.#busy(plan, late)), this.#patience);
    part.add(1);
    turns.push(asker, entry);
    this.#schedule();
    return { place, giveUp };
  }

  /**
   * One in each turn of the event loop: to begin a launch takes a millisecond or two, in which nobody is heard. More of them where
   * turns are long, so that launches have their part of the time: else who floods it keeps all others from starting anything.
   */
  #schedule(): void {
    if (this.#scheduled || this.#waiting.size === 0) return;
    this.#scheduled = true;
    const begin = performance.now();
    setImmediate(() => {
      this.#scheduled = false;
      const now = performance.now();
      this.#turn = (this.#turn + now - begin) / 2;
      const fair = Math.floor((now - this.#last) / EACH);
      this.#last = now;
      for (let left = Math.max(1, Math.min(fair, A_TURN)); left > 0; left--)
        if (!this.#next()) return;
      this.#schedule();
    });
  }

  /** @returns whether one was let in */
  #next(): boolean {
    for (const [queue, turns] of this.#waiting) {
      const entry = turns.shift(({ plan, peer }) => this.#mayEnter(plan, peer));
      if (!entry) continue;
      // The next sandbox has its turn.
      this.#waiting.delete(queue);
      if (turns.size > 0) this.#waiting.set(queue, turns);
      entry.enter(this.#place(entry.plan, entry.peer));
      return true;
    }
    return false;
  }

  #busy(plan: Plan, why: string): AfbError {
    const { sandboxConcurrency: most } = plan;
    const { running, waiting } = this.load;
    const own =
      most > 0 ? `, ${this.#inSandbox.get(sandboxOf(plan)) ?? 0} of ${most} in this sandbox` : "";
    const load = `${running} tasks run${Number.isFinite(this.tasks) ? ` of at most ${this.tasks}` : ""}${own}, and ${waiting} starts wait`;
    return new AfbError("busy", `the server is busy: ${why}; ${load}: try again later`);
  }
}

const sandboxOf = ({ api, sandbox }: Plan): string => `${api}/${sandbox}`;

const queueOf = (plan: Plan): string => (plan.sandboxConcurrency > 0 ? sandboxOf(plan) : EVERYBODY);

function once(action: () => void): () => void {
  let done = false;
  return () => {
    if (done) return;
    done = true;
    action();
  };
}
