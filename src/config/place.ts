/** Where a culprit stands and what it looks like: the two things every problem tells. */

/** Receives one problem at a JSON path. */
export type Report = (path: string, message: string) => void;

/** The path of a member: `a.b`, or `a["b c"]` when the key is not a plain word. */
export function member(path: string, key: string): string {
  if (!/^[A-Za-z_$][\w$-]*$/.test(key)) return `${path}[${quoted(key)}]`;
  return path === "" ? key : `${path}.${key}`;
}

/** The path of a list's element. */
export const element = (path: string, index: number): string => `${path}[${index}]`;

/** A value in a few words; never recurses, so depth and size of what was found do not matter. */
export function excerpt(value: unknown): string {
  if (Array.isArray(value)) return `a list of ${value.length}`;
  if (typeof value === "string") return quoted(value);
  if (typeof value === "object" && value !== null) {
    const keys = Object.keys(value);
    const shown = keys.slice(0, 3).map((key) => cut(key, 20));
    return `an object {${shown.join(", ")}${keys.length > shown.length ? ", …" : ""}}`;
  }
  return String(value);
}

/** Text between double quotes, escaped as in JSON and cut to a readable length. */
export const quoted = (text: string): string => JSON.stringify(cut(text, 40));

function cut(text: string, length: number): string {
  return text.length > length ? `${text.slice(0, length)}…` : text;
}
