/** Puts a server into a place, and looks what becomes of it. */
import type { User } from "../served.ts";
import { type Place, within } from "./place.ts";
import type { Room } from "./room.ts";
import { type Row, rowOf } from "./seen.ts";

/** ms; a guard against hanging. */
const LIMIT = 60_000;
/** Nothing of whoever runs the tests; and where these run in a container, a place that is made is as if it did not. */
const ENVIRONMENT = { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", container: "" };

export async function look(place: Place, user: User, room: Room): Promise<Row> {
  const { root = room.path, env, serve = ["--port", "0"] } = place;
  const script = ["sh", `${root}/look.sh`, `${root}/spawnbox`, `${root}/configs`, ...serve];
  const output = await outputOf([...within(place, user), ...script], env);
  return rowOf(place.name, user, output);
}

/** All that a command prints. */
export async function outputOf(
  command: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<string> {
  const child = Bun.spawn([...command], {
    cwd: "/",
    env: { ...ENVIRONMENT, ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const guard = setTimeout(() => child.kill("SIGKILL"), LIMIT);
  const [output, errors] = await Promise.all([child.stdout.text(), child.stderr.text()]);
  clearTimeout(guard);
  return output + errors;
}

/** Looks into all of them, two at a time; each can be awaited. */
export function lookAll(
  places: readonly (readonly [Place, User])[],
  room: Room,
): ReadonlyMap<string, Promise<Row>> {
  const rows = new Map<string, Promise<Row>>();
  const turns: Promise<unknown>[] = [Promise.resolve(), Promise.resolve()];
  places.forEach(([place, user], i) => {
    const before = turns[i % turns.length];
    const row = Promise.resolve(before).then(() => look(place, user, room));
    // Awaited, and so told, by its test.
    turns[i % turns.length] = row.catch(() => {});
    rows.set(keyOf(place.name, user), row);
  });
  return rows;
}

export const keyOf = (place: string, user: User): string => `${place}, ${user}`;
