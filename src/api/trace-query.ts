/** The arguments of `monitor/trace`: which traces to add, and which to drop. See AFB.md, "monitor API". */
import { suggestion } from "../config/nearest.ts";
import { AfbError } from "../errors.ts";
import { isObject } from "../object.ts";
import { type Glob, globOf } from "./glob.ts";

/** What a trace tells, each by its own actions. */
export type Kind = "request" | "event" | "session";

export interface Trace {
  /** Of the event that carries it, below the API monitor. */
  readonly name: string;
  readonly tag: string;
  readonly api: Glob;
  readonly verb: Glob;
  /** Uuid of the session. */
  readonly uuid: Glob;
  /** Name of the event that is traced. */
  readonly pattern: Glob;
  readonly actions: Readonly<Record<Kind, ReadonlySet<string>>>;
  /** The uuids as they were given, to drop it by. */
  readonly uuids: readonly string[];
}

/** The actions there are here, and the words that AFB has for them and for more, which never comes to pass. */
const ACTIONS: Readonly<Record<Kind, Readonly<Record<string, readonly string[]>>>> = {
  request: {
    begin: ["begin", "args", "json", "life"],
    reply: ["reply", "life"],
  },
  event: { push_before: ["push_before"], push_after: ["push_after"] },
  session: { create: ["create"], close: ["close", "destroy"] },
};
const ALL = ["all", "common", "*", "true"];
const OTHERS: Readonly<Record<Kind, readonly string[]>> = {
  request:
    "addref context context_drop context_get context_getinit context_make context_set end event extra get get_application_id get_client_info get_uid has_permission interface ref security session session_close session_set_LOA session_get_LOA stores subcall subcall_req subcall_result subcalls subcallsync subcallsync_result subscribe unref unstore unsubscribe userdata vverbose".split(
      " ",
    ),
  event: ["addref", "broadcast_after", "broadcast_before", "create", "extra", "name", "unref"],
  session: ["addref", "unref"],
};
/** Parts of AFB's own programs, of which there is nothing to tell here: whatever is asked for, nothing comes. */
const SILENT = ["daemon", "service", "global"];
const KINDS = ["request", "event", "session"] as const;
const KEYS = [
  ...["name", "tag", "api", "apiname", "verbname", "uuid", "pattern"],
  ...[...KINDS, ...SILENT, "for"],
];
const DROP_KEYS = ["tag", "event", "uuid"];
/** Words of AFB for what an API does, which `api` may have instead of names: there are no such traces. */
const API_WORDS = new Set(
  "add_alias all api_add_verb api api_del_verb api_seal api_set_on_event api_set_on_init api_set_verbs call callsync abort_job class_provide class_require common delete_api event event_broadcast event_handler_add event_handler_del event_make extra get_event_loop get_system_bus get_user_bus new_api on_event on_event_handler post_job require_api rootdir_get_fd rootdir_open_locale settings start unshare_session vverbose".split(
    " ",
  ),
);
const MONITOR = "monitor";
/** Its own calls would drown the others, so it must be named. */
const NOT_MONITOR: Glob = (name) => name !== MONITOR;
const ANY: Glob = () => true;
const LONGEST = 256;

export const invalid = (info: string) => new AfbError("invalid-request", info);

const listOf = (value: unknown): unknown[] =>
  value === undefined ? [] : Array.isArray(value) ? value : [value];

/** @param most traces that there may be @throws AfbError invalid-request */
export function tracesToAdd(value: unknown, most: number): Trace[] {
  const traces: Trace[] = [];
  const add = (one: unknown, common: Record<string, unknown>): void => {
    const own = typeof one === "string" ? { request: one } : one;
    if (!isObject(own)) throw invalid("add: expected an object, or a list of them");
    for (const key of Object.keys(own)) {
      if (KEYS.includes(key)) continue;
      const shown = JSON.stringify(key.slice(0, 80));
      throw invalid(`add: unknown key ${shown}${suggestion(key, KEYS)} (${KEYS.join(", ")})`);
    }
    const { for: inner, ...whole } = { ...common, ...own };
    if (Object.hasOwn(own, "for")) {
      for (const next of listOf(inner)) add(next, whole);
      return;
    }
    if (traces.length >= most) throw invalid(`at most ${most} traces at a time`);
    traces.push(traceOf(whole));
  };
  for (const one of listOf(value)) add(one, {});
  return traces;
}

