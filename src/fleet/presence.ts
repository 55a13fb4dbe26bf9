/** What an operator knows of the boards of a fleet, as the broker keeps it. */
import { isObject } from "../object.ts";
import { jsonOf } from "./outcome.ts";
import { ALL } from "./topics.ts";

/** As a board tells it: any of it may be missing or something else, so it is read as such. */
export interface Told {
  readonly version?: string;
  readonly arch?: string;
  readonly start?: string;
  readonly groups: readonly string[];
  readonly apis: readonly string[];
  readonly limits: {
    readonly window?: number;
    readonly largest?: number;
    readonly expiry?: number;
  };
}

export interface Seen {
  status?: "online" | "offline";
  /** The last sign of life of one that is online, by performance.now(), which nobody who sets the clock moves; undefined where it is not known. */
  heard?: number;
  about?: Told;
  /** What is told of each API, where somebody has looked at that. */
  readonly apis: Map<string, unknown>;
  /** Characters of that. */
  size: number;
}

/** s: for so long a broker keeps `online` of a board of which it hears nothing more. */
export const SIGN_EXPIRY = 7 * 86_400;

/** ms between two signs of life of a board. */
export const SIGN = 300_000;
/** ms without one after which a board may have gone without anybody having said so: its broker died with its will. */
const SILENT = 2 * SIGN + 60_000;

/** Minutes in which nothing was heard of a board that is said to be online; undefined where all is as it should be. */
export function silenceOf({ status, heard }: Pick<Seen, "status" | "heard">): number | undefined {
  if (status !== "online" || heard === undefined) return undefined;
  const age = performance.now() - heard;
  return age > SILENT ? Math.floor(age / 60_000) : undefined;
}

/** Boards: of more than any fleet of one broker, somebody makes them up. */
const MOST = 1_000_000;
/** Characters of what a board tells of itself and of its APIs, and APIs: far more than any needs, and what is beyond is left out. */
const MOST_ABOUT = 64 << 10;
const MOST_TOLD = 4 << 20;
const MOST_APIS = 1000;
/** Of one board: it is not to crowd out those of others. */
const MOST_GROUPS = 256;

export class Presence {
  readonly boards = new Map<string, Seen>();

  /**
   * @param left s after which the broker forgets it; undefined: never
   * @returns undefined where it is nothing about a board; whether it is news
   */
  note(
    board: string,
    kind: string,
    rest: readonly string[],
    payload: Buffer,
    left?: number,
  ): boolean | undefined {
    const isKnown =
      (rest.length === 0 && (kind === "status" || kind === "about")) ||
      (kind === "api" && rest.length === 1);
    if (!isKnown || (this.boards.size >= MOST && !this.boards.has(board))) return undefined;
    const seen: Seen = this.boards.get(board) ?? { apis: new Map(), size: 0 };
    this.boards.set(board, seen);
    const text = payload.toString();
    if (kind === "status") return noteStatus(seen, text, left);
    if (kind === "about") {
      const about = toldOf(text.length > MOST_ABOUT ? undefined : jsonOf(text));
      const isNews = !Bun.deepEquals(about, seen.about);
      seen.about = about;
      return isNews;
    }
    const [api = ""] = rest;
    if (text === "") return seen.apis.delete(api);
    const isTooMuch = seen.apis.size >= MOST_APIS || seen.size + text.length > MOST_TOLD;
    if (isTooMuch) return false;
    seen.size += text.length;
    seen.apis.set(api, jsonOf(text));
    return true;
  }

  /** What it has told of its APIs, which is not kept any longer. */
  takeApis(board: string): ReadonlyMap<string, unknown> {
    const seen = this.boards.get(board);
    const apis = new Map(seen?.apis);
    seen?.apis.clear();
    if (seen) seen.size = 0;
    return apis;
  }

  /** Something of it has come: a sign of life, as any. */
  hear(board: string): void {
    const seen = this.boards.get(board);
    if (seen?.heard === undefined) return;
    seen.heard = performance.now();
  }

  /** As it is said of it; of one of which nothing is heard any more, that it is not there: its broker died with its will. */
  stateOf(board: string): "online" | "offline" | undefined {
    const { status, heard = Infinity } = this.boards.get(board) ?? {};
    return status === "online" && performance.now() - heard > SILENT ? "offline" : status;
  }

  isOnline(board: string): boolean {
    return this.boards.get(board)?.status === "online";
  }

  /** Sorted. Those that have ever been seen, of a group. */
  of(group: string): string[] {
    return [...this.boards]
      .filter(
        ([, { status, about }]) =>
          status !== undefined && (group === ALL || (about?.groups ?? []).includes(group)),
      )
      .map(([board]) => board)
      .sort();
  }
}

function noteStatus(seen: Seen, text: string, left: number | undefined): boolean {
  const before = seen.status;
  if (text === "online" || text === "offline") seen.status = text;
  else delete seen.status;
  // How long the broker keeps it yet tells how long it has it.
  delete seen.heard;
  if (text === "online" && left !== undefined && left <= SIGN_EXPIRY)
    seen.heard = performance.now() - (SIGN_EXPIRY - left) * 1000;
  return seen.status !== before;
}

function toldOf(value: unknown): Told {
  const { version, arch, start, groups, apis, limits } = isObject(value) ? value : {};
  const { window, largest, expiry } = isObject(limits) ? limits : {};
  const texts = (list: unknown): string[] =>
    Array.isArray(list) ? list.filter((one) => typeof one === "string") : [];
  return {
    ...(typeof version === "string" && { version }),
    ...(typeof arch === "string" && { arch }),
    ...(typeof start === "string" && { start }),
    ...{ groups: texts(groups).slice(0, MOST_GROUPS), apis: texts(apis).slice(0, MOST_APIS) },
    limits: {
      ...(isLimit(window) && { window }),
      ...(isLimit(largest) && { largest }),
      ...(isLimit(expiry) && { expiry }),
    },
  };
}

/** As a fleet file has it: calls to all of a group go by the least of them. */
const isLimit = (value: unknown): value is number =>
  Number.isSafeInteger(value) && Number(value) > 0;
