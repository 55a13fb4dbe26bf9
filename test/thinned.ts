/**
 * A matrix of tests, whole in CI. Elsewhere, where who changes the code waits for it, each of its rows is tried in one of the columns,
 * and in different ones where rows are neighbours: for what hardly differs by column, such as whose user the server has.
 */

/** @param row counts the rows @returns whether it is tried in this one of the columns */
export const isTried = <T>(row: number, column: T, columns: readonly T[]): boolean =>
  process.env["CI"] !== undefined || columns[row % columns.length] === column;
