/** Records of the permission service: fields or a RecordError, the same however the bytes are cut, and written as they were read. */
import { parseExpiry } from "../../src/access/cynagora/expiry.ts";
import {
  encodeRecord,
  MOST_RECORD,
  RecordError,
  RecordReader,
} from "../../src/access/cynagora/record.ts";
import { cutting, readAlike, readPieces } from "./cuts.ts";
import { spoil } from "./random.ts";
import { demand, type Json, type Random, type Target } from "./target.ts";

function stream(random: Random): Uint8Array {
  const id = (): string => String(random.below(100));
  const records = random.list(8, () => {
    const expiry = random.pick(["", " -", " 59m59s", " 10", " forever", " -1h", " 1y2w3d4h5m6s7"]);
    const field = random.pick(["", "a\\ b", "\\\\", "\\\n", "é", "x", "\\n", " "]);
    return random.pick([
      `yes ${id()}${expiry}\n`,
      `no ${id()}${expiry}\n`,
      `clear ${id()}\n`,
      `done 1 ${id()}\n`,
      `${field.repeat(random.below(random.pick([3, 30, 1500])))}\n`,
      random.pick(["\n", "error invalid\n", "yes\n", "\r\n"]),
    ]);
  });
  const bytes = Buffer.from(records.join(""));
  return random.once(2) ? spoil(random, bytes, 4) : bytes;
}

function read(bytes: Uint8Array, cuts: readonly number[]): unknown[] {
  const reader = new RecordReader();
  const look = () =>
    demand(reader.held <= MOST_RECORD + 1, "it holds more than a record", reader.held);
  return readPieces(reader, bytes, cuts, look, RecordError);
}

export const records: Target = {
  name: "records",
  make: cutting(stream),
  check(input: Json) {
    for (const one of readAlike(input, read)) {
      if (typeof one === "string") continue;
      const fields = one as string[];
      for (const field of fields) {
        const { ms } = parseExpiry(field);
        demand(ms >= 0, "an answer is good for less than no time", field, ms);
      }
      let back: unknown[];
      try {
        back = read(encodeRecord(...fields), [7]);
      } catch (error) {
        // Of bytes that are no text, and of NUL.
        if (error instanceof RecordError) continue;
        throw error;
      }
      demand(Bun.deepEquals(back, [fields]), "it is not written as it was read", fields, back);
    }
  },
};
