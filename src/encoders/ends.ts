/** How many lines end in some bytes: four bytes at a time, since all that any command prints passes here. */

const LF = 0x0a;
const LFS = 0x0a0a0a0a;
const ONES = 0x01010101;
const HIGHS = 0x80808080;

export function endsIn(chunk: Uint8Array): number {
  const { buffer, byteOffset, length } = chunk;
  let lines = 0;
  let at = 0;
  // Up to where words begin.
  for (const end = Math.min(length, (4 - (byteOffset & 3)) & 3); at < end; at++)
    if (chunk[at] === LF) lines++;
  if (at === length) return lines;
  const words = new Int32Array(buffer, byteOffset + at, (length - at) >> 2);
  for (let i = 0; i < words.length; i++) {
    // A byte that is 0 shows in its highest bit (Mycroft), and now and then one behind it that is not.
    const zero = (words[i] ?? 0) ^ LFS;
    if (((zero - ONES) & ~zero & HIGHS) === 0) continue;
    const start = at + 4 * i;
    for (let j = start; j < start + 4; j++) if (chunk[j] === LF) lines++;
  }
  for (at += 4 * words.length; at < length; at++) if (chunk[at] === LF) lines++;
  return lines;
}
