/** What the program inside says on the console, line by line, between the lines of the kernel and of systemd. */
import type { Row } from "../places/seen.ts";

const MARK = "@@";

export type Said =
  | { readonly kind: "ok"; readonly name: string }
  | { readonly kind: "not ok"; readonly name: string; readonly why: string }
  /** This kernel or machine is not for it. */
  | { readonly kind: "skipped"; readonly name: string; readonly why: string }
  /** A moment, in seconds since the kernel started. */
  | { readonly kind: "time"; readonly name: string; readonly seconds: number }
  /** Of a place: the host compares it with what is committed. */
  | { readonly kind: "seen"; readonly row: Row }
  | { readonly kind: "done" };

export function format(said: Said): string {
  switch (said.kind) {
    case "ok":
      return `${MARK} ok ${said.name}`;
    case "not ok":
    case "skipped":
      return `${MARK} ${said.kind} ${said.name}: ${said.why.replaceAll(/\s+/g, " ").slice(0, 900)}`;
    case "time":
      return `${MARK} time ${said.seconds.toFixed(5)} ${said.name}`;
    case "seen":
      return `${MARK} seen ${JSON.stringify(packed(said.row))}`;
    case "done":
      return `${MARK} done`;
  }
}

export function parse(line: string): Said | undefined {
  const text = line.slice(line.indexOf(MARK) + MARK.length).trim();
  if (!line.includes(MARK)) return undefined;
  if (text === "done") return { kind: "done" };
  if (text.startsWith("seen ")) return seen(text.slice("seen ".length));
  const [, seconds, moment] = /^time (\d+\.\d+) (.+)$/.exec(text) ?? [];
  if (moment !== undefined) return { kind: "time", name: moment, seconds: Number(seconds) };
  const [, kind, name, why = ""] = /^(not ok|skipped) (.+?): (.*)$/.exec(text) ?? [];
  if (name !== undefined) return { kind: kind === "skipped" ? "skipped" : "not ok", name, why };
  const [, ok] = /^ok (.+)$/.exec(text) ?? [];
  return ok === undefined ? undefined : { kind: "ok", name: ok };
}

/** The same sentence is mostly that of several profiles, and the console is slow. */
interface Packed {
  readonly place: string;
  readonly user: Row["user"];
  readonly start: string;
  readonly said: readonly string[];
  readonly cells: readonly (readonly [profile: string, said: number])[];
}

function packed({ place, user, cells, start }: Row): Packed {
  const said = [...new Set(Object.values(cells))];
  const numbers = Object.entries(cells).map(
    ([profile, text]) => [profile, said.indexOf(text)] as const,
  );
  return { place, user, start, said, cells: numbers };
}

/** Undefined: other words have come in between. */
function seen(text: string): Said | undefined {
  try {
    const { place, user, start, said, cells } = JSON.parse(text) as Packed;
    const all = Object.fromEntries(cells.map(([profile, n]) => [profile, said[n] ?? ""]));
    return { kind: "seen", row: { place, user, start, cells: all as Row["cells"] } };
  } catch {
    return undefined;
  }
}
