/**
 * Names that differ by case, such as `c` and `C`, are two; callers may write a name in any case as long as that says which one
 * they mean.
 */

/** The one of `names` that is `word`, or else the only one that is but for case. */
export function findCased(word: string, names: Iterable<string>): string | undefined {
  const sought = word.toLowerCase();
  const alike: string[] = [];
  for (const name of names) {
    if (name === word) return name;
    if (name.toLowerCase() === sought) alike.push(name);
  }
  return alike.length === 1 ? alike[0] : undefined;
}

/** A map that is looked up like that. */
export class Cased<T> {
  readonly #exact = new Map<string, T>();
  /** By name in lower case; undefined: there are several. */
  readonly #folded = new Map<string, T | undefined>();

  /** Of a name that is not there yet. */
  set(name: string, value: T): void {
    const key = name.toLowerCase();
    this.#exact.set(name, value);
    this.#folded.set(key, this.#folded.has(key) ? undefined : value);
  }

  has(name: string): boolean {
    return this.#exact.has(name);
  }

  get(name: string): T | undefined {
    return this.#exact.get(name) ?? this.#folded.get(name.toLowerCase());
  }

  values(): IterableIterator<T> {
    return this.#exact.values();
  }
}
