/**
 * Names of tools, and of buttons. Clients take letters, digits, `_` and `-`, and 64 of them: `demo/disk/usage` is `demo_disk_usage`.
 * What would be called like another has a hash behind it, both of them: a name never means one verb now and another after a reload.
 */

const LONGEST = 64;

/** By name, what is called so. @param keyOf `api/verb` */
export function named<Item>(
  items: readonly Item[],
  keyOf: (item: Item) => string,
): Map<string, Item> {
  const groups = Map.groupBy(items, (item) => plain(keyOf(item)));
  const found = new Map<string, Item>();
  for (const [name, alike] of groups) {
    const isClear = alike.length === 1 && name.length <= LONGEST;
    for (const item of alike) found.set(isClear ? name : distinct(name, keyOf(item)), item);
  }
  return found;
}

/** Of one that nobody can compare with the others: with a hash wherever another could be called like it. */
export const nameOf = (key: string): string =>
  plain(key) === key && key.length <= LONGEST ? key : distinct(plain(key), key);

const plain = (key: string): string => key.replace(/[^A-Za-z0-9_-]/g, "_");

function distinct(name: string, key: string): string {
  const hash = new Bun.CryptoHasher("sha256").update(key).digest("hex").slice(0, 8);
  return `${name.slice(0, LONGEST - hash.length - 1)}_${hash}`;
}
