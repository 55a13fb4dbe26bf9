/** What the server tells its operator, on standard error: one line each, with a level that may differ per API. */
import { visible } from "./visible.ts";

/** From what always matters to what only an investigation needs. */
export const LEVELS = ["error", "warning", "notice", "info", "debug"] as const;
export type Level = (typeof LEVELS)[number];

/**
 * UTF-16 units of a text. A caller chooses part of it, and journald cuts a line at 48 KB (LineMax= of journald.conf(5)): what is
 * behind would be a line of its own, with the priority that it claims.
 */
const LONGEST = 4096;

/** The log of one API, or of the server itself. */
export type Logger = (level: Level, text: string) => void;

export class Log {
  #global: Level = "notice";
  /** By name in lower case: names of APIs have no case. */
  readonly #own = new Map<string, Level>();

  constructor(readonly write: (line: string) => void = (line) => console.error(line)) {}

  /** The level of an API; "" is the server's own, which an API without one follows. */
  level(api: string): Level {
    return this.#own.get(api.toLowerCase()) ?? this.#global;
  }

  set(api: string, level: Level): void {
    if (api === "") this.#global = level;
    else this.#own.set(api.toLowerCase(), level);
  }

  /** Whether a line of that level would be written: for texts that cost something to make. */
  enabled(api: string, level: Level): boolean {
    return LEVELS.indexOf(level) <= LEVELS.indexOf(this.level(api));
  }

  for(api: string): Logger {
    return (level, text) => {
      if (this.enabled(api, level))
        // A caller chooses part of what is logged: it must not begin a line of its own.
        this.write(visible(`${level}: ${api === "" ? "" : `${api}: `}${shortened(text)}`));
    };
  }
}

const shortened = (text: string): string =>
  text.length <= LONGEST
    ? text
    : `${text.slice(0, LONGEST)}… (${text.length - LONGEST} characters more)`;

/** The log of this process. */
export const serverLog = new Log();
