/** A queue that is fair: peers take turns, in each peer its connections, and each connection's entries are in order. */

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

  connection(connection: object): number {
    return this.#connections.get(connection) ?? this.#turn;
  }

  /** From now on it waits: it counts from here where it is new. */
  comes({ peer, connection }: Asker): void {
    if (!this.#peers.has(peer)) this.#remember(peer, this.#turn);
    if (!this.#connections.has(connection)) this.#connections.set(connection, this.#turn);
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

export class Turns<Entry> {
  /** None is empty. */
  readonly #peers = new Map<string, Map<object, Entry[]>>();
  #size = 0;

  constructor(readonly served: Served = new Served()) {}

  get size(): number {
    return this.#size;
  }

  push(asker: Asker, entry: Entry): void {
    const { peer, connection } = asker;
    this.served.comes(asker);
    const connections = this.#peers.get(peer) ?? new Map<object, Entry[]>();
    this.#peers.set(peer, connections);
    const entries = connections.get(connection);
    if (entries) entries.push(entry);
    else connections.set(connection, [entry]);
    this.#size++;
  }

  /** The next entry, left where it is. */
  peek(): Entry | undefined {
    return this.#next()?.entries[0];
  }

  /** The next entry, which is taken out and counts as served; undefined where there is none. */
  shift(): Entry | undefined {
    const next = this.#next();
    if (!next) return undefined;
    const { entries, ...asker } = next;
    const entry = entries.shift();
    this.#size--;
    this.served.serve(asker);
    this.#tidy(asker, entries);
    return entry;
  }

  /** Takes an entry out of its place; nothing when it is not there any more. */
  remove(asker: Asker, entry: Entry): void {
    const entries = this.#peers.get(asker.peer)?.get(asker.connection);
    const at = entries?.indexOf(entry) ?? -1;
    if (!entries || at < 0) return;
    entries.splice(at, 1);
    this.#size--;
    this.#tidy(asker, entries);
  }

  /** Of the peers the one, and of its connections the one, that was served longest ago. */
  #next(): (Asker & { entries: Entry[] }) | undefined {
    const peer = least(this.#peers.keys(), (one) => this.served.peer(one));
    const connections = peer === undefined ? undefined : this.#peers.get(peer);
    if (peer === undefined || !connections) return undefined;
    const connection = least(connections.keys(), (one) => this.served.connection(one));
    const entries = connection && connections.get(connection);
    return connection && entries && { peer, connection, entries };
  }

  #tidy({ peer, connection }: Asker, entries: readonly Entry[]): void {
    const connections = this.#peers.get(peer);
    if (entries.length === 0) connections?.delete(connection);
    if (connections?.size === 0) this.#peers.delete(peer);
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
