/** A call that goes to some boards first, and to more only where that went well. */

/** So many boards, or a part of them. */
export interface Amount {
  readonly number: number;
  readonly isPercent: boolean;
}

/** @throws TypeError that says what is wrong */
export function parseAmount(text: string): Amount {
  const [, digits = "", percent = ""] = /^(\d{1,7}(?:\.\d{1,3})?)(%?)$/.exec(text) ?? [];
  const number = Number(digits);
  const isPercent = percent === "%";
  if (digits === "" || (isPercent ? number > 100 : !Number.isInteger(number)))
    throw new TypeError(`${text}: expected a number of boards, or a percentage`);
  return { number, isPercent };
}

/** `1,10%,100%`: how many boards have been called after each stage. @throws TypeError */
export function parseStages(text: string): Amount[] {
  const stages = text.split(",").map((one) => parseAmount(one.trim()));
  if (stages.some(({ number }) => number === 0))
    throw new TypeError(`${text}: each stage has some boards`);
  return stages;
}

/** Rounded up: a stage of a few percent has one board at least. */
const amountOf = ({ number, isPercent }: Amount, all: number): number =>
  Math.min(all, isPercent ? Math.ceil((number * all) / 100) : number);

/** The boards of each stage, none of which is empty. The last one has all that are left only where the stages say so. */
export function staged<Board>(boards: readonly Board[], stages: readonly Amount[]): Board[][] {
  let done = 0;
  return stages.flatMap((stage) => {
    const end = amountOf(stage, boards.length);
    const part = boards.slice(done, end);
    done = Math.max(done, end);
    return part.length > 0 ? [part] : [];
  });
}

/** Whether more have failed than may. @param called so many were called so far */
export function isTooMuch(failed: number, called: number, most: Amount): boolean {
  return most.isPercent ? failed * 100 > most.number * called : failed > most.number;
}
