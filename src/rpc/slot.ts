/** The place of who dials in to give an API: the first that may has it until it goes, and a second is refused. */
import type { Request } from "../api/client.ts";
import type { May } from "../api/foreign.ts";
import { AfbError } from "../errors.ts";
import { visible } from "../visible.ts";
import type { Calls } from "./calls.ts";
import { seldom } from "../server/seldom.ts";
import type { Source } from "./source.ts";

/** Who may give an API to this server, where root and the server's user are not asked. */
export const PROVIDE = "urn:spawnbox:provide";

/**
 * Milliseconds from the version to the first call: binders count what they read at once from its first byte, and lose a call that
 * comes together with the version.
 */
const PAUSE = 200;

export class Slot implements Source {
  #calls: Calls | undefined;
  #finish: () => void = () => {};
  #isReady = false;
  readonly #refused = seldom((line) => console.error(line));

  /** @param place where one dials in, for messages */
  constructor(
    readonly place: string,
    readonly names: readonly string[],
  ) {}

  get state(): string {
    return this.#calls ? "connected" : "nobody has dialled in";
  }

  /** Whether it has got the place; otherwise that is told. @param finish ends its connection: it dials again */
  take(calls: Calls, who: string, finish: () => void): boolean {
    if (this.#calls) return this.refuse(who, "another gives them already");
    this.#calls = calls;
    this.#finish = finish;
    this.#isReady = false;
    setTimeout(() => {
      if (this.#calls === calls) this.#isReady = true;
    }, PAUSE);
    console.log(visible(`${this.place}: ${who} gives ${this.names.join(", ")}`));
    return true;
  }

  refuse(who: string, why: string): false {
    this.#refused(visible(`${this.place}: ${who} may not give ${this.names.join(", ")}: ${why}`));
    return false;
  }

  leave(calls: Calls): void {
    if (this.#calls !== calls) return;
    this.#calls = undefined;
    console.error(visible(`${this.place}: nobody gives ${this.names.join(", ")} any more`));
  }

  async call(api: string | undefined, request: Request): Promise<unknown> {
    // Meanwhile another may have come in the place of the one that has gone.
    while (this.#calls && !this.#isReady) await Bun.sleep(PAUSE);
    if (!this.#calls) throw new AfbError("not-available", `${this.place}: nobody has dialled in`);
    const reply = this.#calls.call(api, request);
    // Who has dialled has to do so again, for numbers of sessions: when nobody needs it, or there is no other way.
    if (this.#calls.told.isUsedUp) void reply.catch(() => {}).finally(() => this.#renew());
    return reply;
  }

  #renew(): void {
    const calls = this.#calls;
    if (calls?.told.isUsedUp && (calls.isIdle || calls.told.isFull)) this.#finish();
  }

  recheck(may: May): void {
    this.#calls?.recheck(may);
  }
}
