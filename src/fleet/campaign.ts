/** A call to one board, to all of a group, or to some of it first: carried out, and told as it goes. */
import type { Invocation } from "./calls.ts";
import type { Operator } from "./operator.ts";
import type { Outcome } from "./outcome.ts";
import { type Amount, isTooMuch, staged } from "./stages.ts";
import { isName } from "./topics.ts";

export type Target =
  | { readonly kind: "board"; readonly board: string }
  | { readonly kind: "group"; readonly group: string };

/** `BOARD` or `@GROUP`; undefined where it is neither. */
export function parseTarget(text: string): Target | undefined {
  const isGroup = text.startsWith("@");
  const name = isGroup ? text.slice(1) : text;
  if (!isName(name)) return undefined;
  return isGroup ? { kind: "group", group: name } : { kind: "board", board: name };
}

/** ms */
const UNITS: ReadonlyMap<string, number> = new Map([
  ["ms", 1],
  ["s", 1000],
  ["m", 60_000],
  ["h", 3_600_000],
  ["d", 86_400_000],
]);
const MOST_TIME = 604_800_000;

/** `30s`, `5m` or `1h` in ms, at most a week; undefined where it is none. */
export function parseTime(text: string): number | undefined {
  const [, number = "", unit = ""] = /^(\d{1,9})(ms|s|m|h|d)$/.exec(text) ?? [];
  const ms = Number(number) * (UNITS.get(unit) ?? NaN);
  return ms > 0 && ms <= MOST_TIME ? ms : undefined;
}

/** What cannot be in the topic of a call. */
export const isMethod = (text: string): boolean =>
  /^[^/]+\/.*[^/]/s.test(text) && !/[+#\0]/.test(text);

export interface Campaign {
  readonly target: Target;
  readonly invocation: Omit<Invocation, "event">;
  /** Also boards that are not there: the broker keeps the call for them. */
  readonly isQueued: boolean;
  /** All at once by default. */
  readonly stages: readonly Amount[] | undefined;
  readonly mostFailed: Amount;
}

/** ms until the first answer, where nothing is said of how long it may take in all. */
export const FIRST_ANSWER = 60_000;
/** ms: an answer may take as long as the call, and a little. */
const SLACK = 2000;

/** @param times ms; queue: so long the broker keeps it for boards that are away */
export function timesOf({
  timeout,
  queue,
}: {
  timeout: number | undefined;
  queue?: number | undefined;
}) {
  const expiry = queue ?? Math.min(timeout ?? FIRST_ANSWER, FIRST_ANSWER);
  return { expiry: Math.max(1, Math.ceil(expiry / 1000)), timeout, patience: expiry + SLACK };
}

export interface Hearer {
  readonly event: Invocation["event"];
  /** What became of it on one board. */
  readonly outcome: (outcome: Outcome) => void | Promise<void>;
  /** After each stage. */
  readonly stage?: (progress: Progress) => void | Promise<void>;
}

/** How far a call in stages has come. */
export interface Progress {
  /** Of those that are there. */
  readonly called: number;
  readonly boards: number;
  readonly failed: number;
}

/** Whom it goes to; or why to nobody. */
export function boardsOf(
  presence: Operator["presence"],
  target: Target,
  isQueued: boolean,
): readonly string[] | string {
  if (target.kind === "group") {
    const boards = presence.of(target.group);
    return boards.length > 0 ? boards : "no board of this group was ever seen";
  }
  const { board } = target;
  const isSeen = isQueued || presence.boards.get(board)?.status !== undefined;
  return isSeen ? [board] : `no board ${board} was ever seen: see spawnbox fleet ls`;
}

/**
 * What the broker keeps of the boards must have been looked at, and the answers to `id` be expected.
 * @param id the same for all boards: each knows it as its own
 * @param stopped then no further stage begins; who stops it tells the boards
 * @returns why it did not go all the way
 */
export async function carryOut(
  operator: Operator,
  { target, invocation, isQueued, stages, mostFailed }: Campaign,
  id: string,
  hearer: Hearer,
  stopped?: AbortSignal,
): Promise<string | undefined> {
  const { presence } = operator;
  const outcomes: Outcome[] = [];
  const done = async (promise: Outcome | Promise<Outcome>): Promise<void> => {
    const outcome = await promise;
    outcomes.push(outcome);
    await hearer.outcome(outcome);
  };
  const isThere = (board: string): boolean => isQueued || presence.isOnline(board);
  const one = target.kind === "board";
  const boards = boardsOf(presence, target, isQueued);
  if (typeof boards === "string") return boards;
  if (stopped?.aborted) return "no board was called";
  for (const board of boards) if (!isThere(board)) await done({ board, result: "offline" });
  const present = boards.filter(isThere);
  // Who is there takes it at once: no longer than each of them lets it wait.
  const limits = present.map((board) => presence.boards.get(board)?.about?.limits.expiry);
  const least = Math.min(...limits.filter((limit) => limit !== undefined), invocation.expiry);
  const asked = {
    ...{ ...invocation, event: hearer.event },
    ...(!isQueued && { expiry: least }),
  };
  if (!one && !stages) {
    if (present.length > 0)
      await Promise.all(operator.callGroup(target.group, present, id, asked).map(done));
    return undefined;
  }
  for (const part of stages ? staged(present, stages) : [present]) {
    if (stopped?.aborted) break;
    await Promise.all(part.map((board) => done(operator.call(board, id, asked))));
    const called = outcomes.filter(({ result }) => result !== "offline");
    const failed = called.filter(({ result }) => result !== "ok").length;
    if (!stages) continue;
    await hearer.stage?.({ called: called.length, boards: present.length, failed });
    if (called.length < present.length && isTooMuch(failed, called.length, mostFailed))
      return `stopped after ${called.length} of ${present.length} boards: ${failed} failed`;
  }
  const called = outcomes.filter(({ result }) => result !== "offline").length;
  const left = one ? 0 : present.length - called;
  if (left <= 0) return undefined;
  return left === 1 ? "1 board was not called" : `${left} boards were not called`;
}
