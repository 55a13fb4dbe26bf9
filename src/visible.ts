/**
 * Text from outside, for a terminal, a journal or a file that people read: what such a reader would obey instead of showing
 * it stands there as `\u001b`, as in JSON. So JSON text means the same afterwards.
 *
 * That is: control characters (C0, DEL, C1, both with ESC and as single bytes what ECMA-48 calls control functions), line and
 * paragraph separators, what turns the direction of text around (UAX #9) or makes a name look like another while it
 * takes no room, and halves of surrogate pairs. Joiners (U+200C, U+200D) are letters of scripts and stay.
 */
const OBEYED =
  // oxlint-disable-next-line no-control-regex
  /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\p{Cs}\u{e0000}-\u{e007f}]/gu;

/** One line, whatever the text has in it. */
export const visible = (text: string): string => text.replace(OBEYED, escaped);

/** Lines and tabs stay. */
export const plainText = (text: string): string =>
  text.replace(OBEYED, (character) => (/[\n\t]/.test(character) ? character : escaped(character)));

/** Lines and tabs stay; no line begins with `<N>`, which is a priority to journald and to the kernel log (sd-daemon(3)). */
export const visibleLines = (text: string): string =>
  plainText(text).replace(/^<(?=\d)/gm, "\\u003c");

/** Lines of a text that is told in one: only the first begins where lines of the server do. */
export const indented = (text: string): string => text.replace(/\n(?!\s)/g, "\n  ");

function escaped(character: string): string {
  let text = "";
  for (let i = 0; i < character.length; i++)
    text += `\\u${character.charCodeAt(i).toString(16).padStart(4, "0")}`;
  return text;
}
