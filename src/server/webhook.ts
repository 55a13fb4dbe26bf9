/**
 * Calls by webhooks: a request that shows the key of one command, or whose bytes are signed with it, starts that command and does
 * nothing else. Whoever sends it is nobody otherwise: no token, session or cookie of the request counts. What was wrong with one
 * that is refused is not told, and it takes as long whatever it was.
 */
import { createHmac, hash, timingSafeEqual } from "node:crypto";
import type { Request as Call, Session } from "../api/client.ts";
import type { Hooked, Registry } from "../api/registry.ts";
import { failure, type Reply } from "../api/reply.ts";
import { AfbError } from "../errors.ts";
import { webhookSecret } from "../launch/secrets.ts";
import { LaunchError } from "../launch/task.ts";
import type { Webhook } from "../plan/webhook.ts";
import { isObject } from "../object.ts";
import { requirePlain } from "./coding.ts";
import type { GetHeader } from "./origin.ts";
import { parseJson, parseQuery, toArgs } from "./query.ts";
import { HttpError } from "./respond.ts";
import { seldom } from "./seldom.ts";
import { visible } from "../visible.ts";

/** One request. */
export interface Delivery extends Pick<Call, "api" | "verb" | "from" | "gone" | "ended"> {
  readonly header: GetHeader;
  /** What is behind the `?` of the URL. */
  readonly search: string;
  readonly body: Uint8Array;
}

/** It is in no table of sessions. */
const SESSION: Session = Object.freeze({ uuid: "webhook" });
const NOTHING = new Set<string>();
/** Signatures that are remembered for a verb; more are refused until some are too old to come again. */
const MOST_SEEN = 10_000;

const refused = (): AfbError => new AfbError("unauthorized", "this webhook was not accepted");

export class Webhooks {
  /** By verb, of each signature until when it could come again: ms of performance.now(). */
  readonly #seen = new Map<string, Map<string, number>>();
  readonly #tell = seldom((line) => console.error(line));

  /** @throws AfbError, which is the same whatever was wrong with key, signature or time */
  async call(
    { id, webhook, privileges }: Hooked,
    { api, verb, from, gone, ended, header, search, body }: Delivery,
    registry: Pick<Registry, "call">,
  ): Promise<Reply> {
    const proof = this.#proofOf(webhook, header, body, id);
    const seen = this.#seenOf(id);
    if (proof === undefined || (proof.until !== undefined && seen.has(proof.of))) throw refused();
    if (proof.until !== undefined) {
      if (seen.size >= MOST_SEEN)
        throw new AfbError("busy", `over ${MOST_SEEN} requests within the tolerance: try later`);
      seen.set(proof.of, proof.until);
    }
    const reply = await answered(async () => {
      if (search.length > 1)
        throw new AfbError("invalid-request", "a webhook takes nothing from its URL");
      const given = argumentsOf(webhook, header, body);
      const args = { action: "start", args: given.args };
      return registry.call({
        ...{ api, verb, args, from, gone, texts: given.texts, offered: true, session: SESSION },
        ...(ended && { ended }),
        ...{ caller: {}, answered: privileges.length > 0 ? new Set(privileges) : NOTHING },
      });
    });
    // What did not start may be sent again.
    if (reply.request.status !== "success") seen.delete(proof.of);
    return reply;
  }

