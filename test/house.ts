/**
 * Whether the house is in order, for `npm run check`: imports lead from a room to those below it, no file imports itself by way of
 * others, and nothing that is shipped imports a test. Says what is not, and fails.
 */
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";

const root = join(import.meta.dir, "..");

/** From the top to the bottom: what a room may import stands after it. In one line: rooms that know nothing of each other. */
const ROOMS: readonly (readonly string[])[] = [
  ["main"],
  ["make"],
  ["cli"],
  ["serve"],
  ["command-line"],
  ["manual"],
  ["guide"],
  ["install", "boot", "doctor"],
  ["service", "client"],
  ["rpc", "fleet"],
  ["server"],
  ["mcp"],
  ["access", "history", "audit", "metrics"],
  ["api"],
  ["plugins"],
  ["encoders", "launch"],
  ["plan"],
  ["config"],
  ["words"],
  // The page: it knows nothing of the rest but what any client is told.
  ["console"],
  ["ffi"],
];

/** What a file stands for that is in no folder: the program, its subcommands, a client for others, or words that all rooms speak. */
const SINGLE: Readonly<Record<string, string>> = {
  "main.ts": "main",
  "subcommands.ts": "cli",
  "client.ts": "client",
};

export type Imports = ReadonlyMap<string, readonly string[]>;

/** Of each file what it imports, types too: paths from the root of the project. */
export function importsOf(folder: string, rooms: readonly string[]): Imports {
  const files = rooms.flatMap((room) =>
    readdirSync(join(folder, room), { recursive: true, encoding: "utf8" })
      .filter((file) => /\.tsx?$/.test(file) && !file.endsWith(".d.ts"))
      .map((file) => join(room, file)),
  );
  return new Map(
    files.map((file) => {
      const text = readFileSync(join(folder, file), "utf8");
      const found = text.matchAll(/(?:\bfrom|\bimport|\bimport\()\s*"(\.[^"]*\.tsx?)"/g);
      return [file, [...found].map(([, path = ""]) => join(dirname(file), path))];
    }),
  );
}

function roomOf(file: string): string {
  const [top = "", room = "", ...rest] = file.split("/");
  if (top === "src") return rest.length > 0 ? room : (SINGLE[room] ?? "words");
  return top;
}

const level = (room: string): number => ROOMS.findIndex((rooms) => rooms.includes(room));

/** Imports that lead up, or to a room beside. */
export function upwards(imports: Imports): string[] {
  return [...imports].flatMap(([file, targets]) =>
    targets.flatMap((target) => {
      const [from, to] = [roomOf(file), roomOf(target)];
      if (from === to) return [];
      if (level(from) < 0) return [`${file}: the house has no room ${from}: see test/house.ts`];
      const where = level(to) < 0 ? "which is no room of the house" : `which is not below ${from}`;
      return level(to) > level(from) ? [] : [`${file} imports ${target}, of ${to}, ${where}`];
    }),
  );
}

/** Circles, each told once: Tarjan's strongly connected components. */
export function circles(imports: Imports): string[][] {
  const found: string[][] = [];
  const index = new Map<string, number>();
  const low = new Map<string, number>();
  const open: string[] = [];
  const visit = (file: string): number => {
    const mine = index.size;
    index.set(file, mine);
    low.set(file, mine);
    open.push(file);
    for (const target of imports.get(file) ?? []) {
      if (!imports.has(target)) continue;
      const reached = index.has(target)
        ? open.includes(target)
          ? (index.get(target) ?? mine)
          : mine
        : visit(target);
      low.set(file, Math.min(low.get(file) ?? mine, reached));
    }
    if (low.get(file) === mine) {
      const circle = open.splice(open.indexOf(file));
      if (circle.length > 1 || imports.get(file)?.includes(file)) found.push(circle.sort());
    }
    return low.get(file) ?? mine;
  };
  for (const file of imports.keys()) if (!index.has(file)) visit(file);
  return found;
}

if (import.meta.main) {
  const imports = importsOf(root, ["src", "ffi"]);
  const wrong = [
    ...upwards(imports),
    ...circles(imports).map((files) => `a circle of imports: ${files.join(", ")}`),
  ];
  for (const line of wrong) console.error(line);
  console.log(
    wrong.length > 0
      ? `the house: ${wrong.length} to mend`
      : `the house: ${imports.size} files in order`,
  );
  process.exit(wrong.length > 0 ? 1 : 0);
}
