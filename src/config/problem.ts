import { indented } from "../visible.ts";

/** One thing wrong (or worth knowing) in a config, told with the place it stands. */
export interface Problem {
  /** The file, as the user named it. */
  file: string;
  /** JSON path of the culprit, such as `sandboxes[0].commands[2].exec.cmdpath`; "" is the whole file. */
  path: string;
  /** What was found, what was expected, and what to do. */
  message: string;
}

/** Every problem of one load or compile, at once: the user fixes them all in one go. */
export class ConfigError extends Error {
  constructor(
    readonly problems: readonly Problem[],
    /** What would be otherwise than the configs have it, besides. */
    readonly notices: readonly Problem[] = [],
  ) {
    super(problems.map(problemLine).join("\n"));
    this.name = "ConfigError";
  }
}

/** For people: `file: place: message`; what is about a file as a whole has no place. Only its first line is not indented. */
export const problemLine = ({ file, path, message }: Problem): string =>
  indented([file, path, message].filter((part) => part !== "").join(": "));
