/**
 * What failed, out of the output of suites, boots and fuzzing, and what was said of it there: `.ci/run` ends with that, since of a
 * long output the last part is what is looked at.
 */

/** So many are told with their reasons, the others by name. */
const MOST = 10;
/** Lines of a reason, and characters of a line. */
const LINES = 15;
const WIDTH = 300;

interface Failure {
  readonly name: string;
  readonly reason: string[];
}

/** Behind these nothing is said any more of what was before. */
const BOUNDARY = /^(\((pass|skip|todo)\) |(ok|skipped) |── |bun test v)/;
const UNHANDLED = /^# Unhandled error between tests$/;

/** Of Bun's tests the reason is before the name, of a check in a machine it is behind it. */
export function failuresIn(output: string): Failure[] {
  const found = new Map<string, Failure>();
  let file = "";
  let step = "";
  let said: string[] = [];
  /** Whether it is known why this run of suites fails. */
  let known = false;
  let last: Failure | undefined;
  const fails = (name: string, reason: readonly string[]) => {
    known = true;
    said = [];
    last = { name: cut(name), reason: shortened(reason) };
    // At the end of a run its failures are listed once more, without reasons.
    if (!found.has(name)) found.set(name, last);
  };
  for (const line of output.split("\n")) {
    const [, suite] = /^(\S+\.test\.ts):$/.exec(line) ?? [];
    const [, title] = /^── (.+)$/.exec(line) ?? [];
    const [, files] = /^failed, or ended before its end: (.+)$/.exec(line) ?? [];
    if (suite !== undefined) file = suite;
    if (title !== undefined) [step, known] = [title, false];
    if (line.startsWith("(fail) ")) fails(file ? `${line}  ${file}` : line, said);
    // Of a time-out.
    else if (line.startsWith("  ^ ") && last && said.length === 0) last.reason.push(line);
    else if (line.startsWith("not ok ")) fails(line, []);
    else if (step !== "" && line === `${step}: failed`) fails(line, said);
    else if (/^[\w-]+: (hangs|failed|SIG\w+); again with: /.test(line)) fails(line, said);
    else if (files !== undefined) {
      if (!known) fails(line, said);
      [known, said] = [false, []];
    } else if (/^-{20,}$/.test(line) && said.some((one) => UNHANDLED.test(one))) {
      // It stands between two such lines.
      if (said.some((one) => one === line)) fails(`an error between the tests of ${file}`, said);
      else said.push(line);
    } else if (suite !== undefined || BOUNDARY.test(line)) said = [];
    else if (line.trim() !== "") said.push(line);
  }
  return [...found.values()];
}

const cut = (line: string): string => (line.length > WIDTH ? `${line.slice(0, WIDTH)}…` : line);

/** From the line of the error on, and what is pointed at there, up to where that is; else the last ones. */
function shortened(said: readonly string[]): string[] {
  const lines = said.filter((line) => !UNHANDLED.test(line) && !/^-{20,}$/.test(line)).map(cut);
  if (lines.length <= LINES) return lines;
  const error = lines.findLastIndex((line) => /^\w*error\b.*:/i.test(line));
  if (error < 0) return lines.slice(-LINES);
  const part = lines.slice(Math.max(0, error - 2));
  if (part.length <= LINES) return part;
  const place = part.find((line, i) => i >= LINES - 2 && /^ +at /.test(line));
  return [...part.slice(0, LINES - 2), "…", ...(place === undefined ? [] : [place])];
}

/** Nothing where nothing failed. */
export function told(output: string): string {
  const failures = failuresIn(output);
  const [first, others] = [failures.slice(0, MOST), failures.slice(MOST)];
  const told = first.map(({ name, reason }) =>
    [name, ...reason.map((line) => `    ${line}`)].join("\n"),
  );
  if (others.length > 0)
    told.push([`and ${others.length} more:`, ...others.map(({ name }) => name)].join("\n"));
  return told.join("\n\n");
}
