/** The sessions and tokens that an exporter has been told on a connection, by the numbers that they have there. None is ever taken back. */
import { SERVER_SESSION, type Session } from "../api/client.ts";
import { AfbError } from "../errors.ts";

const MOST_ID = 0xffff;
const USED_UP = 60_000;

export class Told {
  /** By identity: of two callers the kernel may tell apart users of one uuid, and the other binder could not. */
  readonly #sessions = new Map<Session, number>();
  readonly #uuids = new Set<string>([SERVER_SESSION.uuid]);
  readonly #tokens = new Map<string, number>();

  /** @param create the bytes that tell one */
  constructor(readonly create: (kind: "session" | "token", id: number, name: string) => Buffer) {}

  /** There are few numbers left: the next connection has all of them. */
  get isUsedUp(): boolean {
    return this.#size >= USED_UP;
  }

  /** There is none left. */
  get isFull(): boolean {
    return this.#size >= MOST_ID;
  }

  /** Its number. @param before gets what the other has to be told first. Throws AfbError where no number is left */
  session(session: Session, before: Buffer[]): number {
    const known = this.#sessions.get(session);
    if (known !== undefined) return known;
    const { uuid } = session;
    const isFree = session === SERVER_SESSION || !this.#uuids.has(uuid);
    const name = isFree ? uuid : crypto.randomUUID();
    this.#uuids.add(name);
    return this.#tell("session", this.#sessions, session, name, before);
  }

  /** Its number. @param before as above */
  token(text: string, before: Buffer[]): number {
    return this.#tokens.get(text) ?? this.#tell("token", this.#tokens, text, text, before);
  }

  get #size(): number {
    return Math.max(this.#sessions.size, this.#tokens.size);
  }

  #tell<Key>(
    kind: "session" | "token",
    known: Map<Key, number>,
    key: Key,
    name: string,
    before: Buffer[],
  ): number {
    const id = known.size + 1;
    if (id > MOST_ID) throw new AfbError("busy", "too many sessions on one connection: try again");
    before.push(this.create(kind, id, name));
    known.set(key, id);
    return id;
  }
}
