/** When something was, by the clock of the browser. */

/**
 * With its day, unless that is today; alike in all languages, and without a formatter of the browser's, which is slow the first time
 * (see text.ts).
 */
export function timeOf(ms: number, now = Date.now()): string {
  const at = new Date(ms);
  const time = [at.getHours(), at.getMinutes(), at.getSeconds()].map(inTwoDigits).join(":");
  return dayOf(at) === dayOf(new Date(now)) ? time : `${dayOf(at)} ${time}`;
}

const dayOf = (at: Date): string =>
  [at.getFullYear(), at.getMonth() + 1, at.getDate()].map(inTwoDigits).join("-");

const inTwoDigits = (value: number): string => String(value).padStart(2, "0");
