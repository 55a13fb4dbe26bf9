/**
 * What a command prints, made safe to show: colours and styles of SGR (ECMA-48, 8.3.117, with the colours of xterm) become data,
 * every other sequence is left out, and what is left of controls becomes visible. Nothing here is markup: whoever shows it makes
 * texts of it.
 */

export interface Style {
  /** `c0` to `c15`, or `rgb(…)`. */
  readonly color?: string;
  readonly back?: string;
  readonly bold?: boolean;
  readonly dim?: boolean;
  readonly italic?: boolean;
  readonly underline?: boolean;
  readonly strike?: boolean;
  readonly inverse?: boolean;
}

export interface Piece {
  readonly text: string;
  readonly style: Style;
}

export const PLAIN: Style = {};

/**
 * A control sequence (its end may be missing, where a line was cut), a string such as a title or a link with what it says, or another escape.
 * The C1 forms too: some terminals obey them.
 */
const ESCAPE =
  // oxlint-disable-next-line no-control-regex
  /(?:\x1b\[|\x9b)([0-?]*)[ -/]*([@-~]?)|(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?|\x1b[ -/]*[0-~]?/g;
/** Controls, and what turns the direction of text around. */
const UNSEEN = /[\0-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;

const seen = (text: string): string =>
  text.replace(UNSEEN, (one) => {
    const code = one.charCodeAt(0);
    if (code < 0x20) return String.fromCharCode(0x2400 + code);
    if (code === 0x7f) return "\u2421";
    return `<U+${code.toString(16).toUpperCase().padStart(4, "0")}>`;
  });

/** A program that shows its progress writes one line again and again: the last of it counts. */
export const lastOf = (line: string): string => {
  const whole = line.replace(/\r+$/, "");
  return whole.slice(whole.lastIndexOf("\r") + 1);
};

/** Whether there is anything to do about a line. */
const isPlain = (line: string): boolean =>
  !/[\0-\x08\x0a-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/.test(line);

/** Without any style: for search, copies and files. */
export const plainOf = (line: string): string =>
  isPlain(line) ? line : seen(lastOf(line).replace(ESCAPE, ""));

/** @param before the style that the line before has left. */
export function parseLine(line: string, before: Style = PLAIN): { pieces: Piece[]; after: Style } {
  if (isPlain(line))
    return { pieces: line === "" ? [] : [{ text: line, style: before }], after: before };
  const pieces: Piece[] = [];
  const text = lastOf(line);
  let style = before;
  let at = 0;
  const push = (to: number): void => {
    if (to > at) pieces.push({ text: seen(text.slice(at, to)), style });
  };
  for (const found of text.matchAll(ESCAPE)) {
    push(found.index);
    at = found.index + found[0].length;
    if (found[2] === "m" && /^[\d;:]*$/.test(found[1] ?? "")) style = sgr(found[1] ?? "", style);
  }
  push(text.length);
  return { pieces, after: style };
}

/** What is behind a colon belongs to the number before it; programs write colours with semicolons, too. */
function sgr(parameters: string, before: Style): Style {
  const all = parameters.split(";").map((one) => one.split(":").map(numberOf));
  let style = before;
  for (let i = 0; i < all.length; i++) {
    const [code = 0, ...more] = all[i] ?? [];
    const place = COLORED[code];
    if (place !== undefined) {
      // Between the kind and three parts stands the space of colours, empty mostly.
      const parts = more[0] === 2 && more.length > 4 ? [2, ...more.slice(2)] : more;
      const behind = all.slice(i + 1).map(([one = 0]) => one);
      const [color, used] = extended(more.length > 0 ? parts : behind);
      if (more.length === 0) i += used;
      if (color !== undefined && place !== "") style = { ...style, [place]: color };
    } else style = code === 4 && more[0] === 0 ? simple(24, style) : simple(code, style);
  }
  return style;
}

const numberOf = (text: string): number => Math.min(Number(text), 999);

/** That of the line below a text is not shown. */
const COLORED: Readonly<Record<number, "color" | "back" | "">> = {
  38: "color",
  48: "back",
  58: "",
};

function simple(code: number, style: Style): Style {
  const { color: _, back: __, ...others } = style;
  if (code === 0) return PLAIN;
  if (code === 39) return { ...others, ...(style.back !== undefined && { back: style.back }) };
  if (code === 49) return { ...others, ...(style.color !== undefined && { color: style.color }) };
  if (code === 22) return { ...style, bold: false, dim: false };
  const named = SWITCHES[code];
  if (named) return { ...style, [named[0]]: named[1] };
  const [tens, ones] = [Math.floor(code / 10), code % 10];
  if (ones > 7) return style;
  if (tens === 3 || tens === 9) return { ...style, color: `c${ones + (tens === 9 ? 8 : 0)}` };
  if (tens === 4 || tens === 10) return { ...style, back: `c${ones + (tens === 10 ? 8 : 0)}` };
  return style;
}

const SWITCHES: Readonly<Record<number, readonly [keyof Style, boolean]>> = {
  1: ["bold", true],
  2: ["dim", true],
  3: ["italic", true],
  4: ["underline", true],
  7: ["inverse", true],
  9: ["strike", true],
  23: ["italic", false],
  24: ["underline", false],
  27: ["inverse", false],
  29: ["strike", false],
};

/** Behind 38 or 48: the colour, and how many numbers say it. */
function extended([kind, ...rest]: readonly number[]): [string | undefined, number] {
  if (kind === 5) return [indexed(rest[0] ?? 0), 2];
  if (kind !== 2) return [undefined, 1];
  const [red = 0, green = 0, blue = 0] = rest;
  return [rgb(red, green, blue), 4];
}

const rgb = (...parts: number[]): string =>
  `rgb(${parts.map((one) => Math.min(255, Math.max(0, one))).join(",")})`;

function indexed(n: number): string {
  if (n < 16) return `c${n}`;
  if (n > 255) return "c7";
  if (n > 231) return rgb(...Array<number>(3).fill(8 + (n - 232) * 10));
  const level = (value: number): number => (value === 0 ? 0 : 55 + value * 40);
  const cube = n - 16;
  return rgb(level(Math.floor(cube / 36)), level(Math.floor(cube / 6) % 6), level(cube % 6));
}
