/**
 * Errors that a plugin throws where nobody can catch them: in a timer, or in a promise that it forgets. They would end
 * the server, and with it the tasks of everybody; they are logged instead. All other errors end it as before.
 */
import { serverLog } from "../log.ts";

const files = new Set<string>();

/** From now on what strays from this module is logged. */
export function guardStrays(file: string): void {
  if (files.size === 0) {
    process.on("uncaughtException", stray);
    process.on("unhandledRejection", stray);
  }
  files.add(file);
}

function stray(error: unknown): void {
  const stack = error instanceof Error ? (error.stack ?? "") : "";
  const culprit = [...files].find((file) => stack.includes(file));
  // This server throws nothing but errors; they have a stack.
  if (culprit === undefined && error instanceof Error) {
    console.error(error);
    process.exit(1);
  }
  serverLog.for("")(
    "error",
    `plugin ${culprit ?? "?"}: an error that it did not catch: ${String(error)}`,
  );
}
