/** Plain-text tables: the first column to the left, numbers to the right. */
export type Row = readonly string[];

export function table(title: string, columns: Row, rows: readonly Row[]): string {
  const all = [[title, ...columns], ...rows];
  const widths = all.reduce<number[]>(
    (most, row) => row.map((cell, i) => Math.max(most[i] ?? 0, cell.length)),
    [],
  );
  return all
    .map((row) =>
      row
        .map((cell, i) => (i === 0 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0)))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

export const ms = (value: number): string => `${value.toFixed(2)} ms`;
export const mib = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(1)} MiB`;
export const kib = (bytes: number): string => `${(bytes / 1024).toFixed(1)} KiB`;
