/** Plans of which the kernel takes all, or none: what one trial tells is true of the others. */
import { HEADER_SIZE, OP } from "../../ffi/launcher/layout.ts";

/** Their operand is any name that has passed the check of the config, to the kernel: sethostname(2). */
const NAMES: ReadonlySet<number> = new Set([OP.HOSTNAME]);

const known = new WeakMap<Uint8Array, string>();

/** Equal for lists of ops that differ in names at most. */
export function alike(ops: Uint8Array): string {
  let key = known.get(ops);
  if (key === undefined) known.set(ops, (key = keyOf(ops)));
  return key;
}

function keyOf(ops: Uint8Array): string {
  const bytes = Buffer.from(ops.buffer, ops.byteOffset, ops.length);
  const parts = [bytes.toString("latin1", HEADER_SIZE - 4, HEADER_SIZE)];
  let from = HEADER_SIZE;
  for (let at = HEADER_SIZE; at < bytes.length;) {
    const size = bytes.readUInt32LE(at + 4);
    if (NAMES.has(bytes.readUInt32LE(at))) {
      // That there is one counts.
      parts.push(bytes.toString("latin1", from, at + 4));
      from = at + size;
    }
    at += size;
  }
  parts.push(bytes.toString("latin1", from));
  return parts.join("");
}
