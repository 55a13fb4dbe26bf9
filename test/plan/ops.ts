/** What the launcher is told to do, as a test can read it: the inverse of src/plan/encode.ts, by ffi/launcher/layout.ts. */
import {
  HEADER_SIZE,
  MAGIC,
  OP,
  OP_HEADER_SIZE,
  type OpName,
  VERSION,
} from "../../ffi/launcher/layout.ts";

export interface DecodedOp {
  readonly name: OpName;
  readonly numbers: readonly bigint[];
  /** NUL-ended strings. */
  readonly strings: readonly string[];
  readonly data: Uint8Array;
}

export interface DecodedPlan {
  /** magic, version, size, clone(2) flags */
  readonly header: readonly number[];
  readonly ops: readonly DecodedOp[];
}

const names = new Map(Object.entries(OP).map(([name, code]) => [code as number, name as OpName]));

export function decodeOps(blob: Uint8Array): DecodedPlan {
  const view = new DataView(blob.buffer, blob.byteOffset, blob.byteLength);
  const word = (at: number) => view.getUint32(at, true);
  const ops: DecodedOp[] = [];
  for (let at = HEADER_SIZE; at < blob.length; at += word(at + 4)) {
    const [code, size, count, bytes] = [0, 4, 8, 12].map((i) => word(at + i)) as [
      number,
      number,
      number,
      number,
    ];
    const name = names.get(code);
    if (!name) throw new Error(`no op has the code ${code}`);
    const least = Math.ceil((OP_HEADER_SIZE + count * 8 + bytes) / 8) * 8;
    if (size !== least || at + size > blob.length)
      throw new Error(`${name}: size ${size} for ${count} numbers and ${bytes} bytes`);
    const from = at + OP_HEADER_SIZE;
    const numbers = Array.from({ length: count }, (_, i) => view.getBigUint64(from + i * 8, true));
    const data = blob.subarray(from + count * 8, from + count * 8 + bytes);
    const strings = Buffer.from(data).toString("utf8").split("\0").slice(0, -1);
    ops.push({ name, numbers, strings, data });
  }
  return { header: [0, 4, 8, 12].map(word), ops };
}

/** As `NAME number… "string"…`, one a line; programs by their bytes. */
export const written = (blob: Uint8Array): string[] =>
  decodeOps(blob).ops.map(({ name, numbers, strings, data }) => {
    const isProgram = ["SECCOMP", "SECCOMP_LISTENER", "VERDICTS"].includes(name);
    const texts = isProgram
      ? [`${data.length} bytes`]
      : strings.map((text) => JSON.stringify(text));
    return [name, ...numbers, ...texts].join(" ");
  });

/** An op as a test writes it: its name, its numbers, and its strings or bytes. */
export type WrittenOp = readonly [OpName, ...(number | bigint | string | Uint8Array)[]];

/** A plan that no policy makes: only what a test wants of the launcher. `flags`: CLONE_NEW… of clone(2). */
export function assembled(ops: readonly WrittenOp[], flags = 0): Uint8Array {
  const blobs = ops.map(([name, ...rest]) => {
    const numbers = rest.filter((one) => typeof one === "number" || typeof one === "bigint");
    const data = Buffer.concat(
      rest.flatMap((one) => {
        if (typeof one === "string") return [Buffer.from(`${one}\0`)];
        return one instanceof Uint8Array ? [one] : [];
      }),
    );
    const size = Math.ceil((OP_HEADER_SIZE + numbers.length * 8 + data.length) / 8) * 8;
    const blob = Buffer.alloc(size);
    [OP[name], size, numbers.length, data.length].forEach((word, i) =>
      blob.writeUInt32LE(word, i * 4),
    );
    numbers.forEach((one, i) =>
      blob.writeBigUInt64LE(BigInt.asUintN(64, BigInt(one)), OP_HEADER_SIZE + i * 8),
    );
    data.copy(blob, OP_HEADER_SIZE + numbers.length * 8);
    return blob;
  });
  const size = HEADER_SIZE + blobs.reduce((sum, { length }) => sum + length, 0);
  const header = Buffer.alloc(HEADER_SIZE);
  [MAGIC, VERSION, size, flags].forEach((word, i) => header.writeUInt32LE(word >>> 0, i * 4));
  return Buffer.concat([header, ...blobs]);
}
