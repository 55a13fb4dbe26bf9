/** Where an imported API is: behind a connection that is dialled, or one of who dials in. */
import type { Request } from "../api/client.ts";
import type { May } from "../api/foreign.ts";

export interface Source {
  /** In words: `connected`, or why it is not. */
  readonly state: string;
  /** @param api its name there; undefined for the one that has none. Rejects with the error of the reply */
  call(api: string | undefined, request: Request): Promise<unknown>;
  /** Ends the events of whose request `may` is false. */
  recheck(may: May): void;
}
