/** Where the events of this server are overheard: by traces, and by the `events` actions of configs. */

/** Called in the turn in which the event is sent; must neither throw nor take long. */
export type Listener = (event: string, data: unknown) => void;

export class Hub {
  readonly #listeners = new Set<Listener>();

  /** Tells an event `api/verb`. Costs nothing where nobody listens: a task may send a million. */
  emit(event: string, data: unknown): void {
    if (this.#listeners.size === 0) return;
    for (const listener of this.#listeners) listener(event, data);
  }

  /** Returns a function that takes the listener back. */
  listen(listener: Listener): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }
}
