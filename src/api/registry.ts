/** The APIs of this server and their verbs: the one door through which every transport calls. */
import type { Request } from "./client.ts";
import type { Reply } from "./reply.ts";

export interface Registry {
  /** Answers a call. Never rejects: a failure is a reply. */
  call(request: Request): Promise<Reply>;
  /** Verbs by API, for the 404 page and the start banner. */
  list(): { api: string; verbs: string[] }[];
  /** Kills every task and waits until their trees are gone. */
  close(): Promise<void>;
}
