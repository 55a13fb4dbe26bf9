/**
 * Numbers of JSON as they are written. A double holds about 16 digits and knows no way of writing: 64-bit counters and ids are
 * common, and `1.50` is not the text `1.5`. So a number that JavaScript would write otherwise is kept as a `JSON.rawJSON`
 * object, which JSON.stringify writes back as it was.
 */

/** A number as it is written. */
export interface Written {
  readonly rawJSON: string;
}

declare global {
  interface JSON {
    /** ES2026, https://tc39.es/proposal-json-parse-with-source/; not yet in TypeScript's library. */
    rawJSON(text: string): Written;
    isRawJSON(value: unknown): value is Written;
  }
}

/** What may be a number that is written otherwise than JavaScript does: the reviver below takes five times as long. */
const SUSPECT = /\d{16}|\d[\d.]{16}|\d[eE][-+]?\d|\.\d*0(?!\d)|0\.0{6}|(?:^|[[,:\s])-0(?![\d.])/;

/** As JSON.parse, but for numbers that it would change. @throws SyntaxError */
export function parseExact(text: string): unknown {
  if (!SUSPECT.test(text)) return JSON.parse(text);
  return JSON.parse(text, (_key: string, value: unknown, context?: { source?: string }) => {
    const source = context?.source;
    if (typeof value !== "number" || source === undefined || String(value) === source) return value;
    return JSON.rawJSON(source);
  });
}

export const isWritten = (value: unknown): value is Written => JSON.isRawJSON(value);

/** Whether a number anywhere in the value is one as it is written. */
export function hasWritten(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return false;
  if (isWritten(value)) return true;
  for (const inner of Array.isArray(value) ? value : Object.values(value))
    if (hasWritten(inner)) return true;
  return false;
}

/** The value with doubles for all numbers: for who reckons with them. @param most for those that are larger */
export function toDoubles(value: unknown, most = Infinity): unknown {
  if (!hasWritten(value)) return value;
  return doubles(value, most);
}

function doubles(value: unknown, most: number): unknown {
  if (typeof value !== "object" || value === null) return value;
  if (isWritten(value)) return Math.max(-most, Math.min(Number(value.rawJSON), most));
  if (Array.isArray(value)) return value.map((inner) => doubles(inner, most));
  // fromEntries defines keys: one named __proto__ is a key like any other.
  return Object.fromEntries(
    Object.entries(value).map(([key, inner]) => [key, doubles(inner, most)]),
  );
}

/** The longest number and the largest exponent that are compared digit by digit: beyond, it would take too long. */
const MOST_DIGITS = 400;

/** A number that is no double, between the two that are next to it: of these, what JavaScript writes for them counts. */
export interface Between {
  readonly nearest: number;
  /** On its other side. */
  readonly next: number;
  readonly whole: boolean;
}

/** Where a written number lies; undefined when it is the one that JavaScript writes for the double. */
export function between({ rawJSON: text }: Written): Between | undefined {
  const nearest = Number(text);
  const exact = decimal(text);
  const side = exact && Number.isFinite(nearest) ? compare(exact, decimal(String(nearest))) : 1;
  if (side === 0) return undefined;
  const whole = exact !== undefined && isWhole(exact);
  return { nearest, next: neighbour(nearest, side), whole };
}

interface Decimal {
  readonly digits: bigint;
  /** Of ten. */
  readonly exponent: number;
}

function decimal(text: string): Decimal | undefined {
  const [, sign = "", whole = "0", fraction = "", power = "0"] =
    /^(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/.exec(text) ?? [];
  const exponent = Number(power) - fraction.length;
  if (whole.length + fraction.length > MOST_DIGITS || Math.abs(exponent) > MOST_DIGITS)
    return undefined;
  return { digits: BigInt(`${sign}${whole}${fraction}`), exponent };
}

function compare(a: Decimal, b: Decimal | undefined): number {
  if (b === undefined) return 1;
  const [left, right] = aligned(a, b);
  return left < right ? -1 : left > right ? 1 : 0;
}

/** Both in units of the smaller power of ten. */
function aligned(a: Decimal, b: Decimal): [bigint, bigint] {
  const least = Math.min(a.exponent, b.exponent);
  const inUnits = ({ digits, exponent }: Decimal) => digits * 10n ** BigInt(exponent - least);
  return [inUnits(a), inUnits(b)];
}

/** As people reckon, with the digits that JavaScript writes: 0.3 is three times 0.1, though not of the doubles. */
export function isMultiple(value: number, step: number): boolean {
  if (Number.isSafeInteger(value) && Number.isSafeInteger(step)) return value % step === 0;
  const [a, b] = [decimal(String(value)), decimal(String(step))];
  if (!a || !b) return false;
  const [left, right] = aligned(a, b);
  return left % right === 0n;
}

const isWhole = ({ digits, exponent }: Decimal): boolean =>
  exponent >= 0 || digits % 10n ** BigInt(-exponent) === 0n;

/** The next double above, or below where `side` is negative. */
function neighbour(value: number, side: number): number {
  if (value === 0) return side > 0 ? Number.MIN_VALUE : -Number.MIN_VALUE;
  const view = new DataView(new ArrayBuffer(8));
  view.setFloat64(0, value);
  const away = value > 0 === side > 0;
  view.setBigInt64(0, view.getBigInt64(0) + (away ? 1n : -1n));
  return view.getFloat64(0);
}
