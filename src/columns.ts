/** Text in columns of a terminal: a character of Chinese, or an emoji, takes two, one that is set upon another none. */

/** Of text that nothing in a terminal obeys (visible.ts). */
export const columns = (text: string): number => Bun.stringWidth(text);

/** Blanks behind it, up to so many columns. */
export const padded = (text: string, width: number): string =>
  text + " ".repeat(Math.max(0, width - columns(text)));
