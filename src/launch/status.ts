/**
 * The one pipe on which all supervisors tell what becomes of their launches: a record says of which. One reader for all is
 * what makes a launch cheap, and no end of file has to be waited for. Only supervisors have an end of it, since it is closed
 * before anything of a sandbox runs; each record is one write(2), which pipe(7) does not mix with others.
 */
import { readSync } from "node:fs";
import { RECORD_AT, RECORD_SIZE } from "../../ffi/launcher/layout.ts";
import { isReadable, moveFd, pipe, setNonBlocking } from "../../ffi/libc.ts";

/** Cuts what comes into records. */
export class Records {
  #rest = new Uint8Array();

  *push(chunk: Uint8Array): Generator<Uint8Array> {
    const bytes = Buffer.concat([this.#rest, chunk]);
    let offset = 0;
    for (; bytes.length - offset >= RECORD_SIZE; offset += RECORD_SIZE)
      yield bytes.subarray(offset, offset + RECORD_SIZE);
    this.#rest = Uint8Array.from(bytes.subarray(offset));
  }
}

const whose = (record: Uint8Array): number =>
  new DataView(record.buffer, record.byteOffset, RECORD_SIZE).getUint32(RECORD_AT.from, true);

/** Of the first launch; 0 is nobody's. */
const FIRST = 1;
const MOST = 0xffff_ffff;

type Listener = (record: Uint8Array) => void;

export class StatusPipe {
  /** For supervisors. */
  readonly end: number;
  readonly #fd: number;
  readonly #records = new Records();
  /** By number of the launch. */
  readonly #listeners = new Map<number, Listener>();
  #next: number;
  readonly #chunk = Buffer.alloc(16 * RECORD_SIZE);

  /** @param next the number of the first launch. @throws CError */
  constructor(next = FIRST) {
    this.#next = next;
    const [fd, end] = pipe();
    // Whoever reads first has it, the stream or #drain: nobody waits for what the other has.
    setNonBlocking(fd);
    this.#fd = fd;
    this.end = moveFd(end);
    void this.#read();
  }

  /** @returns the number of a launch: what is told under it comes to `take` until {@link forget} */
  listen(take: Listener): number {
    while (this.#listeners.has(this.#next)) this.#count();
    const number = this.#next;
    this.#count();
    this.#listeners.set(number, take);
    return number;
  }

  forget(number: number): void {
    this.#listeners.delete(number);
  }

  #count(): void {
    this.#next = this.#next === MOST ? FIRST : this.#next + 1;
  }

  /** Once it resolves, all that was told before is heard. */
  async settled(): Promise<void> {
    // What the stream has read already is heard in this turn of the event loop.
    await new Promise((resolve) => setImmediate(resolve));
    this.#drain();
  }

  async #read(): Promise<void> {
    // This process has an end of it too, so it never ends.
    for await (const chunk of Bun.file(this.#fd).stream()) this.#take(chunk);
  }

  #drain(): void {
    while (isReadable(this.#fd))
      this.#take(this.#chunk.subarray(0, readSync(this.#fd, this.#chunk)));
  }

  #take(chunk: Uint8Array): void {
    for (const record of this.#records.push(chunk)) this.#listeners.get(whose(record))?.(record);
  }
}

let made: StatusPipe | undefined;

/** That of this process. @throws CError where it cannot be made */
export function statusPipe(): StatusPipe {
  return (made ??= new StatusPipe());
}
