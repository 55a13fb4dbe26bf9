/** A message that is to be a call → what it asks for, or why it is none. */
import { AfbError } from "../errors.ts";
import { parseForeign, TooManyValues } from "../json.ts";
import type { Message } from "./link.ts";
import type { Fleet } from "./load.ts";
import { ID, type CallTopic, type Topics } from "./topics.ts";

/** Where the answers go. */
export interface Place extends CallTopic {
  readonly id: string;
  /** Echoed. */
  readonly correlation: Buffer | undefined;
  /** Nobody waits for an answer. */
  readonly isMute: boolean;
}

export interface Asked {
  readonly args: unknown;
  /** s */
  readonly expiry: number;
  /** ms after which nobody waits any more. */
  readonly timeout: number | undefined;
  /** What becomes of the task where the operator vanishes; undefined: as the config has it. */
  readonly detach: boolean | undefined;
  readonly window: number;
  readonly token: string | undefined;
  /** Another call has another one. */
  readonly digest: string;
}

/** Of a call that is none, or whose answer would go where its operator has no place. */
export class Ignored extends Error {}

type Who = Pick<Fleet, "groups" | "homeassistant"> & { readonly board: string };

/** @throws Ignored where nobody can be told */
export function placeOf(message: Message, topics: Topics, who: Who): Place {
  const call = topics.readCall(message.topic, who.board, who.groups);
  if (!call) throw new Ignored(`a message to ${JSON.stringify(message.topic.slice(0, 200))}`);
  const from = `a call of ${call.operator}`;
  // It would be done again at each connection, and by whoever joins a group.
  if (message.retain) throw new Ignored(`${from} that is retained`);
  const { responseTopic, correlationData: correlation } = message.properties ?? {};
  if (correlation && correlation.length > MOST_CORRELATION)
    throw new Ignored(`${from} with correlation data of ${correlation.length} bytes`);
  const given =
    responseTopic === undefined ? correlation?.toString() : responseTopic.split("/").at(-1);
  if (given === undefined && isButton(message, call, who))
    return { ...call, id: crypto.randomUUID(), correlation: undefined, isMute: true };
  if (given === undefined || !ID.test(given))
    throw new Ignored(`${from} without an id: see Response Topic and Correlation Data`);
  if (responseTopic !== undefined && responseTopic !== topics.out(who.board, call.operator, given))
    throw new Ignored(`${from} that wants its answer elsewhere`);
  return { ...call, id: given, correlation, isMute: false };
}

/** Home Assistant's buttons know no properties. No broker keeps what has QoS 0 for a board that is away. */
const isButton = ({ qos }: Message, { operator }: CallTopic, { homeassistant }: Who): boolean =>
  qos === 0 && operator === homeassistant?.operator;

/** Bytes. */
const MOST_CORRELATION = 256;

const invalid = (info: string) => new AfbError("invalid-request", info);

/** @throws AfbError, the answer */
export function askedOf(
  { payload, properties = {}, topic }: Message,
  { isMute }: Pick<Place, "isMute">,
  fleet: Pick<Fleet, "expiry" | "largest" | "window">,
): Asked {
  const bytes = Buffer.from(payload);
  if (bytes.length > fleet.largest)
    throw invalid(
      `the arguments have ${bytes.length} bytes: this board takes ${fleet.largest} ("largest")`,
    );
  const expiry = isMute ? 1 : properties.messageExpiryInterval;
  if (expiry === undefined)
    throw invalid("a call needs a Message Expiry: it could be done long after it made sense");
  if (expiry === 0) throw new AfbError("timeout", "the call has expired");
  if (expiry > fleet.expiry)
    throw invalid(
      `the call expires in ${expiry} s: this board takes up to ${fleet.expiry} s ("expiry")`,
    );
  const { contentType } = properties;
  if (contentType !== undefined && !/^application\/json(?:\s*;.*)?$/i.test(contentType))
    throw invalid("the arguments are to be application/json");
  const user = properties.userProperties ?? {};
  const one = (name: string): string | undefined => {
    if (!Object.hasOwn(user, name)) return undefined;
    const value = user[name];
    if (typeof value === "string") return value;
    throw invalid(`the user property ${name} is there more than once`);
  };
  const detach = one("detach");
  if (detach !== undefined && detach !== "true" && detach !== "false")
    throw invalid("the user property detach is true or false");
  return {
    args: argsOf(bytes),
    expiry,
    timeout: numberOf("timeout", one("timeout"), 2_147_483_647),
    detach: detach === undefined ? undefined : detach === "true",
    window: Math.min(fleet.window, numberOf("window", one("window"), 65_535) ?? fleet.window),
    token: one("token") || undefined,
    digest: Bun.hash(bytes, BigInt(Bun.hash.crc32(topic))).toString(36),
  };
}

function numberOf(name: string, text: string | undefined, most: number): number | undefined {
  if (text === undefined) return undefined;
  if (/^[1-9]\d{0,9}$/.test(text) && Number(text) <= most) return Number(text);
  throw invalid(`the user property ${name} is a number from 1 to ${most}`);
}

function argsOf(bytes: Buffer): unknown {
  if (bytes.length === 0) return undefined;
  try {
    return parseForeign(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (error) {
    if (
      error instanceof SyntaxError ||
      error instanceof TooManyValues ||
      error instanceof TypeError
    )
      throw invalid(`the arguments are not JSON: ${error.message}`);
    throw error;
  }
}
