/** The process over a command: made by the agent, a child of the server like any that it would have started itself. */
import { deadChild, exitOf } from "../../ffi/children.ts";
import { makeSupervisor, type Made, wakeAgent, type Wanted } from "./agent.ts";
import { living, unknown } from "./living.ts";

export class Supervisor {
  /** 0: not known yet, or there never was one. */
  pid = 0;
  /** What it exited with; undefined: by a signal, or it never was. */
  readonly exited: Promise<number | undefined>;
  /** By which it died, once it has. */
  signal: number | undefined;
  readonly #known = Promise.withResolvers<void>();
  readonly #exit = Promise.withResolvers<number | undefined>();

  /** It may have been made all the same. */
  lost = false;
  readonly #made: Made;

  /** @throws as makeSupervisor */
  constructor(wanted: Wanted) {
    if (!listening) process.on("SIGCHLD", reap);
    listening = true;
    this.exited = this.#exit.promise;
    this.#made = makeSupervisor(wanted, (surely) => this.never(surely));
    unknown.add(this);
  }

  /** Once it is known which process it is, or that there never was one. */
  get known(): Promise<void> {
    return this.#known.promise;
  }

  /** As every record of its launch says. @param pid 0: it was not made */
  is(pid: number): void {
    if (pid === 0) return this.never();
    if (!unknown.delete(this)) return;
    this.#made.told();
    this.pid = pid;
    living.set(pid, this);
    this.#known.resolve();
    // Who died before was nobody's.
    this.look();
  }

  /** The agent would not make it, since it is not as it was. */
  refused(): void {
    this.#made.refused();
  }

  /** It was not made, as far as is known. */
  never(surely = true): void {
    if (!unknown.delete(this)) return;
    this.lost = !surely;
    this.#made.told();
    this.#known.resolve();
    this.#exit.resolve(undefined);
  }

  /** Goes on, where it was stopped; before it is there, the agent. */
  wake(): void {
    if (this.pid === 0) wakeAgent();
    else if (living.has(this.pid)) process.kill(this.pid, "SIGCONT");
  }

  /** Reaps it, where it is dead. */
  look(): void {
    const end = exitOf(this.pid);
    if (end === "alive") return;
    living.delete(this.pid);
    this.signal = end.signal;
    this.#exit.resolve(end.exit);
  }
}

let listening = false;

/** One signal may stand for many deaths. */
function reap(): void {
  for (let pid = deadChild(); pid !== undefined; pid = deadChild()) {
    const supervisor = living.get(pid);
    if (supervisor) {
      supervisor.look();
      continue;
    }
    // Somebody else's, who sees to it, hides those behind it.
    for (const one of living.values()) one.look();
    return;
  }
}
