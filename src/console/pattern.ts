const patterns = new Map<string, RegExp>();

/** Of a text with `{}` in it, each for whatever is there. */
export function patternOf(text: string): RegExp {
  const known = patterns.get(text);
  if (known) return known;
  const parts = text.split("{}").map((part) => part.replace(/[^\w\s]/g, "\\$&"));
  const made = new RegExp(`^${parts.join("(.+?)")}$`);
  patterns.set(text, made);
  return made;
}
