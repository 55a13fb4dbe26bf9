/**
 * Names of tasks that no other has, also not one of an earlier server: 9 letters for the time in ms, 6 that tell tasks of one ms
 * apart. Short, safe in a URL and in a file name, and sorted they are in the order in which they were made, by this process at
 * least: after a restart the clock of a board may begin anew.
 */

/** Of Crockford: in the order of ASCII, and none that is easily taken for another. */
const LETTERS = "0123456789abcdefghjkmnpqrstvwxyz";
const TIME = 9;
const TAIL = 6;
const TAILS = 32 ** TAIL;

export const TASK_ID = new RegExp(`^[${LETTERS}]{${TIME + TAIL}}$`);

/** A maker of ids. @param now epoch ms */
export function taskIds(now: () => number = Date.now): () => string {
  let time = 0;
  let tail = 0;
  return () => {
    const at = now();
    // The clock may have been set back: time goes on all the same.
    if (at > time) [time, tail] = [at, Math.floor(Math.random() * (TAILS / 2))];
    else tail++;
    return written(time, TIME) + written(tail, TAIL);
  };
}

function written(number: number, length: number): string {
  let text = "";
  for (let left = number; text.length < length; left = Math.floor(left / 32))
    text = (LETTERS[left % 32] ?? "") + text;
  return text;
}
