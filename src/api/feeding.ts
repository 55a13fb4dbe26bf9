/** The stdin of a running task, as its clients fill it: within what its config allows, and without a gap that nobody sees. */
import { excerpt } from "../config/place.ts";
import { AfbError } from "../errors.ts";
import type { Task, TaskInput } from "../launch/task.ts";
import { isObject } from "../object.ts";
import { leaverOf, type Request } from "./client.ts";
import { parseBoolean, type Query } from "./query.ts";
import { BrokenInput, type Source, unreadable } from "./source.ts";

/** Most bytes that wait behind those that the command does not read yet: what is more is of a client that does not wait either. */
const AHEAD = 1 << 20;
/** Most bytes of a piece that is the body of a POST. */
export const PIECE = 1 << 20;

const invalid = (info: string) => new AfbError("invalid-request", info);

export class Feeding {
  /** Settles once what the start brings is with the command, or nobody reads it: with why that is not so. Never rejects. */
  poured: Promise<BrokenInput | undefined> = Promise.resolve(undefined);
  #taken = 0;
  #waiting = 0;
  #over = false;

  constructor(
    /** For messages. */
    readonly uid: string,
    readonly task: Pick<Task, "ended"> & { readonly input: TaskInput },
    /** Bytes of all. */
    readonly most: number,
  ) {}

  /**
   * What the start itself brings is all there is. A client that gets events goes on giving until it says that this is all, or
   * goes; whoever cannot gives nothing.
   * @param broken what the start brings is not all there. The command never reads an end that is none: it has to be stopped
   */
  begin(
    { input, client }: Pick<Request, "input" | "client">,
    broken: (why: BrokenInput) => void,
  ): void {
    const { task } = this;
    if (input) {
      // Nobody else gives it anything.
      this.#over = true;
      void task.ended.then(() => input.drop());
      this.poured = this.#pour(input, broken);
      return;
    }
    const leaver = client && leaverOf({ client });
    if (!leaver?.connected) return this.#end();
    const untie = leaver.onClose(() => this.#end());
    void task.ended.then(untie);
  }

  /** A command that does not read all of it is none of its caller's faults. */
  async #pour(
    source: Source,
    broken: (why: BrokenInput) => void,
  ): Promise<BrokenInput | undefined> {
    const { input } = this.task;
    try {
      for (;;) {
        const piece = await source.next();
        if (!piece) break;
        if (!(await input.give(piece))) break;
      }
    } catch (error) {
      // Whatever it is, this command does not get all of it.
      const why = error instanceof BrokenInput ? error : unreadable(error);
      broken(why);
      return why;
    }
    source.drop();
    input.end();
    return undefined;
  }

  /** Resolves once the pipe has taken it. What is refused ends the input: what came behind it would be read in its place. */
  async give({ data, end }: Piece): Promise<void> {
    const { uid } = this;
    if (this.#over) throw new AfbError("bad-state", `${uid}: its stdin has ended`);
    if (this.#taken + data.length > this.most)
      throw this.#refused(`more than its maxinput of ${this.most} bytes`);
    if (this.#waiting > AHEAD)
      throw this.#refused("it reads slower than this: wait for each reply");
    this.#taken += data.length;
    this.#waiting += data.length;
    const given = this.task.input.give(data);
    if (end) this.#end();
    const isTaken = await given;
    this.#waiting -= data.length;
    if (isTaken) return;
    this.#over = true;
    throw new AfbError("bad-state", `${uid} has closed its stdin, or has ended`);
  }

  #refused(why: string): AfbError {
    this.#end();
    return invalid(`${this.uid}: ${why}; its stdin ends with what came before`);
  }

  #end(): void {
    if (this.#over) return;
    this.#over = true;
    this.task.input.end();
  }
}

export interface Piece {
  readonly data: Uint8Array;
  /** It is the last one. */
  readonly end: boolean;
}

/**
 * Takes `data` or `base64`, and `end`, out of the args of `input`: what is left names the task. Throws invalid-request.
 * @param body of a POST: it is the data then
 */
export function parsePiece(
  query: Query,
  body: Uint8Array = new Uint8Array(),
): { readonly piece: Piece; readonly target: Query } {
  const { args } = query;
  if (!isObject(args))
    throw invalid('input needs {"pid":N,"data":"TEXT"}, or "base64" for bytes; "end":true ends it');
  const { data, base64, end, ...target } = args;
  const given = [data !== undefined, base64 !== undefined, body.length > 0].filter(Boolean).length;
  if (given > 1) throw invalid("give one of data, base64 and a body");
  if (given === 0 && end === undefined) throw invalid("input needs data, base64, a body or end");
  if ((target["pid"] ?? target["id"]) === undefined) throw invalid("input needs pid or id");
  const bytes = body.length > 0 ? body : base64 === undefined ? bytesOf(data) : decoded(base64);
  const isLast = end !== undefined && parseBoolean("end", end);
  return { piece: { data: bytes, end: isLast }, target: { ...query, args: target } };
}

function bytesOf(text: unknown): Uint8Array {
  if (text === undefined) return new Uint8Array();
  // Half of a pair would become another character.
  if (typeof text === "string" && text.isWellFormed()) return Buffer.from(text);
  throw invalid(`data must be a text, not ${excerpt(text)}; bytes go into base64`);
}

function decoded(text: unknown): Uint8Array {
  const fault = () => invalid(`base64 must be a text as RFC 4648 has it, not ${excerpt(text)}`);
  if (typeof text !== "string" || !/^[A-Za-z0-9+/]*={0,2}$/.test(text) || text.length % 4 !== 0)
    throw fault();
  return Buffer.from(text, "base64");
}
