/**
 * A matrix of tests, whole in CI. Elsewhere, where who changes the code waits for it, each of its rows is tried in one of the columns,
 * and in different ones where rows are neighbours: for what hardly differs by column, such as whose user the server has.
 */
import { test } from "bun:test";

/** @param row counts the rows @returns whether it is tried in this one of the columns */
export const isTried = <T>(row: number, column: T, columns: readonly T[]): boolean =>
  process.env["CI"] !== undefined || columns[row % columns.length] === column;

/**
 * Rows of a suite that is declared once for each column, in the order in which they are declared.
 * @returns declares the next one, as `test` does, where it is tried in this column
 */
export function rowsOf<T>(column: T, columns: readonly T[]) {
  let row = 0;
  return (name: string, run: () => Promise<unknown>, timeout?: number): void => {
    if (isTried(row++, column, columns)) test(name, run, timeout);
  };
}
