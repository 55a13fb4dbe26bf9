/** JSON of others, looked at before it is believed. */

export type Json = Readonly<Record<string, unknown>>;

/** A number as it is written, where JavaScript would write it otherwise: a double has some 16 digits, and ids have more. */
interface Written {
  readonly rawJSON: string;
}

/** ES2026. Where a browser has none, such numbers become doubles. */
const { rawJSON, isRawJSON } = JSON as unknown as {
  readonly rawJSON?: (text: string) => Written;
  readonly isRawJSON?: (value: unknown) => boolean;
};

const isWritten = (value: unknown): value is Written => isRawJSON?.(value) === true;

export const isObject = (value: unknown): value is Json =>
  typeof value === "object" && value !== null && !Array.isArray(value) && !isWritten(value);

export const objectOf = (value: unknown): Json => (isObject(value) ? value : {});
export const listOf = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : []);
export const textOf = (value: unknown): string | undefined =>
  typeof value === "string" ? value : undefined;
export const numberOf = (value: unknown): number | undefined =>
  typeof value === "number" ? value : isWritten(value) ? Number(value.rawJSON) : undefined;
export const textsOf = (value: unknown): string[] =>
  listOf(value).filter((one) => typeof one === "string");

/** What may be a number that JavaScript would write otherwise: looking at each takes several times as long. */
const SUSPECT = /\d{16}|\d[\d.]{16}|\d[eE][-+]?\d|\.\d*0(?!\d)|0\.0{6}|(?:^|[[,:\s])-0(?![\d.])/;

/** undefined where it is none. Numbers stay as they are written. */
export function parseJson(text: string): unknown {
  try {
    return SUSPECT.test(text) ? JSON.parse(text, asWritten) : JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

export const inOneLine = (value: unknown): string =>
  typeof value === "string" ? value : (JSON.stringify(value) ?? "");

function asWritten(_key: string, value: unknown, about?: { readonly source?: string }): unknown {
  const source = about?.source;
  if (typeof value !== "number" || source === undefined || String(value) === source) return value;
  return rawJSON?.(source) ?? value;
}
