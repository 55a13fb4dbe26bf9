/** One check after the other, each told on the console as it ends. */
import { readFileSync } from "node:fs";
import { format, parse, type Said } from "../protocol.ts";

export function say(said: Said): void {
  console.log(format(said));
}

/** A hung check must not hold the others back; everything is slow in an emulated machine. */
const LIMIT = 300_000;

export async function check(
  name: string,
  body: () => Promise<void> | void,
  limit = LIMIT,
): Promise<void> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => {
    late.reject(new Error(`still not done after ${limit / 1000} s`));
  }, limit);
  try {
    await Promise.race([body(), late.promise]);
    say({ kind: "ok", name });
  } catch (error) {
    say({ kind: "not ok", name, why: error instanceof Error ? error.message : String(error) });
  } finally {
    clearTimeout(timer);
  }
}

/** Runs checks in another process, and tells theirs under the name of its surroundings. */
export async function checksIn(surroundings: string, command: string[]): Promise<void> {
  await check(`${surroundings}: the checks come to their end`, async () => {
    const child = Bun.spawn(command, { stdio: ["ignore", "pipe", "pipe"] });
    const [output, errors] = await Promise.all([child.stdout.text(), child.stderr.text()]);
    let count = 0;
    for (const said of output.split("\n").map(parse)) {
      if (said === undefined || said.kind === "done" || said.kind === "seen") continue;
      say({ ...said, name: `${surroundings}: ${said.name}` });
      count++;
    }
    if ((await child.exited) !== 0 || count === 0) throw new Error(`${output} ${errors}`);
  });
}

/** Seconds since the kernel started. */
export function uptime(): number {
  return Number(readFileSync("/proc/uptime", "utf8").split(" ")[0]);
}
