/**
 * A queue that is fair: peers take turns, in each peer its connections, and each connection's entries are in order. Connections
 * that have had no turn yet come every other time, in order: else who makes a new one for each request would keep those of its
 * peer waiting that ask for little, and they it.
 */

/** Who asks: of one peer, over one of its connections. */
export interface Asker {
  /** Such as an address, or a user of this machine. */
  readonly peer: string;
  /** Known by identity. */
  readonly connection: object;
}

/** Peers that are remembered; a forgotten one counts as one that has just come. */
const PEERS = 1024;

/**
 * Who was served when, counted in turns: who asks for little has waited longest whenever it asks, and is next, however many
 * others there are that ask again as soon as they have their answer. Nothing is saved up: once served, it is the last.
 */
export class Served {
  #turn = 0;
  readonly #peers = new Map<string, number>();
  readonly #connections = new WeakMap<object, number>();

  /** The turn in which a peer was served last; that of now where it is new. */
  peer(peer: string): number {
    return this.#peers.get(peer) ?? this.#turn;
  }

  /** undefined where it was never served. */
  connection(connection: object): number | undefined {
    return this.#connections.get(connection);
  }

  /** From now on the peer waits: it counts from here where it is new. */
  comes({ peer }: Asker): void {
    if (!this.#peers.has(peer)) this.#remember(peer, this.#turn);
  }

  serve({ peer, connection }: Asker): void {
    this.#turn++;
    this.#remember(peer, this.#turn);
    this.#connections.set(connection, this.#turn);
  }

  #remember(peer: string, turn: number): void {
    this.#peers.delete(peer);
    this.#peers.set(peer, turn);
    if (this.#peers.size <= PEERS) return;
    for (const oldest of this.#peers.keys()) {
      this.#peers.delete(oldest);
      return;
    }
  }
}

/** What waits of one peer. */
class Crowd<Entry> {
  /** Those that had a turn before, and those that had none, in the order in which they came. No connection has no entries. */
  readonly #known = new Map<object, Entry[]>();
  readonly #fresh = new Map<object, Entry[]>();
  /** Whose turn it is where there are both. */
  #freshIsNext = false;

  get empty(): boolean {
    return this.#known.size + this.#fresh.size === 0;
  }

  add(connection: object, entries: Entry[], served: Served): void {
    const known = served.connection(connection) !== undefined;
    (known ? this.#known : this.#fresh).set(connection, entries);
  }

  of(connection: object): Entry[] | undefined {
    return this.#known.get(connection) ?? this.#fresh.get(connection);
  }

  delete(connection: object): void {
    if (!this.#known.delete(connection)) this.#fresh.delete(connection);
  }

  /** The next: a fresh one, or of the others the one that was served longest ago. */
  next(served: Served): object | undefined {
    const [fresh] = this.#fresh.keys();
    if (fresh && (this.#freshIsNext || this.#known.size === 0)) return fresh;
    return least(this.#known.keys(), (one) => served.connection(one) ?? 0);
  }

  /** It has had its turn now: what it has besides waits among the others. */
  served(connection: object): void {
    this.#freshIsNext = this.#known.has(connection);
    const entries = this.#fresh.get(connection);
    if (!entries) return;
    this.#fresh.delete(connection);
    this.#known.set(connection, entries);
  }
}

export class Turns<Entry> {
  /** None is empty. */
  readonly #peers = new Map<string, Crowd<Entry>>();
  #size = 0;

  constructor(readonly served: Served = new Served()) {}

  get size(): number {
    return this.#size;
  }

  push(asker: Asker, entry: Entry): void {
    const { peer, connection } = asker;
    this.served.comes(asker);
    const crowd = this.#peers.get(peer) ?? new Crowd<Entry>();
    this.#peers.set(peer, crowd);
    const entries = crowd.of(connection);
    if (entries) entries.push(entry);
    else crowd.add(connection, [entry], this.served);
    this.#size++;
  }

  /**
   * The next entry of the peers whose next one is let in, taken out; it counts as served. undefined where there is none: who is
   * held back keeps no other peer waiting.
   */
  shift(lets: (entry: Entry) => boolean = () => true): Entry | undefined {
    const next = this.#next(lets);
    if (!next) return undefined;
    const { crowd, entries, ...asker } = next;
    const entry = entries.shift();
    this.#size--;
    crowd.served(asker.connection);
    this.served.serve(asker);
    this.#tidy(asker, crowd);
    return entry;
  }

  /** Takes an entry out of its place; nothing when it is not there any more. */
  remove(asker: Asker, entry: Entry): void {
    const crowd = this.#peers.get(asker.peer);
    const entries = crowd?.of(asker.connection);
    const at = entries?.indexOf(entry) ?? -1;
    if (!crowd || !entries || at < 0) return;
    entries.splice(at, 1);
    this.#size--;
    this.#tidy(asker, crowd);
  }

  /** Of those peers the one that was served longest ago, and its next connection. */
  #next(
    lets: (entry: Entry) => boolean,
  ): (Asker & { crowd: Crowd<Entry>; entries: Entry[] }) | undefined {
    const peers = [...this.#peers.keys()];
    if (peers.length > 1) peers.sort((a, b) => this.served.peer(a) - this.served.peer(b));
    for (const peer of peers) {
      const crowd = this.#peers.get(peer);
      const connection = crowd?.next(this.served);
      const entries = connection && crowd?.of(connection);
      const [entry] = entries ?? [];
      if (crowd && connection && entries && entry !== undefined && lets(entry))
        return { peer, connection, crowd, entries };
    }
    return undefined;
  }

  #tidy({ peer, connection }: Asker, crowd: Crowd<Entry>): void {
    if (crowd.of(connection)?.length === 0) crowd.delete(connection);
    if (crowd.empty) this.#peers.delete(peer);
  }
}

/** The first of those with the least number. */
function least<Item>(items: Iterable<Item>, of: (item: Item) => number): Item | undefined {
  let found: Item | undefined;
  let min = Infinity;
  for (const item of items) {
    const number = of(item);
    if (number >= min) continue;
    min = number;
    found = item;
  }
  return found;
}
