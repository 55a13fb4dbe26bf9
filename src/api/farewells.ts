/** Who is to be told once a client is gone: what stands behind {@link Client.onClose}. */

export class Farewells {
  readonly #all = new Set<() => void>();

  /**
   * Calls `gone` once, when they are told; soon, where the client is gone already.
   * @returns takes that back: false where there is nothing to take back any more
   */
  add(gone: () => void, isGone: boolean): () => boolean {
    // A new function each time: the same one may be registered twice.
    const once = (): void => gone();
    this.#all.add(once);
    if (isGone) queueMicrotask(() => this.#all.delete(once) && once());
    return () => this.#all.delete(once);
  }

  tell(): void {
    const all = [...this.#all];
    this.#all.clear();
    for (const one of all) one();
  }
}
