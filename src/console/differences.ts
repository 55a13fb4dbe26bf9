/** What differs between runs of the same command in several sandboxes, and why. */
import type { Sandbox } from "./model.ts";
import { listOf, numberOf, objectOf } from "./json.ts";
import { succeeded, type Reply } from "./connection.ts";

/** Of each run that is shown: the first lines, and of each the beginning. What is more is counted. */
const MOST_LINES = 300;
const MOST_CHARACTERS = 2_000;

export interface Printed {
  readonly text: string;
  readonly from: "out" | "err";
}

/** One run, of which nothing is known where the call was refused. */
export interface Run {
  readonly printed: readonly Printed[];
  /** Lines that were printed, and are not shown. */
  readonly more: number;
  readonly status: Readonly<Record<string, unknown>> | undefined;
  /** Why there was none. */
  readonly fault: string | undefined;
  /** ms */
  readonly wall: number | undefined;
}

export function runOf(reply: Reply): Run {
  if (!succeeded(reply)) {
    const fault = `${reply.status}: ${reply.info}`;
    return { printed: [], more: 0, status: undefined, fault, wall: undefined };
  }
  const response = objectOf(reply.response);
  const status = objectOf(response["status"]);
  let more = 0;
  const printed = (["stdout", "stderr"] as const).flatMap((name) => {
    const lines = linesOf(response[name]);
    more += Math.max(0, lines.length - MOST_LINES);
    const from = name === "stdout" ? "out" : "err";
    return lines.slice(0, MOST_LINES).map((line): Printed => ({ text: beginning(line), from }));
  });
  const wall = numberOf(objectOf(status["usage"])["wall"]);
  return { printed, more, status, fault: undefined, wall };
}

const beginning = (line: string): string =>
  line.length > MOST_CHARACTERS ? `${line.slice(0, MOST_CHARACTERS)} …` : line;

function linesOf(value: unknown): string[] {
  if (typeof value === "string")
    return value
      .replace(/\n$/, "")
      .split("\n")
      .filter((one) => one !== "");
  return listOf(value).map((one) => (typeof one === "string" ? one : (JSON.stringify(one) ?? "")));
}

/** Lines of a run that not all the others have. */
export function isOwn({ text }: Printed, runs: readonly Run[]): boolean {
  return runs.some(
    ({ printed, fault }) => fault === undefined && !printed.some((one) => one.text === text),
  );
}

/** What sandboxes are told apart by, each with the steps of a launch that are about it. */
export const ASPECTS = [
  ["user", /^run as /],
  ["capabilities", /capabilit(y|ies)\b(?!.*NEW)/],
  ["privileges", /^(no new privileges|NEW PRIVILEGES)/],
  ["namespaces", /^(has its own|join the network) /],
  ["files", /^(see the whole|start from an empty|mount |Landlock: no files)/],
  ["sockets", /^(sockets |no sockets|AF_NETLINK|Landlock: TCP)/],
  ["calls", /^(system calls|every (other )?system call)/],
  [
    "limits",
    /^(at most|no core|killed after|told to end|no time limit|start in a control group|nice|.*\b(processes|bytes|files|seconds)\b.*$)/,
  ],
] as const satisfies readonly (readonly [string, RegExp])[];

export type Aspect = (typeof ASPECTS)[number][0];

export interface Difference {
  readonly aspect: Aspect;
  /** Of each sandbox, in a few words. */
  readonly words: readonly string[];
}

/** Only those that are not the same in all sandboxes. */
export function differencesOf(sandboxes: readonly Sandbox[]): Difference[] {
  const taken = sandboxes.map(() => new Set<string>());
  return ASPECTS.flatMap(([aspect, about]) => {
    const words = sandboxes.map(({ explained }, i) => {
      if (!explained) return "?";
      const steps = explained.steps.filter((step) => about.test(step) && !taken[i]?.has(step));
      for (const step of steps) taken[i]?.add(step);
      return brief(aspect, steps);
    });
    return new Set(words).size > 1 ? [{ aspect, words }] : [];
  });
}

function brief(aspect: Aspect, steps: readonly string[]): string {
  if (steps.length === 0) return "–";
  // What follows a colon is what becomes of the others.
  if (aspect === "sockets") return steps.map((step) => step.split(":")[0]).join("; ");
  if (aspect !== "files") return steps.join("; ");
  const [first = ""] = steps;
  if (steps.length === 1) return first;
  const places = steps.flatMap((step) => /^mount (\S+)/.exec(step)?.[1] ?? []);
  return `only ${places.slice(0, 6).join(", ")}${places.length > 6 ? ", …" : ""}`;
}

/** What programs say where a sandbox holds them, and why they say it. */
export const REASONS = [
  [/unshare.*(no space left|invalid)/i, "sayNamespaces"],
  [/network is unreachable|could not resolve|name resolution|connect: /i, "sayNetwork"],
  [/read-only file system/i, "sayReadOnly"],
  [/cannot fork|resource temporarily unavailable/i, "sayFork"],
  [/cannot allocate|memory exhausted|out of memory|cannot reserve/i, "sayMemory"],
  [/address family not supported/i, "sayFamily"],
  [/operation not permitted/i, "sayNotPermitted"],
  [/permission denied/i, "sayDenied"],
  [/no such file or directory|not found/i, "sayNoFile"],
  [/^(?!unshare).*no space left/i, "saySpace"],
] as const satisfies readonly (readonly [RegExp, string])[];

export type Reason = (typeof REASONS)[number][1];

/** Of what it prints on stderr, each once. */
export function reasonsOf({ printed }: Run): Reason[] {
  const said = printed.filter(({ from }) => from === "err").map(({ text }) => text);
  return REASONS.flatMap(([about, reason]) =>
    said.some((text) => about.test(text)) ? [reason] : [],
  );
}
