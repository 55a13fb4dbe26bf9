/** Bytes as documents write them: hexadecimal, with texts in quotes, and `(+N)` for N zeros. */
export function hex(text: string): Buffer {
  const parts = text.matchAll(/"((?:[^"\\]|\\.)*)"|\(\+(\d+)\)|([0-9a-f]{2})|(\S)/g);
  return Buffer.concat(
    [...parts].map(([all, quoted, zeros, byte]) => {
      if (quoted !== undefined) return Buffer.from(JSON.parse(`"${quoted}"`) as string);
      if (zeros !== undefined) return Buffer.alloc(Number(zeros));
      if (byte !== undefined) return Buffer.from(byte, "hex");
      throw new Error(`no bytes: ${all}`);
    }),
  );
}
