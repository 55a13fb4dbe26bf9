/** Content-Disposition (RFC 6266): whether a browser shows or saves, and under which name. */

/** Pictures, but none that can have scripts in them. */
const SHOWN = /^(?:image\/(?!.*(?:svg|xml))[^;]+|text\/plain)\s*(?:;|$)/i;

export function disposition(type: string, name?: string): string {
  const kind = SHOWN.test(type) ? "inline" : "attachment";
  if (name === undefined) return kind;
  // Old clients undo % in it, others \; nothing that any of them could take for the end of the text.
  const plain = name.toWellFormed().replaceAll(/[^\w .+,@()[\]#$&'!~^={}-]/g, "_");
  const own = `${kind}; filename="${plain}"`;
  return plain === name ? own : `${own}; filename*=UTF-8''${extended(name.toWellFormed())}`;
}

/** RFC 8187, section 3.2.1: encodeURIComponent leaves some as they are that are no attr-char. */
const extended = (text: string): string =>
  encodeURIComponent(text).replaceAll(
    /['()*]/g,
    (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`,
  );
