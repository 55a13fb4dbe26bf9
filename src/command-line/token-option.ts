/** The token that `spawnbox call` presents. */
import { readFileSync } from "node:fs";
import type { Options } from "../manual/options.ts";
import { UsageError } from "./usage.ts";

export const TOKEN = {
  "token-file": {
    argument: "FILE",
    text: "presents the token in the first line of a file; without it, that of SPAWNBOX_TOKEN, if set",
    path: "file",
  },
  token: {
    argument: "TOKEN",
    text: "presents this token; other users can see it, as all of a command line",
  },
} as const satisfies Options;

/** --token, else the file, else SPAWNBOX_TOKEN: what stands on a command line, every user of the machine can read. */
export function tokenOf(
  option: string | undefined,
  file: string | undefined,
  env: Readonly<Record<string, string | undefined>>,
): string | undefined {
  if (option !== undefined && file !== undefined) {
    throw new UsageError("give either --token or --token-file, not both");
  }
  const token = option ?? (file === undefined ? env["SPAWNBOX_TOKEN"] || undefined : read(file));
  // Else it could not stand in a header; and the error of that would show it.
  if (token !== undefined && !/^[\x21-\x7e]+$/.test(token)) {
    throw new UsageError("the token is not one line of visible ASCII characters");
  }
  return token;
}

function read(file: string): string {
  try {
    // The first line: so the whole output of `spawnbox token` will do.
    return readFileSync(file, "utf8").split("\n", 1)[0]?.trim() ?? "";
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new UsageError(`--token-file ${file}: ${reason}`);
  }
}
