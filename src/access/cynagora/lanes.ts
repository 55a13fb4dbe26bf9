/** Questions in flight: so many of each peer, and the rest of it waits, in order. Whoever floods the service makes only itself wait. */

const MOST = 64;

interface Lane<One> {
  readonly running: Set<One>;
  readonly waiting: Set<One>;
}

export class Lanes<One> {
  readonly #lanes = new Map<string, Lane<One>>();

  /** @param begin called once for each that has entered, as soon as its turn has come */
  constructor(
    readonly begin: (one: One) => void,
    readonly most = MOST,
  ) {}

  enter(peer: string, one: One): void {
    const lane = this.#lanes.get(peer) ?? { running: new Set(), waiting: new Set() };
    this.#lanes.set(peer, lane);
    if (lane.running.size >= this.most) {
      lane.waiting.add(one);
      return;
    }
    lane.running.add(one);
    this.begin(one);
  }

  /** It is over, or its turn is not wanted any more: others come. */
  leave(peer: string, one: One): void {
    const lane = this.#lanes.get(peer);
    if (!lane) return;
    lane.waiting.delete(one);
    if (!lane.running.delete(one)) return;
    const [next] = lane.waiting;
    if (next !== undefined) {
      lane.waiting.delete(next);
      lane.running.add(next);
      this.begin(next);
    } else if (lane.running.size === 0) this.#lanes.delete(peer);
  }

  /** It does not begin any more. */
  drop(peer: string, one: One): void {
    this.#lanes.get(peer)?.waiting.delete(one);
  }
}
