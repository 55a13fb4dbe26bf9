/** One client of an importer: a session of its own, with events of its own, behind the connection that it shares with others. */
import type { Client, Session } from "../api/client.ts";
import { Farewells } from "../api/farewells.ts";

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
  readonly #farewells = new Farewells();

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
    if (keeps) this.kept++;
    const takeBack = this.#farewells.add(gone, !this.connected);
    return () => {
      if (takeBack() && keeps) this.kept--;
    };
  }

  /** It is gone, or its connection. */
  gone(): void {
    this.#over = true;
    this.#farewells.tell();
  }
}
