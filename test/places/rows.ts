/** The rows that are committed: what was seen in each place, and stands on the page. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { User } from "../served.ts";
import type { Kind } from "./place.ts";
import { PROFILES, type Profile } from "./profiles.ts";
import type { Row } from "./seen.ts";

/** In it, any text: what is seen is written, instead of compared. */
export const WRITES = process.env["SPAWNBOX_PLACES_WRITE"] !== undefined;

const FILE = join(import.meta.dir, "rows.json");

/** A place on the page. Sentences are told once, and named by their numbers. */
interface File {
  readonly said: readonly string[];
  readonly places: readonly Entry[];
}
interface Entry {
  readonly kind: Kind;
  readonly place: string;
  readonly seen: Partial<Record<User, Numbers>>;
}
type Numbers = Readonly<Record<Profile | "start", number>>;

export interface Known extends Row {
  readonly kind: Kind;
}

export function readRows(): Known[] {
  const { said, places } = JSON.parse(readFileSync(FILE, "utf8")) as File;
  const text = (n: number): string => said[n] ?? "";
  return places.flatMap(({ kind, place, seen }) =>
    (Object.entries(seen) as [User, Numbers][]).map(([user, { start, ...cells }]) => ({
      ...{ kind, place, user, start: text(start) },
      cells: Object.fromEntries(
        PROFILES.map((profile) => [profile, text(cells[profile])]),
      ) as Known["cells"],
    })),
  );
}

/** Puts rows in the place of those of the same place and user. @param order names of all places of these kinds that there are */
export function writeRows(
  rows: readonly Known[],
  order: readonly string[],
  kinds: readonly Kind[],
): void {
  // What imitates a unit has the name of its option, too.
  const key = ({ kind, place, user }: Known) => `${kind}\0${place}\0${user}`;
  const fresh = new Map(rows.map((row) => [key(row), row]));
  const kept = readRows().filter(
    (row) => !fresh.has(key(row)) && (!kinds.includes(row.kind) || order.includes(row.place)),
  );
  // Those of other kinds stay as they are ordered.
  const ordered = new Set(rows.map(({ kind }) => kind));
  const rank = ({ kind, place }: Known) => (ordered.has(kind) ? order.indexOf(place) : 0);
  const all = [...kept, ...rows].toSorted(
    (a, b) => kindRank(a.kind) - kindRank(b.kind) || rank(a) - rank(b),
  );
  const said: string[] = [];
  const number = (text: string): number => {
    if (!said.includes(text)) said.push(text);
    return said.indexOf(text);
  };
  const places = [...Map.groupBy(all, ({ kind, place }) => `${kind}\0${place}`).values()].map(
    (of): Entry => ({
      kind: of[0]?.kind ?? "the machine",
      place: of[0]?.place ?? "",
      seen: Object.fromEntries(
        of
          .toSorted((a, b) => b.user.localeCompare(a.user))
          .map(({ user, cells, start }) => [
            user,
            {
              ...Object.fromEntries(PROFILES.map((profile) => [profile, number(cells[profile])])),
              start: number(start),
            },
          ]),
      ),
    }),
  );
  writeFileSync(FILE, `${JSON.stringify({ said, places }, null, 1)}\n`);
}

/** In the order of the page. */
export const KINDS: readonly Kind[] = [
  "the machine",
  "containers, as they are",
  "containers, imitated",
  "units, as they are",
  "unit options",
  "kernel settings",
  "limits",
  "file systems",
  "filters",
];
const kindRank = (kind: Kind): number => KINDS.indexOf(kind);
