/** What the program inside says on the console, line by line, between the lines of the kernel and of systemd. */
const MARK = "@@";

export type Said =
  | { readonly kind: "ok"; readonly name: string }
  | { readonly kind: "not ok"; readonly name: string; readonly why: string }
  /** This kernel or machine is not for it. */
  | { readonly kind: "skipped"; readonly name: string; readonly why: string }
  /** A moment, in seconds since the kernel started. */
  | { readonly kind: "time"; readonly name: string; readonly seconds: number }
  | { readonly kind: "done" };

export function format(said: Said): string {
  switch (said.kind) {
    case "ok":
      return `${MARK} ok ${said.name}`;
    case "not ok":
    case "skipped":
      return `${MARK} ${said.kind} ${said.name}: ${said.why.replaceAll(/\s+/g, " ").slice(0, 900)}`;
    case "time":
      return `${MARK} time ${said.seconds.toFixed(5)} ${said.name}`;
    case "done":
      return `${MARK} done`;
  }
}

export function parse(line: string): Said | undefined {
  const text = line.slice(line.indexOf(MARK) + MARK.length).trim();
  if (!line.includes(MARK)) return undefined;
  if (text === "done") return { kind: "done" };
  const [, seconds, moment] = /^time (\d+\.\d+) (.+)$/.exec(text) ?? [];
  if (moment !== undefined) return { kind: "time", name: moment, seconds: Number(seconds) };
  const [, kind, name, why = ""] = /^(not ok|skipped) (.+?): (.*)$/.exec(text) ?? [];
  if (name !== undefined) return { kind: kind === "skipped" ? "skipped" : "not ok", name, why };
  const [, ok] = /^ok (.+)$/.exec(text) ?? [];
  return ok === undefined ? undefined : { kind: "ok", name: ok };
}
