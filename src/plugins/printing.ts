/**
 * What a plugin prints: it is for people, and goes to standard error. Standard output has what a subcommand tells programs, such as
 * the lines of `run` and the messages of `mcp`.
 */
import imported, { Console } from "node:console";
import { keepConsole } from "../printed.ts";

/** Of the console, besides log and its like: the runtime writes these where it likes. */
const OTHERS = [
  ...["assert", "clear", "count", "countReset", "dir", "dirxml", "group", "groupCollapsed"],
  ...["groupEnd", "table", "time", "timeEnd", "timeLog", "trace"],
] as const;

/** In the thread of a plugin, before that is loaded. */
export function printToErrors(): void {
  Object.defineProperty(process, "stdout", { get: () => process.stderr });
  Object.defineProperty(Bun, "stdout", { value: Bun.stderr });
  keepConsole(console.error.bind(console));
  let made: Pick<Console, (typeof OTHERS)[number]> | undefined;
  const other = (name: (typeof OTHERS)[number], said: readonly unknown[]): void => {
    // Not before it is wanted: streams take tens of milliseconds to be there.
    made ??= new Console(process.stderr);
    Reflect.apply(made[name], made, said);
  };
  for (const name of OTHERS) console[name] = (...said: unknown[]) => other(name, said);
  console.write = (...said) => {
    process.stderr.write(Buffer.concat(said.map((one) => Buffer.from(one as string))));
    return said.length;
  };
  // Another object than the global one.
  Object.assign(imported, console);
}
