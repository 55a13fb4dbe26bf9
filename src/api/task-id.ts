/**
 * Names of tasks that no other has, also not one of an earlier server: 9 letters for the time in ms, 6 that tell tasks of one ms
 * apart. Short, safe in a URL and in a file name, and sorted they are in the order in which they were made, also where the clock of
 * a board begins anew with each boot: they go on behind the last one that a history has.
 */

/** Of Crockford: in the order of ASCII, and none that is easily taken for another. */
const LETTERS = "0123456789abcdefghjkmnpqrstvwxyz";
const TIME = 9;
const TAIL = 6;
const TAILS = 32 ** TAIL;

export const TASK_ID = new RegExp(`^[${LETTERS}]{${TIME + TAIL}}$`);

export class TaskIds {
  #time = 0;
  #tail = 0;

  /** @param now epoch ms */
  constructor(readonly now: () => number = Date.now) {}

  next(): string {
    const at = this.now();
    // The clock may have been set back: time goes on all the same.
    if (at > this.#time) this.#begin(at);
    else this.#tail++;
    return written(this.#time, TIME) + written(this.#tail, TAIL);
  }

  /**
   * Those that come sort behind that one, of an earlier server. What is no id of a task is nothing to go on behind. They do not count
   * on from it: the last tasks of a server that was killed may be in no history, and have their ids all the same.
   */
  continueAfter(id: string): void {
    if (!TASK_ID.test(id)) return;
    const time = read(id.slice(0, TIME));
    if (time >= this.#time) this.#begin(time + 1);
  }

  /** Any of the first half, so that there is room behind it. */
  #begin(time: number): void {
    this.#time = time;
    this.#tail = Math.floor(Math.random() * (TAILS / 2));
  }
}

const read = (text: string): number =>
  [...text].reduce((number, letter) => number * 32 + LETTERS.indexOf(letter), 0);

function written(number: number, length: number): string {
  let text = "";
  for (let left = number; text.length < length; left = Math.floor(left / 32))
    text = (LETTERS[left % 32] ?? "") + text;
  return text;
}
