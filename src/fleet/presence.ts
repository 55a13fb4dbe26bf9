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
  about?: Told;
  readonly apis: Map<string, unknown>;
}

/** Boards: of more than any fleet of one broker, somebody makes them up. */
const MOST = 1_000_000;

export class Presence {
  readonly boards = new Map<string, Seen>();

  /** @returns whether it is something about a board */
  note(board: string, kind: string, rest: readonly string[], payload: Buffer): boolean {
    const isKnown =
      (rest.length === 0 && (kind === "status" || kind === "about")) ||
      (kind === "api" && rest.length === 1);
    if (!isKnown || (this.boards.size >= MOST && !this.boards.has(board))) return false;
    const seen: Seen = this.boards.get(board) ?? { apis: new Map() };
    this.boards.set(board, seen);
    const text = payload.toString();
    if (kind === "status") {
      if (text === "online" || text === "offline") seen.status = text;
      else delete seen.status;
    } else if (kind === "about") {
      seen.about = toldOf(jsonOf(text));
    } else {
      const [api = ""] = rest;
      if (text === "") seen.apis.delete(api);
      else seen.apis.set(api, jsonOf(text));
    }
    return true;
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

function toldOf(value: unknown): Told {
  const { version, arch, start, groups, apis, limits } = isObject(value) ? value : {};
  const { window, largest, expiry } = isObject(limits) ? limits : {};
  const texts = (list: unknown): string[] =>
    Array.isArray(list) ? list.filter((one) => typeof one === "string") : [];
  return {
    ...(typeof version === "string" && { version }),
    ...(typeof arch === "string" && { arch }),
    ...(typeof start === "string" && { start }),
    ...{ groups: texts(groups), apis: texts(apis) },
    limits: {
      ...(typeof window === "number" && { window }),
      ...(typeof largest === "number" && { largest }),
      ...(typeof expiry === "number" && { expiry }),
    },
  };
}
