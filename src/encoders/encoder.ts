/**
 * An encoder turns the bytes a task prints into what a client sees: events while it runs, fields of the reply at its end.
 * It knows nothing of sandboxes or sockets.
 */

import type { Hold } from "./hold.ts";

/** Fields of one data event or reply, in wire order, such as `{ stdout: ["a"], stderr: ["b"] }`. */
export type Fields = Record<string, unknown>;

/** Sends one data event. The promise settles when the receivers can take more: await it, or lose back-pressure. */
export type Emit = (fields: Fields) => void | Promise<void>;

/** The encoding of one task. stdout and stderr arrive in chunks that may split lines and UTF-8 sequences anywhere. */
export interface Encoding {
  stdout(chunk: Uint8Array): void | Promise<void>;
  stderr(chunk: Uint8Array): void | Promise<void>;
  /** Lines that have ended so far, of one that looks for them anyway. */
  readonly lines?: number;
  /** Both streams have ended. Flushes what is left; the fields it returns go into the reply of a synchronous encoder. */
  end(): Fields | Promise<Fields>;
}

/** The task that is encoded. */
export interface About {
  /** `api: sandbox/command@pid`, once there is output. */
  readonly name: string;
  /** Tells the operator at once what goes wrong in its encoding: a line of the log, which says whose it is. */
  tell(text: string): void;
  /** What it may hold of its output, and what of that is lost. */
  readonly hold: Hold;
}

/** Rejects {@link Encoding.end}: what of the output is lost. The operator has been told. */
export class OutputLost extends Error {
  constructor(message: string) {
    super(message);
    this.name = "OutputLost";
  }
}

/** Where the output of one task goes as it is. */
export interface Bytes {
  /** The promise settles when it can take more. Once nobody reads it takes all, and drops it. */
  write(chunk: Uint8Array): void | Promise<void>;
  /** What is not read yet is not waited for any more. */
  drop(): void;
}

/** What such output is, for who gets it. */
export interface File {
  /** Media type. */
  readonly type: string;
  readonly name?: string;
}

export interface Encoder {
  readonly name: string;
  /** true: the reply comes at the end and carries the fields of `end()`; false: reply at once, then data events. */
  readonly synchronous: boolean;
  /** Checks options at boot. Returns one message per problem, each naming the option. */
  check(opts: Record<string, unknown>): string[];
  /** What a config says, in the encoder's terms, and what of it means nothing here. @param directory the config's */
  adapt?(
    opts: Record<string, unknown>,
    directory: string,
  ): { readonly opts: Record<string, unknown>; readonly notices: string[] };
  begin(opts: Record<string, unknown>, emit: Emit, about: About): Encoding;
}

/** As tasks use it: one that lives elsewhere answers later. */
export interface TaskEncoder extends Pick<Encoder, "name" | "synchronous"> {
  check(opts: Record<string, unknown>): string[] | Promise<string[]>;
  /** Throwing, or rejecting, refuses the start. */
  begin(opts: Record<string, unknown>, emit: Emit, about: About): Encoding | Promise<Encoding>;
}
