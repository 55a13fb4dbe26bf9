/** One client of an importer: a session of its own, with events of its own, behind the connection that it shares with others. */
import type { Client, Session } from "../api/client.ts";

/** The connection, as far as its parties need it. */
export interface Host {
  readonly connected: boolean;
  readonly backlog: number;
  push(party: Party, event: string, data: unknown): void | Promise<void>;
}

export class Party implements Client {
  /** Numbers of the events that it has been told of, by name. */
  readonly events = new Map<string, number>();
  /** Handlers of the end by which it follows something. */
  kept = 0;
  #over = false;
  readonly #gone = new Set<() => void>();

  constructor(
    readonly host: Host,
    readonly session: Session,
  ) {}

  get connected(): boolean {
    return !this.#over && this.host.connected;
  }

  get backlog(): number {
    return this.host.backlog;
  }

  send(event: string, data: unknown): void | Promise<void> {
    if (this.connected) return this.host.push(this, event, data);
  }

  onClose(gone: () => void, keeps = true): () => void {
    // A new function each time: the same one may be registered twice.
    const once = (): void => gone();
    this.#gone.add(once);
    if (keeps) this.kept++;
    if (!this.connected) queueMicrotask(() => this.#gone.delete(once) && once());
    return () => {
      if (this.#gone.delete(once) && keeps) this.kept--;
    };
  }

  /** It is gone, or its connection. */
  gone(): void {
    this.#over = true;
    const callbacks = [...this.#gone];
    this.#gone.clear();
    for (const callback of callbacks) callback();
  }
}
