/** How much a history keeps: `--history-max`. */
import { parseSize } from "../plan/size.ts";

export interface Limits {
  readonly tasks: number;
  /** Of the file, without what waits to be written to it. */
  readonly bytes: number;
  readonly days: number;
}

export const LIMITS: Limits = { tasks: 10_000, bytes: 64 << 20, days: 90 };

/** A file of less has hardly room for itself. */
const LEAST_BYTES = 1 << 20;
const FORM =
  "expected limits such as 10000,64M,90d: tasks, bytes with K, M or G, and days, each at most once";

/** @throws TypeError, which is wrong usage */
export function parseLimits(text: string): Limits {
  const given: { -readonly [Key in keyof Limits]?: number } = {};
  for (const word of text.split(",")) {
    const [key, value] = limitOf(word.trim());
    const most = key === "tasks" ? 10_000_000 : key === "days" ? 36_500 : 2 ** 40;
    if (given[key] !== undefined || !(value >= 1 && value <= most))
      throw new TypeError(`--history-max ${text}: ${FORM}`);
    given[key] = value;
  }
  const limits = { ...LIMITS, ...given };
  if (limits.bytes >= LEAST_BYTES) return limits;
  throw new TypeError(`--history-max ${text}: a history takes 1M at least`);
}

/** None where it is none of these: that is too little of tasks. */
function limitOf(word: string): [keyof Limits, number] {
  const [, digits = "", unit = ""] = /^(\d{1,9})([dkmg]?)$/i.exec(word) ?? [];
  if (unit === "") return ["tasks", Number(digits)];
  if (unit.toLowerCase() === "d") return ["days", Number(digits)];
  return ["bytes", Number(parseSize(word))];
}
