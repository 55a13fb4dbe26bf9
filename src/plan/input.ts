/** `stdin` of a config: what a command may read there. */
import type { Command } from "../config/command-schema.ts";
import type { Plan } from "./plan.ts";
import type { Report } from "./report.ts";
import { parseSize } from "./size.ts";

const USUAL = 16 << 20;
const MOST = 1n << 30n;

/** Without a word of it stdin is empty. */
export function compileInput(
  { stdin, maxinput, pty = false, webhook }: Command,
  path: string,
  report: Report,
): Pick<Plan, "input"> {
  if (stdin !== "body") {
    if (maxinput !== undefined)
      report.problem(
        `${path}.maxinput`,
        'is for a command with "stdin": "body"; add that, or take it away',
      );
    return {};
  }
  // The schema has seen that it is a size.
  const size = maxinput === undefined ? BigInt(USUAL) : (parseSize(maxinput) ?? 0n);
  if (size < 1n || size > MOST)
    report.problem(`${path}.maxinput`, `found ${maxinput}: from 1 byte to 1G`);
  if (pty !== false)
    report.problem(`${path}.stdin`, "a command with a pty has nothing to read: keep one of both");
  if (webhook)
    report.problem(
      `${path}.stdin`,
      "the body that a webhook signs has the arguments: keep one of both",
    );
  return { input: Number(size) };
}
