/** What the server tells its operator, on standard error: one line each, with a level that may differ per API. */

/** From what always matters to what only an investigation needs. */
export const LEVELS = ["error", "warning", "notice", "info", "debug"] as const;
export type Level = (typeof LEVELS)[number];

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
        this.write(`${level}: ${api === "" ? "" : `${api}: `}${oneLine(text)}`);
    };
  }
}

/** A caller chooses part of what is logged: it must not begin a line of its own, nor speak to the terminal. */
export function oneLine(text: string): string {
  // oxlint-disable-next-line no-control-regex
  return text.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g, (character) => {
    return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
  });
}

/** The log of this process. */
export const serverLog = new Log();
