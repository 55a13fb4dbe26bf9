/** A call to boards, and what has come of it so far. It goes on while other views are looked at. */
import { plainOf } from "./ansi.ts";
import { call, generation, listen, type Reply, succeeded } from "./connection.ts";
import { EVENT } from "./fleet-model.ts";
import { isObject, type Json, numberOf, objectOf, textOf } from "./json.ts";
import type { Line } from "./log-view.ts";
import { linesOf } from "./task-events.ts";

export const RESULTS = ["ok", "error", "refused", "timeout", "offline"] as const;
export type Result = (typeof RESULTS)[number];

export interface Row {
  readonly board: string;
  /** undefined while it is at it. */
  result: Result | undefined;
  info: string;
  response: unknown;
  readonly lines: Line[];
  /** Lines that are not kept. */
  more: number;
}

/** Lines of one board, characters of a line, and of all. */
const MOST_LINES = 200;
const WIDEST = 2000;
const MOST_TEXT = 4 << 20;

export class FleetRun {
  readonly rows = new Map<string, Row>();
  readonly counts: Record<Result, number> = { ok: 0, error: 0, refused: 0, timeout: 0, offline: 0 };
  /** Boards that it is for; undefined before the server has told. */
  boards: number | undefined;
  isOver = false;
  isStopping = false;
  /** Why it did not go all the way, or not at all. */
  info = "";
  #id = "";
  #kept = 0;
  /** Events that came before the reply. */
  #early: Json[] = [];
  #heard: (() => void) | undefined;
  readonly #forget: () => void;
  readonly #connection = generation.value;

  constructor(
    readonly to: string,
    readonly method: string,
    args: Json,
  ) {
    this.#forget = listen(EVENT, (data) => this.take(data));
    void call("monitor/fleet/call", { to, verb: method, ...args }).then((reply) =>
      this.#begin(reply),
    );
  }

  get done(): number {
    return RESULTS.reduce((sum, result) => sum + this.counts[result], 0);
  }

  /** Called where something has changed; by one at a time. */
  set heard(heard: (() => void) | undefined) {
    this.#heard = heard;
  }

  stop(): void {
    this.isStopping = true;
    void call("monitor/fleet/stop", { call: this.#id });
    this.#heard?.();
  }

  /** The connection by which it was asked for is gone: the server stops it. */
  look(): void {
    if (!this.isOver && generation.value !== this.#connection) this.#end("");
  }

  #begin(reply: Reply): void {
    if (!succeeded(reply)) return this.#end(reply.info || reply.status);
    const { call: id, boards } = objectOf(reply.response);
    this.#id = textOf(id) ?? "";
    this.boards = numberOf(boards) ?? 0;
    for (const data of this.#early.splice(0)) this.take(data);
    this.#heard?.();
  }

  take(data: Json): void {
    if (this.#id === "") return void this.#early.push(data);
    if (data["call"] !== this.#id || this.isOver) return;
    const { type } = data;
    if (type === "end") return this.#end(textOf(data["info"]) ?? "");
    const board = textOf(data["board"]);
    if (board === undefined) return;
    const row = this.rows.get(board) ?? {
      ...{ board, result: undefined, info: "", response: undefined, lines: [], more: 0 },
    };
    this.rows.set(board, row);
    if (type === "output") this.#lines(row, objectOf(data["data"]));
    if (type === "result") this.#result(row, data);
    this.#heard?.();
  }

  #result(row: Row, data: Json): void {
    const result = RESULTS.find((one) => one === data["result"]) ?? "error";
    if (row.result === undefined) this.counts[result]++;
    row.result = result;
    row.info = plainOf(textOf(data["info"]) ?? "");
    const { stdout, stderr, ...response } = objectOf(data["response"]);
    // What a verb of a synchronous encoder has printed.
    this.#lines(row, {
      ...(stdout !== undefined && { stdout }),
      ...(stderr !== undefined && { stderr }),
    });
    row.response = isObject(data["response"]) ? response : data["response"];
  }

  #lines(row: Row, data: Json): void {
    for (const line of linesOf(data)) {
      const text = plainOf(line.text.slice(0, WIDEST));
      this.#kept += text.length;
      row.lines.push({ ...line, text });
      const isFull = row.lines.length > MOST_LINES || this.#kept > MOST_TEXT;
      if (!isFull) continue;
      this.#kept -= row.lines.shift()?.text.length ?? 0;
      row.more++;
    }
  }

  #end(info: string): void {
    this.isOver = true;
    this.info = plainOf(info);
    this.#forget();
    this.#heard?.();
  }
}

let last: FleetRun | undefined;

export const lastRun = (): FleetRun | undefined => last;

export function startRun(to: string, method: string, args: Json): FleetRun {
  last = new FleetRun(to, method, args);
  return last;
}
