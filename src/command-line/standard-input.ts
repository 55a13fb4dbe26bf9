/** The standard input of this process, for a command to read: no faster than it does, and as much as it may. */
import { type Source, tooMuch } from "../api/source.ts";

export class StandardInput implements Source {
  #pieces: AsyncIterator<Uint8Array> | undefined;
  #most = Infinity;
  #taken = 0;
  #dropped = false;
  #wanted: PromiseWithResolvers<Uint8Array | undefined> | undefined;

  limit(most: number): void {
    this.#most = most;
  }

  async next(): Promise<Uint8Array | undefined> {
    if (this.#dropped) return undefined;
    this.#pieces ??= Bun.stdin.stream()[Symbol.asyncIterator]();
    const wanted = Promise.withResolvers<Uint8Array | undefined>();
    this.#wanted = wanted;
    const take = (result: IteratorResult<Uint8Array, unknown>): void =>
      wanted.resolve(result.done === true ? undefined : result.value);
    this.#pieces.next().then(take, wanted.reject);
    const piece = await wanted.promise;
    this.#taken += piece?.length ?? 0;
    if (this.#taken > this.#most) throw tooMuch(this.#most);
    return piece;
  }

  drop(): void {
    this.#dropped = true;
    this.#wanted?.resolve(undefined);
  }
}
