/** What others can make this server say as often as they like is said once in a while. */
const EVERY = 1_000;

/** A function that prints a line, unless it has just printed one. */
export function seldom(print: (line: string) => void): (line: string) => void {
  let last = -Infinity;
  return (line) => {
    const now = performance.now();
    if (now - last < EVERY) return;
    last = now;
    print(line);
  };
}
