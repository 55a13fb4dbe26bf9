/** When something was, by the clock of the browser. */

/**
 * With its day, unless that is today; alike in all languages, and without a formatter of the browser's, which is slow the first time
 * (see text.ts).
 */
export function timeOf(ms: number, now = Date.now()): string {
  const at = new Date(ms);
  const time = clockOf(at);
  return dayOf(at) === dayOf(new Date(now)) ? time : `${dayOf(at)} ${time}`;
}

/** With its thousandths, and without its day. */
export function momentOf(ms: number): string {
  const at = new Date(ms);
  return `${clockOf(at)}.${String(at.getMilliseconds()).padStart(3, "0")}`;
}

const clockOf = (at: Date): string =>
  [at.getHours(), at.getMinutes(), at.getSeconds()].map(inTwoDigits).join(":");

const dayOf = (at: Date): string =>
  [at.getFullYear(), at.getMonth() + 1, at.getDate()].map(inTwoDigits).join("-");

const inTwoDigits = (value: number): string => String(value).padStart(2, "0");
