/** A queue that is fair: peers take turns, in each peer its connections, and each connection's entries are in order. */

/** Who asks: of one peer, over one of its connections. */
export interface Asker {
  /** Such as an address, or a user of this machine. */
  readonly peer: string;
  /** Known by identity. */
  readonly connection: object;
}

export class Turns<Entry> {
  /** Whose turn comes next is first, in either map. None is empty. */
  readonly #peers = new Map<string, Map<object, Entry[]>>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  push({ peer, connection }: Asker, entry: Entry): void {
    const connections = this.#peers.get(peer) ?? new Map<object, Entry[]>();
    this.#peers.set(peer, connections);
    const entries = connections.get(connection);
    if (entries) entries.push(entry);
    else connections.set(connection, [entry]);
    this.#size++;
  }

  /** The next entry, left where it is. */
  peek(): Entry | undefined {
    for (const connections of this.#peers.values())
      for (const entries of connections.values()) return entries[0];
    return undefined;
  }

  /** The next entry, which is taken out; undefined where there is none. */
  shift(): Entry | undefined {
    for (const [peer, connections] of this.#peers) {
      for (const [connection, entries] of connections) {
        const entry = entries.shift();
        this.#size--;
        // To the end of the row: a map keeps the order in which keys were added.
        connections.delete(connection);
        if (entries.length > 0) connections.set(connection, entries);
        this.#peers.delete(peer);
        if (connections.size > 0) this.#peers.set(peer, connections);
        return entry;
      }
    }
    return undefined;
  }

  /** Takes an entry out of its place; nothing when it is not there any more. */
  remove({ peer, connection }: Asker, entry: Entry): void {
    const connections = this.#peers.get(peer);
    const entries = connections?.get(connection);
    const at = entries?.indexOf(entry) ?? -1;
    if (!connections || !entries || at < 0) return;
    entries.splice(at, 1);
    this.#size--;
    if (entries.length === 0) connections.delete(connection);
    if (connections.size === 0) this.#peers.delete(peer);
  }
}
