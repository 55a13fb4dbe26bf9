/** What a session needs of the server that it is a door of. */
import type { Registry } from "../api/registry.ts";
import type { Session as ApiSession, Caller } from "../api/client.ts";
import type { Asker } from "../api/turns.ts";

export interface Host {
  readonly registry: Registry;
  readonly version: string;
  /** JSON of what this machine and user can do; undefined where nobody is told. */
  readonly doctor?: (() => Promise<string>) | undefined;
}

/** Who calls now. */
export interface Who {
  readonly session: ApiSession;
  readonly caller: Caller;
  readonly from: Asker;
}
