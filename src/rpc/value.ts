/** The values of RPC v3: their types by number, and what they are in JSON. */
import { parseForeign, TooManyValues } from "../json.ts";
import { RpcError, textBytes, textOf } from "./wire.ts";

export interface Value {
  /** One of {@link TYPE}, or a number that the sender has given a name. */
  readonly type: number;
  readonly bytes: Buffer;
}

export const TYPE = {
  opaque: 0xffff,
  bytes: 0xfffe,
  string: 0xfffd,
  json: 0xfffc,
  bool: 0xfffb,
  i8: 0xfffa,
  u8: 0xfff9,
  i16: 0xfff8,
  u16: 0xfff7,
  i32: 0xfff6,
  u32: 0xfff5,
  i64: 0xfff4,
  u64: 0xfff3,
  float: 0xfff2,
  double: 0xfff1,
  i16be: 0xfff0,
  u16be: 0xffef,
  i32be: 0xffee,
  u32be: 0xffed,
  i64be: 0xffec,
  u64be: 0xffeb,
  floatbe: 0xffea,
  doublebe: 0xffe9,
} as const;

/**
 * Most bytes of a value with its NUL that binders can send. They may take two more, but a packet of theirs with what they cannot
 * hand on would be lost without a word.
 */
export const MOST_VALUE = 65_527;

type Read = readonly [size: number, read: (bytes: Buffer) => number | bigint];

const NUMBERS: Readonly<Record<number, Read>> = {
  [TYPE.i8]: [1, (bytes) => bytes.readInt8()],
  [TYPE.u8]: [1, (bytes) => bytes.readUInt8()],
  [TYPE.i16]: [2, (bytes) => bytes.readInt16LE()],
  [TYPE.u16]: [2, (bytes) => bytes.readUInt16LE()],
  [TYPE.i32]: [4, (bytes) => bytes.readInt32LE()],
  [TYPE.u32]: [4, (bytes) => bytes.readUInt32LE()],
  [TYPE.i64]: [8, (bytes) => bytes.readBigInt64LE()],
  [TYPE.u64]: [8, (bytes) => bytes.readBigUInt64LE()],
  [TYPE.float]: [4, (bytes) => bytes.readFloatLE()],
  [TYPE.double]: [8, (bytes) => bytes.readDoubleLE()],
  [TYPE.i16be]: [2, (bytes) => bytes.readInt16BE()],
  [TYPE.u16be]: [2, (bytes) => bytes.readUInt16BE()],
  [TYPE.i32be]: [4, (bytes) => bytes.readInt32BE()],
  [TYPE.u32be]: [4, (bytes) => bytes.readUInt32BE()],
  [TYPE.i64be]: [8, (bytes) => bytes.readBigInt64BE()],
  [TYPE.u64be]: [8, (bytes) => bytes.readBigUInt64BE()],
  [TYPE.floatbe]: [4, (bytes) => bytes.readFloatBE()],
  [TYPE.doublebe]: [8, (bytes) => bytes.readDoubleBE()],
};

export const stringValue = (text: string): Value => ({
  type: TYPE.string,
  bytes: textBytes(text),
});

/** Bytes to which packets are padded. */
const ALIGNMENT = 8;

/**
 * A JSON text. Blanks behind it make its packet a multiple of 8, so that there is no padding behind that: receivers whose reading
 * ends between a packet and its padding take the padding for another packet, and where much is sent a reading may end anywhere.
 */
export function jsonValue(json: string): Value {
  const bytes = textBytes(json);
  const blanks = -bytes.length & (ALIGNMENT - 1);
  if (blanks === 0 || bytes.length + blanks > MOST_VALUE) return { type: TYPE.json, bytes };
  return { type: TYPE.json, bytes: textBytes(json + " ".repeat(blanks)) };
}

/** What of a value there is in JSON; bytes are base64. Throws RpcError, or a SyntaxError or TooManyValues where JSON is none. */
export function readValue({ type, bytes }: Value): unknown {
  switch (type) {
    case TYPE.json:
      return parseForeign(textOf(bytes, "a JSON value"));
    case TYPE.string:
      return textOf(bytes, "a string");
    case TYPE.bool:
      if (bytes.length !== 1) throw new RpcError("a boolean of another size");
      return bytes[0] !== 0;
    case TYPE.bytes:
    case TYPE.opaque:
      return bytes.toString("base64");
  }
  const number = NUMBERS[type];
  if (!number) throw new SyntaxError("a value is of a type that has no JSON");
  const [size, read] = number;
  if (bytes.length !== size) throw new RpcError("a number of another size");
  const value = read(bytes);
  return typeof value === "bigint" ? parseForeign(value.toString()) : value;
}

/** The one argument that values are: none, the value, or the list of them. Throws as {@link readValue} does. */
export function readValues(values: readonly Value[]): unknown {
  if (values.length < 2) return values[0] && readValue(values[0]);
  return values.map(readValue);
}

/** Whether an error says that a value could not be read, while the packet was right. */
export const isUnreadable = (error: unknown): error is Error =>
  error instanceof SyntaxError || error instanceof TooManyValues;
