/**
 * Files of variables: what systemd.exec(5) says of EnvironmentFile=. A line is `NAME=value`; empty ones, and those that begin with
 * `#` or `;`, say nothing. A value may be in double quotes, where a backslash makes `"`, `\`, `$` and a backtick literal, or in
 * single quotes, where all is literal; without, a quote within it is itself, and a backslash makes the next character literal. A
 * backslash at the end of a line goes on with the next. Nothing is expanded, and there is no `export`.
 */

const NAME = /^[A-Za-z_][A-Za-z0-9_]*$/;
const MOST_VARIABLES = 1024;

/** @throws Error naming the line, and nothing of what is in it: it may be secret */
export function parseEnvFile(text: string): Map<string, string> {
  const found = new Map<string, string>();
  let line = 1;
  let at = 0;
  const wrong = (why: string): never => {
    throw new Error(`line ${line}: ${why}`);
  };
  while (at < text.length) {
    const begun = line;
    const end = lineEnd(text, at);
    const start = text.slice(at, end).trimStart();
    if (start === "" || start.startsWith("#") || start.startsWith(";")) {
      at = end + 1;
      line++;
      continue;
    }
    const equals = text.indexOf("=", at);
    const name = equals < 0 || equals > end ? "" : text.slice(at, equals).trim();
    if (!NAME.test(name)) wrong("expected NAME=value");
    const value = new Value(text, equals + 1);
    line += value.lines;
    at = value.end;
    if (value.open) {
      line = begun;
      wrong("a quote is not closed");
    }
    found.set(name, value.text);
    if (found.size > MOST_VARIABLES) wrong(`there are more than ${MOST_VARIABLES} variables`);
  }
  return found;
}

function lineEnd(text: string, from: number): number {
  const end = text.indexOf("\n", from);
  return end < 0 ? text.length : end;
}

/** One value, from behind its `=` to the end of its line. */
class Value {
  text = "";
  /** Behind the newline. */
  end: number;
  /** Newlines in it, that at its end included. */
  lines = 0;
  /** A quote is missing. */
  open = false;

  constructor(source: string, from: number) {
    let at = from;
    let quote = "";
    /** Nothing but quoted texts was there yet: another may begin, and blanks are none of the value. */
    let fresh = true;
    /** Behind that there may be blanks at the end. */
    let kept = 0;
    for (; at < source.length; at++) {
      const character = source[at] ?? "";
      if (character === "\n") this.lines++;
      if (character === "\n" && quote === "") break;
      if (fresh && quote === "" && /[ \t\r]/.test(character)) continue;
      if (character === quote) quote = "";
      else if (fresh && quote === "" && (character === '"' || character === "'")) quote = character;
      else if (character === "\\" && quote !== "'") {
        const next = source[++at] ?? "";
        fresh &&= quote !== "";
        if (next === "\n") this.lines++;
        else if (quote === '"' && !'"\\`$'.includes(next)) this.text += `\\${next}`;
        else this.text += next;
      } else {
        this.text += character;
        fresh &&= quote !== "";
        // A carriage return is of the line's end.
        if (quote === "" && /[ \t\r]/.test(character)) continue;
      }
      kept = this.text.length;
    }
    this.text = this.text.slice(0, kept);
    this.open = quote !== "";
    this.end = at + 1;
  }
}
