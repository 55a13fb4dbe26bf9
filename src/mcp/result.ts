/** How a call went, as the result of a tool. */
import type { CallToolResult } from "@modelcontextprotocol/sdk/types.js";
import type { WireStatus } from "../api/status.ts";
import type { Reply } from "../api/reply.ts";
import { stringify } from "../api/event-data.ts";
import type { VerbDescription } from "../api/verb.ts";
import { compileParams, type Params } from "../config/params.ts";
import { AfbError } from "../errors.ts";
import { parseExact } from "../numbers.ts";
import { isObject } from "../object.ts";
import { plainText } from "../visible.ts";
import { FOREIGN } from "./foreign.ts";
import type { Printed } from "./printed.ts";

type Content = CallToolResult["content"][number];

/** What the server says is for both. */
const SAID = { audience: ["user", "assistant"] as ("user" | "assistant")[], priority: 1 };

const foreign = (text: string): Content => ({
  type: "text",
  text: plainText(text),
  _meta: FOREIGN,
});
const said = (text: string): Content => ({
  type: "text",
  text: plainText(text),
  annotations: SAID,
});

export const refused = (info: string, status: string): CallToolResult => ({
  content: [said(info)],
  isError: true,
  _meta: { "spawnbox/status": status },
});

/** The reply to a call that has failed. */
export const failed = ({ request: { status, info } }: Reply): CallToolResult =>
  refused(info === undefined ? status : `${status}: ${info}`, status);

/** Of a verb that starts no task. */
export function answered(response: unknown): CallToolResult {
  if (response === undefined) return { content: [] };
  if (typeof response === "string") return { content: cutOff(response) };
  // A plugin may make what cannot be written.
  const json = stringify(response) ?? "null";
  const structured = json.length <= MOST ? parseExact(json) : undefined;
  return {
    content: cutOff(json),
    ...(isObject(structured) && { structuredContent: structured }),
  };
}

const cutOff = (text: string): Content[] =>
  text.length <= MOST
    ? [foreign(text)]
    : [foreign(text.slice(0, MOST)), said(`${text.length - MOST} more characters are left out`)];

const MOST = 512 << 10;

/** Of a task that has ended. @param id of the task, for what names it */
export function ended(
  verb: Pick<VerbDescription, "file" | "tool">,
  printed: Printed,
  status: WireStatus,
  { id = "task", notices = [] }: { id?: string | undefined; notices?: readonly string[] },
): CallToolResult {
  const hasFailed = status.exit !== 0 || status.cause !== undefined;
  const content: Content[] = [];
  if (!printed.stdout.isEmpty) content.push(foreign(printed.stdout.text));
  content.push(...bytesOf(verb.file, printed, id));
  const structured = printed.values.length > 0 ? structuredOf(printed) : undefined;
  if (structured) content.push(foreign(JSON.stringify(structured)));
  if (!printed.stderr.isEmpty) content.push(foreign(`stderr:\n${printed.stderr.text}`));
  const misfit = hasFailed ? undefined : misfitOf(verb, structured);
  const words = [
    ...(misfit === undefined ? [] : [misfit]),
    ...lossOf(printed, status),
    ...notices,
    ...(hasFailed ? [endWords(status)] : []),
  ];
  if (words.length > 0) content.push(said(words.join("\n")));
  const isError = hasFailed || misfit !== undefined;
  return {
    content,
    ...(structured && !isError && { structuredContent: structured }),
    ...(isError && { isError }),
    _meta: { "spawnbox/task": id, "spawnbox/status": status },
  };
}

/** An object, as the protocol wants it: that which it prints, or what has all that it prints. */
function structuredOf({ values, lostValues }: Printed): Record<string, unknown> {
  const [only] = values;
  return values.length === 1 && lostValues === 0 && isObject(only) ? only : { values };
}

/** Why it is not what the config says that it is. */
function misfitOf(
  { tool }: Pick<VerbDescription, "tool">,
  structured: Record<string, unknown> | undefined,
): string | undefined {
  const result = tool?.result;
  if (!result) return undefined;
  if (!structured) return "it has printed no JSON value, and its config says what that is";
  try {
    checkOf(result).check({ result: structured });
    return undefined;
  } catch (error) {
    if (!(error instanceof AfbError)) throw error;
    const why = error.message.replace(/^argument `result`: /, "");
    return `what it has printed is not what its config says: ${why}`;
  }
}

const checks = new WeakMap<object, Params>();
function checkOf(result: object): Params {
  const known = checks.get(result);
  if (known) return known;
  const made = compileParams({ result }, "", (path, message) => {
    // The config was checked when it was loaded.
    throw new Error(`result${path}: ${message}`);
  });
  checks.set(result, made);
  return made;
}

function bytesOf(type: string | undefined, printed: Printed, id: string): Content[] {
  const { bytes } = printed;
  if (bytes.length === 0) return [];
  const mimeType = type ?? "application/octet-stream";
  const essence = mimeType.split(";")[0]?.trim().toLowerCase() ?? "";
  // Half of a picture is none.
  const isWhole = printed.lostBytes === 0;
  const data = bytes.toString("base64");
  if (isWhole && essence.startsWith("image/"))
    return [{ type: "image", data, mimeType: essence, _meta: FOREIGN }];
  if (isWhole && essence.startsWith("audio/"))
    return [{ type: "audio", data, mimeType: essence, _meta: FOREIGN }];
  const uri = `spawnbox://task/${id}/stdout`;
  const text = /^text\/|[/+]json$|[/+]xml$/.test(essence) ? textOf(bytes) : undefined;
  const resource =
    text === undefined ? { uri, mimeType, blob: data } : { uri, mimeType, text: plainText(text) };
  return [{ type: "resource", resource, _meta: FOREIGN }];
}

/** undefined where it is none. */
function textOf(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (error) {
    if (error instanceof TypeError) return undefined;
    throw error;
  }
}

function lossOf(printed: Printed, { overflow, replaced, encoder }: WireStatus): string[] {
  const { stdout, stderr, lostValues, lostBytes } = printed;
  return [
    ...(stdout.lost > 0 ? [`${stdout.lost} characters of its output are left out`] : []),
    ...(stderr.lost > 0 ? [`${stderr.lost} characters of its stderr are left out`] : []),
    ...(lostValues > 0 ? [`${lostValues} more values that it has printed are left out`] : []),
    ...(lostBytes > 0 ? [`the last ${lostBytes} bytes of its output are left out`] : []),
    ...(overflow
      ? [`${overflow.bytes} bytes of its output are lost: more than is held of it`]
      : []),
    ...(replaced ? [`${replaced.bytes} bytes of its output were no text`] : []),
    ...(encoder === undefined ? [] : [`output is missing: ${encoder}`]),
  ];
}

function endWords({ exit, signal, cause, syscall, denied, others }: WireStatus): string {
  const how =
    exit === undefined
      ? `it was ended by a signal: ${signal ?? "unknown"}`
      : `it ended with exit code ${exit}`;
  const calls = Object.entries(denied ?? {}).map(([name, count]) =>
    typeof count === "number" && count > 1 ? `${name} (${count} times)` : name,
  );
  return [
    how,
    ...(cause === undefined ? [] : [`cause: ${cause}`]),
    ...(others === undefined ? [] : [`${others} other processes were ended with it`]),
    ...(syscall === undefined ? [] : [`its last system call: ${syscall}`]),
    ...(calls.length > 0 ? [`its sandbox has denied: ${calls.join(", ")}`] : []),
  ].join("; ");
}
