/** JSON of others, looked at before it is believed. */

export type Json = Readonly<Record<string, unknown>>;

export const isObject = (value: unknown): value is Json =>
  typeof value === "object" && value !== null && !Array.isArray(value);

export const objectOf = (value: unknown): Json => (isObject(value) ? value : {});
export const listOf = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : []);
export const textOf = (value: unknown): string | undefined =>
  typeof value === "string" ? value : undefined;
export const numberOf = (value: unknown): number | undefined =>
  typeof value === "number" ? value : undefined;
export const textsOf = (value: unknown): string[] =>
  listOf(value).filter((one) => typeof one === "string");

/** undefined where it is none. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

export const inOneLine = (value: unknown): string =>
  typeof value === "string" ? value : (JSON.stringify(value) ?? "");
