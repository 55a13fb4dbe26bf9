/** One verb of an API, a command or built in. */
import type { Request } from "./client.ts";

export interface Verb {
  /** As it is exposed, such as `admin/sleep`. */
  readonly name: string;
  /** The response, or undefined for a reply without one. Rejects, or throws, with the error to reply. */
  call(request: Request): unknown;
}
