/** The part of a file that a request asks for: RFC 9110, section 14. */

export interface Range {
  /** The first byte. */
  readonly from: number;
  /** The byte behind the last. */
  readonly to: number;
}

/**
 * What the header Range means for `size` bytes; `none` when it asks for nothing that is there. undefined when the whole is
 * the answer, as a server may always give it: to several ranges, other units, and what cannot be read.
 */
export function rangeOf(header: string | null, size: number): Range | "none" | undefined {
  const match = /^bytes=(\d*)-(\d*)$/i.exec(header ?? "");
  const [, first = "", last = ""] = match ?? [];
  if (first === "" && last === "") return undefined;
  if (first === "") {
    const length = Math.min(Number(last), size);
    if (length > 0) return { from: size - length, to: size };
    // Of nothing, the last bytes are all of it, which no Content-Range can say.
    return Number(last) > 0 ? undefined : "none";
  }
  const from = Number(first);
  if (last !== "" && Number(last) < from) return undefined;
  if (from >= size) return "none";
  return { from, to: last === "" ? size : Math.min(Number(last) + 1, size) };
}

/** The header Content-Range. */
export const contentRange = (range: Range | "none", size: number): string =>
  `bytes ${range === "none" ? "*" : `${range.from}-${range.to - 1}`}/${size}`;
