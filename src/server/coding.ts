/** Content-Encoding of requests: there is one that is read, which is none. */
import type { GetHeader } from "./origin.ts";
import { HttpError } from "./respond.ts";

/** `identity` says that it is as it is (RFC 9110, section 12.5.3), and some clients say it always. @throws HttpError 415 */
export function requirePlain(header: GetHeader): void {
  const given = header("content-encoding");
  if (given === undefined) return;
  const codings = given.split(",");
  if (codings.every((one) => ["", "identity"].includes(one.trim().toLowerCase()))) return;
  throw new HttpError(415, "send the body without Content-Encoding", {
    "accept-encoding": "identity",
  });
}
