/** The packets of RPC v3 between binders: what they say, and the numbers that both directions of the wire share. Little endian. */
import type { Value } from "./value.ts";

/** What one end names by a number of its own. */
export type Kind = "session" | "token" | "event" | "type";

export type Packet =
  | {
      readonly type: "call";
      readonly callid: number;
      /** Older importers name none. */
      readonly api: string | undefined;
      readonly verb: string;
      /** 0 for none. */
      readonly session: number;
      readonly token: number;
      readonly creds?: string;
      readonly values: readonly Value[];
    }
  | {
      readonly type: "reply";
      readonly callid: number;
      readonly status: number;
      readonly values: readonly Value[];
    }
  | { readonly type: "push"; readonly event: number; readonly values: readonly Value[] }
  | {
      readonly type: "subscribe" | "unsubscribe";
      readonly callid: number;
      readonly event: number;
    }
  | { readonly type: "unexpected"; readonly event: number }
  | {
      readonly type: "broadcast";
      readonly name: string;
      /** Hexadecimal. */
      readonly uuid: string;
      readonly hop: number;
      readonly values: readonly Value[];
    }
  | { readonly type: "create"; readonly kind: Kind; readonly id: number; readonly name: string }
  | { readonly type: "destroy"; readonly kind: Kind; readonly id: number };

export const HEADER = 8;
/** Values of one packet that binders read. */
export const MOST_VALUES = 64;
/** Bytes of a name: of a session, an event, an API, a verb; and of a token. */
export const MOST_NAME = 1024;
export const MOST_TOKEN = 16 * 1024;

export const OPERATION = {
  call: 0xffff,
  reply: 0xfffe,
  push: 0xfffd,
  subscribe: 0xfffc,
  unsubscribe: 0xfffb,
  unexpected: 0xfffa,
  broadcast: 0xfff9,
  create: 0xfff8,
  destroy: 0xfff7,
} as const;
export const OPERATIONS = new Map(
  (Object.keys(OPERATION) as (keyof typeof OPERATION)[]).map((name) => [OPERATION[name], name]),
);

export const KINDS: Readonly<Record<Kind, number>> = {
  session: 0xffff,
  token: 0xfffe,
  event: 0xfffd,
  type: 0xfffa,
};
export const API = 0xfffc;
export const VERB = 0xfffb;
export const CREDS = 0xfff7;

export const BY_ID = 0xffff;
export const PLAIN = 0xfffe;
export const UNTYPED = 0xfffd;
export const TYPED = 0xfffc;
export const TIMEOUT = 0xfffa;

/** Bytes of a parameter before its body, and where it begins in units of 8. */
export const HEAD = 4;
export const PLAIN_HEAD = 6;
export const PLAIN_AT = 2;

export function isOperation(operation: number): boolean {
  return OPERATIONS.has(operation as (typeof OPERATION)[keyof typeof OPERATION]);
}
