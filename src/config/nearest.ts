/** The word a user probably meant: shared by unknown keys, enumerations, variables and arguments. */

/** Longer words are not compared: the cost is quadratic and nobody mistypes a word of that length. */
const MAX_LENGTH = 64;

/** The candidate with the fewest edits from `word`, or undefined when none is close enough to be a slip. */
export function nearest(word: string, candidates: Iterable<string>): string | undefined {
  if (word.length > MAX_LENGTH) return undefined;
  const sought = word.toLowerCase();
  let best: string | undefined;
  // A third of the letters may be wrong, and not all there are: more would suggest unrelated words.
  let limit = Math.min(word.length, Math.max(1, Math.floor(word.length / 3)) + 1);
  for (const candidate of candidates) {
    if (Math.abs(candidate.length - word.length) >= limit) continue;
    const edits = distance(sought, candidate.toLowerCase());
    if (edits < limit) {
      best = candidate;
      limit = edits;
    }
  }
  return best;
}

/** "; did you mean `x`?" ready to append, or nothing. */
export function suggestion(word: string, candidates: Iterable<string>): string {
  const found = nearest(word, candidates);
  return found === undefined ? "" : `; did you mean \`${found}\`?`;
}

/** Edits from `a` to `b`, where swapping two neighbours counts as one (optimal string alignment). */
function distance(a: string, b: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1] ? 0 : 1;
      let edits = Math.min(at(last, j) + 1, at(row, j - 1) + 1, at(last, j - 1) + same);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        edits = Math.min(edits, at(beforeLast, j - 2) + 1);
      }
      row.push(edits);
    }
    beforeLast = last;
    last = row;
  }
  return at(last, b.length);
}

const at = (row: readonly number[], index: number): number => row[index] ?? Infinity;