function traceOf(given: Record<string, unknown>): Trace {
  const name = textOf(given, "name") ?? "trace";
  if (!/^[\w.-]{1,64}$/.test(name))
    throw invalid("add.name: expected letters, digits, `_`, `.` or `-`");
  const words = wordsOf(given, "api");
  const isNames = words.some((word) => !API_WORDS.has(word));
  const apis = [...wordsOf(given, "apiname"), ...(isNames ? words : [])];
  for (const key of SILENT) wordsOf(given, key);
  const uuids = wordsOf(given, "uuid").filter((uuid) => uuid !== "*");
  const asked = [...KINDS, ...SILENT].some((key) => given[key] !== undefined);
  const silent = asked || (words.length > 0 && !isNames);
  const actions = (kind: Kind) => actionsOf(kind, given, !silent && kind !== "session");
  return {
    name,
    tag: textOf(given, "tag") ?? "trace",
    api: apis.length === 0 || apis.includes("*") ? NOT_MONITOR : anyOf(apis),
    verb: anyOf(wordsOf(given, "verbname")),
    uuid: anyOf(uuids),
    pattern: anyOf(wordsOf(given, "pattern")),
    actions: { request: actions("request"), event: actions("event"), session: actions("session") },
    uuids,
  };
}

/** The actions of a kind that are wanted. @param unasked where nothing at all was said */
function actionsOf(
  kind: Kind,
  given: Record<string, unknown>,
  unasked: boolean,
): ReadonlySet<string> {
  const value = given[kind];
  const known = Object.keys(ACTIONS[kind]);
  if (value === undefined) return new Set(unasked ? known : []);
  if (value === true) return new Set(known);
  if (value === false || value === null) return new Set();
  const words = wordsOf(given, kind);
  const wanted = known.filter((action) =>
    words.some((word) => ALL.includes(word) || ACTIONS[kind][action]?.includes(word)),
  );
  const all = [...ALL, "none", ...Object.values(ACTIONS[kind]).flat(), ...OTHERS[kind]];
  const wrong = words.find((word) => !all.includes(word));
  if (wrong === undefined) return new Set(wanted);
  throw invalid(`add.${kind}: unknown word ${JSON.stringify(wrong)}${suggestion(wrong, all)}`);
}

const anyOf = (patterns: readonly string[]): Glob => {
  if (patterns.length === 0) return ANY;
  const globs = patterns.map(globOf);
  return (name) => globs.some((one) => one(name));
};

function textOf(given: Record<string, unknown>, key: string): string | undefined {
  const value = given[key];
  if (value === undefined || (typeof value === "string" && value.length <= LONGEST)) return value;
  throw invalid(`add.${key}: expected a string`);
}

/** A string, or a list of them; true and false say all or nothing where that is not a name. */
function wordsOf(given: Record<string, unknown>, key: string): string[] {
  const values = listOf(given[key]);
  const words = values.filter((one) => typeof one === "string" && one.length <= LONGEST);
  if (words.length === values.length) return [...new Set(words as string[])];
  if (SILENT.includes(key) && typeof given[key] === "boolean") return [];
  throw invalid(`add.${key}: expected a string, or a list of them`);
}

/**
 * Which of the traces are to be dropped: all for `true`, else those of the tags, or of `{tag, event, uuid}`. A tag may be a
 * pattern. @throws AfbError invalid-request, also for what matches none
 */
export function tracesToDrop(value: unknown, traces: readonly Trace[]): ReadonlySet<Trace> {
  if (value === undefined || value === false) return new Set();
  if (value === true) return new Set(traces);
  const given = isObject(value) ? value : { tag: value };
  for (const key of Object.keys(given)) {
    if (!DROP_KEYS.includes(key))
      throw invalid(
        `drop: unknown key ${JSON.stringify(key.slice(0, 80))} (${DROP_KEYS.join(", ")})`,
      );
  }
  const dropped = new Set<Trace>();
  const drop = (key: string, has: (trace: Trace, glob: Glob) => boolean) => {
    const words = listOf(given[key]);
    for (const word of new Set(words)) {
      if (typeof word !== "string" || word.length > LONGEST)
        throw invalid("drop: expected true, a tag, or a list of tags");
      const glob = globOf(word);
      const found = traces.filter((trace) => has(trace, glob));
      if (found.length === 0)
        throw invalid(`drop: no trace has the ${key} ${JSON.stringify(word)}`);
      for (const trace of found) dropped.add(trace);
    }
    return words.length;
  };
  const said =
    drop("tag", ({ tag }, glob) => glob(tag)) +
    drop("event", ({ name }, glob) => glob(name)) +
    drop("uuid", ({ uuids }, glob) => uuids.some(glob));
  if (said === 0) throw invalid("drop: expected true, a tag, or a list of tags");
  return dropped;
}
