/** Patterns of names, as the arguments of `monitor/trace` have them: `*` is any text, `?` any character, `!(a|b)` all others. */

export type Glob = (name: string) => boolean;

/** Matches without regard to case, in time linear in pattern times name, whatever they are. */
export function globOf(pattern: string): Glob {
  const not = /^!\(([^()]*)\)$/.exec(pattern);
  if (not) {
    const others = (not[1] ?? "").split("|").map(globOf);
    return (name) => !others.some((one) => one(name));
  }
  const sought = pattern.toLowerCase();
  return sought === "*" ? () => true : (name) => matches(sought, name.toLowerCase());
}

/** Of several stars only the last one met is ever tried again, further on: what came before it has its place. */
function matches(pattern: string, name: string): boolean {
  let [p, n] = [0, 0];
  let last: { star: number; at: number } | undefined;
  while (n < name.length) {
    if (pattern[p] === "*") {
      last = { star: p++, at: n };
    } else if (pattern[p] === "?" || pattern[p] === name[n]) {
      p++;
      n++;
    } else if (last) {
      p = last.star + 1;
      n = ++last.at;
    } else return false;
  }
  while (pattern[p] === "*") p++;
  return p === pattern.length;
}