  /** undefined where it is none. */
  #proofOf(
    { header: name, prefix, file, signature }: Webhook,
    header: GetHeader,
    body: Uint8Array,
    id: string,
  ): { readonly of: string; readonly until?: number } | undefined {
    const shown = header(name) ?? "";
    const secret = this.#secret(file, id);
    const isPrefixed = shown.startsWith(prefix);
    const given = shown.slice(prefix.length);
    if (!signature) return isPrefixed && same(given, secret) ? { of: "" } : undefined;
    const { encoding, algorithm, signed, timestamp } = signature;
    const time = timestamp ? (header(timestamp.header) ?? "") : "";
    const hmac = createHmac(algorithm, secret);
    for (const part of signed)
      hmac.update(part === "body" ? body : part === "timestamp" ? time : part.text);
    const expected = hmac.digest(encoding);
    // Hexadecimal digits are the same in both cases.
    const isSame = same(encoding === "hex" ? given.toLowerCase() : given, expected);
    if (!isPrefixed || !isSame || !timestamp) return isPrefixed && isSame ? { of: "" } : undefined;
    const { tolerance } = timestamp;
    const age = /^\d{1,12}$/.test(time) ? Date.now() / 1000 - Number(time) : Infinity;
    // It counts from so long before its time until so long after it.
    if (Math.abs(age) <= tolerance)
      return { of: expected, until: performance.now() + 2 * tolerance * 1000 };
    // Only who has the secret, or sends a request again, comes so far. A clock that is wrong refuses all of them.
    this.#tell(visible(`${id}: ${lateness(timestamp, time, age)}`));
    return undefined;
  }

  #secret(file: string, id: string): string {
    try {
      return webhookSecret(file);
    } catch (error) {
      if (!(error instanceof LaunchError)) throw error;
      this.#tell(visible(`${id}: ${error.message}`));
      throw new AfbError("not-available", "this webhook cannot be checked now");
    }
  }

  #seenOf(id: string): Map<string, number> {
    const seen = this.#seen.get(id) ?? new Map<string, number>();
    this.#seen.set(id, seen);
    const now = performance.now();
    // The oldest first.
    for (const [signature, until] of seen) {
      if (until > now) break;
      seen.delete(signature);
    }
    return seen;
  }
}

/** Why a request whose signature is right was refused. @param age in seconds; infinite where the time is none */
function lateness(
  { header, tolerance }: NonNullable<NonNullable<Webhook["signature"]>["timestamp"]>,
  time: string,
  age: number,
): string {
  const is =
    age === Infinity
      ? `"${time.slice(0, 40)}" is no number of seconds since 1970`
      : `is ${Math.round(Math.abs(age))} s ${age < 0 ? "ahead of" : "behind"} the clock here, and the tolerance ${tolerance} s: is this clock right, or was the request sent again?`;
  return `a webhook that is signed rightly was refused: its time in ${header} ${is}`;
}

/** What it takes depends on neither. */
const same = (one: string, other: string): boolean =>
  timingSafeEqual(hash("sha256", one, "buffer"), hash("sha256", other, "buffer"));

async function answered(call: () => Promise<Reply>): Promise<Reply> {
  try {
    return await call();
  } catch (error) {
    if (error instanceof HttpError) throw error;
    return failure(error);
  }
}

function argumentsOf(
  webhook: Webhook,
  header: GetHeader,
  body: Uint8Array,
): { readonly args: unknown; readonly texts: boolean } {
  requirePlain(header);
  const text = utf8(body);
  const { argument } = webhook;
  if (argument !== undefined) return { args: { [argument]: text }, texts: false };
  const type = (header("content-type") ?? "").split(";", 1)[0]?.trim().toLowerCase() ?? "";
  if (body.length === 0) return { args: undefined, texts: false };
  if (type === "application/x-www-form-urlencoded") {
    const form = parseQuery(text, "body");
    // What forges send unless told otherwise: a form of one field, which has the JSON.
    const payload = form.size === 1 && !webhook.takesPayload ? form.get("payload") : undefined;
    if (typeof payload === "string") return { args: objectIn(payload, "payload"), texts: false };
    return { args: toArgs(form, NOTHING), texts: true };
  }
  if (type !== "application/json" && !type.endsWith("+json"))
    throw new HttpError(
      415,
      "the body of this webhook is JSON or a form; `argument` in its config takes others as they are",
    );
  return { args: objectIn(text, "body"), texts: false };
}

function objectIn(text: string, what: string): object {
  const args = parseJson(text, what);
  if (!isObject(args))
    throw new AfbError("invalid-request", `the ${what} is no object of arguments`);
  return args;
}

function utf8(bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    throw new AfbError("invalid-request", "body is not UTF-8");
  }
}
