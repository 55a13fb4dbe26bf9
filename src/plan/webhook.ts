/** How a machine elsewhere may start one command: by a key that it sends, or a signature of what it sends. */
import type { Command } from "../config/command-schema.ts";
import type { Report } from "./report.ts";
import { pathIn } from "./secrets.ts";

export interface Webhook {
  /** Has the key or the signature; in lower case. */
  readonly header: string;
  /** What is before it there. */
  readonly prefix: string;
  /** Has the key, or what is signed with. */
  readonly file: string;
  /** undefined: the header has the key itself. */
  readonly signature?: {
    readonly encoding: "hex" | "base64";
    readonly algorithm: "sha256" | "sha512";
    /** What is signed, around time stamp and body. */
    readonly signed: readonly SignedPart[];
    readonly timestamp?: { readonly header: string; /** Seconds. */ readonly tolerance: number };
  };
  /** The argument that is the body; undefined: the body has arguments. */
  readonly argument?: string;
  /** The command has an argument of the name that senders put JSON into: see `argumentsOf` in src/server/webhook.ts. */
  readonly takesPayload?: true;
}

export type SignedPart = { readonly text: string } | "timestamp" | "body";

const SIGNATURE_HEADER = "X-Hub-Signature-256";
const KEY_HEADER = "X-Api-Key";
/** Seconds. */
const TOLERANCE = 300;

/** They mean something else to the server, or to who forwards a request. */
const TAKEN =
  /^(?:authorization|cookie|host|origin|referer|connection|upgrade|expect|forwarded|date|content-.*|transfer-encoding|sec-.*|x-afb-.*|x-forwarded-.*|uuid|prefer|accept.*|user-agent)$/;

/** undefined where the command has none, or after a problem. @param names arguments of the command */
export function compileWebhook(
  { webhook, privilege }: Pick<Command, "webhook" | "privilege">,
  path: string,
  { names, guarded }: { readonly names: ReadonlySet<string>; readonly guarded: boolean },
  expand: (text: string) => string,
  report: Report,
): Webhook | undefined {
  if (!webhook) return undefined;
  const before = report.problems.length;
  const {
    kind = "signature",
    argument,
    timestamp,
    tolerance,
    signed,
    encoding,
    algorithm,
  } = webhook;
  const isKey = kind === "key";
  const header = webhook.header ?? (isKey ? KEY_HEADER : SIGNATURE_HEADER);
  const prefix = webhook.prefix ?? (isKey ? "" : "sha256=");
  for (const [key, name] of Object.entries({
    header,
    ...(timestamp !== undefined && { timestamp }),
  }))
    if (TAKEN.test(name.toLowerCase()))
      report.problem(
        `${path}.${key}`,
        `the header ${name} has another meaning: choose one of your own`,
      );
  if (argument !== undefined && !names.has(argument))
    report.problem(
      `${path}.argument`,
      `the command has no %${argument}%: it is the body of a request`,
    );
  const file = report.attempt(`${path}.file`, () => pathIn(expand(webhook.file), "file"));
  for (const key of ["timestamp", "signed", "encoding", "algorithm", "tolerance"] as const)
    if (isKey && webhook[key] !== undefined)
      report.problem(`${path}.${key}`, "goes with a signature: a key is the same each time");
  if (tolerance !== undefined && timestamp === undefined)
    report.problem(`${path}.tolerance`, "goes with `timestamp`: the header that has the time");
  const parts = signedParts(signed ?? (timestamp === undefined ? "{body}" : "{timestamp}.{body}"));
  const has = (part: SignedPart): boolean => parts.includes(part);
  if (!has("body")) report.problem(`${path}.signed`, "has no {body}: then anything could be in it");
  if (has("timestamp") !== (timestamp !== undefined))
    report.problem(
      `${path}.signed`,
      timestamp === undefined
        ? "has {timestamp}: say in `timestamp` which header has it"
        : "has no {timestamp}: who has seen one request could send it again with another time",
    );
  if (!guarded && privilege === undefined)
    report.notice(path, "everybody may call this command anyway: give it a privilege");
  if (file === undefined || report.problems.length > before) return undefined;
  return {
    ...{ header: header.toLowerCase(), prefix, file },
    ...(!isKey && {
      signature: {
        ...{ encoding: encoding ?? "hex", algorithm: algorithm ?? "sha256", signed: parts },
        ...(timestamp !== undefined && {
          timestamp: { header: timestamp.toLowerCase(), tolerance: tolerance ?? TOLERANCE },
        }),
      },
    }),
    ...(argument !== undefined && { argument }),
    ...(names.has("payload") && { takesPayload: true }),
  };
}

/** Such as `v0:{timestamp}:{body}`. */
const signedParts = (text: string): SignedPart[] =>
  text
    .split(/(\{(?:timestamp|body)\})/)
    .filter((part) => part !== "")
    .map((part) =>
      part === "{body}" ? "body" : part === "{timestamp}" ? "timestamp" : { text: part },
    );

/** For `explain`. */
export function webhookWords({ header, file, signature, argument }: Webhook): string {
  const how = signature
    ? `a signature in ${header}, made with what is in ${file}`
    : `the key of ${file} in ${header}`;
  const replay = signature?.timestamp
    ? `, once within ${signature.timestamp.tolerance} s of ${signature.timestamp.header}`
    : "";
  const body = argument === undefined ? "" : `; the body is its ${argument}`;
  return `a POST with ${how} starts it without a privilege${replay}${body}`;
}
