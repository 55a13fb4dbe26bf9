/** An API of another binder, called as if it were ours. */
import type { Request } from "./client.ts";

export interface ForeignApi {
  /** As it is called here. */
  readonly name: string;
  /** For people: where it is. */
  readonly info: string;
  /** The response, or undefined for a reply without one. Rejects with the error to reply. */
  call(request: Request): Promise<unknown>;
}
