/** What commands print: JSON values and lines, the same however the bytes are cut, and none lost. */
import type { Encoder } from "../../src/encoders/encoder.ts";
import type { Loss } from "../../src/encoders/hold.ts";
import { file } from "../../src/encoders/file.ts";
import { json } from "../../src/encoders/json.ts";
import { line } from "../../src/encoders/line.ts";
import { raw } from "../../src/encoders/raw.ts";
import { sync } from "../../src/encoders/sync.ts";
import { parseExact } from "../../src/numbers.ts";
import { chunks, feed } from "../encoders/feed.ts";
import { spoil } from "./random.ts";
import { demand, type Json, type Random, type Target } from "./target.ts";

interface Input {
  /** Hexadecimal. */
  bytes: string;
  cuts: number[];
  maxlen: number;
  maxdepth: number;
  /** Bytes that a task may hold. */
  buffer: number;
}

const WORDS = [
  ...[
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    '"',
    "\\",
    "\n",
    "\r\n",
    "\r",
    " ",
    "-",
    "1",
    "12.5e3",
    "0",
    "true",
    "null",
    "fals",
  ],
  ...[
    '{"k":[1,"x"]}',
    '"é\u{1f600}"',
    '"\\ud83d\\ude00"',
    '"\\u12"',
    "123456789012345678901",
    "1e999",
    '{"__proto__":1}',
    "\ufeff",
  ],
  // What only json-c reads.
  ...[
    "'",
    "'a\\'b'",
    ",}",
    ",]",
    "//",
    "/*",
    "*/",
    "/",
    "{a:",
    "NaN",
    "-Infinity",
    "TRUE",
    "007",
    "1.",
  ],
] as const;

function value(random: Random, depth: number): Json {
  switch (random.below(depth > 3 ? 4 : 6)) {
    case 0:
      return random.below(2 ** 31) / random.pick([1, 1, 7]);
    case 1:
      return random.pick(["", "é\u{1f600}", 'q"\\', "\n\u0001", "{[,:]}", "\ud800"]);
    case 2:
      return random.once(2);
    case 3:
      return null;
    case 4:
      return random.list(4, () => value(random, depth + 1));
    default:
      return Object.fromEntries(
        random.list(
          4,
          () => [random.pick(["k", "", "__proto__"]), value(random, depth + 1)] as const,
        ),
      );
  }
}

const output = (random: Random): Uint8Array => {
  const part = (): string =>
    random.once(2)
      ? random.pick([WORDS[0], ...WORDS])
      : `${JSON.stringify(value(random, 0), null, random.below(3))}${random.pick(["\n", " ", ""])}`;
  const bytes = Buffer.from(random.list(12, part).join(""));
  return random.once(3) ? spoil(random, bytes, 3) : bytes;
};

async function checkJson(data: Uint8Array, cuts: number[], opts: Record<string, unknown>) {
  const text = async (sizes: number[]): Promise<string> =>
    JSON.stringify((await feed(json, data, { opts, sizes })).events);
  const whole = await text([data.length || 1]);
  for (const sizes of [cuts, [1]]) {
    const cut = await text(sizes);
    demand(cut === whole, `cut at ${sizes} it reads otherwise`, whole, cut);
  }
  // Where all of it is one value, that is the only event.
  const expected = wholeValue(data);
  if (expected === undefined || data.length > Number(opts["maxlen"])) return;
  const shown = `[{"stdout":${expected}}]`;
  demand(whole === shown || whole.includes("deep"), "a valid value came otherwise", shown, whole);
}

/** The JSON of the value that these bytes are, where a double holds its numbers; undefined when they are none. */
function wholeValue(data: Uint8Array): string | undefined {
  try {
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(data);
    const json = JSON.stringify(JSON.parse(text));
    return JSON.stringify(parseExact(text)) === json ? json : undefined;
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof TypeError) return undefined;
    throw error;
  }
}

async function checkLines(data: Uint8Array, cuts: number[], maxlen: number): Promise<void> {
  const events = async (sizes: number[]): Promise<unknown[]> =>
    (await feed(line, data, { opts: { maxlen }, sizes })).events;
  const whole = await events([data.length || 1]);
  for (const sizes of [cuts, [1]]) {
    const cut = await events(sizes);
    demand(Bun.deepEquals(cut, whole), `lines cut at ${sizes} are others`, whole, cut);
  }
  const lines = whole.map((event) => String((event as { stdout: unknown }).stdout));
  demand(
    lines.every((one) => one.length <= maxlen),
    "a piece is longer than maxlen",
    lines,
  );
}

/** What it is as text, and whether that has all of it. */
function textOf(data: Uint8Array): { text: string; whole: boolean } {
  const text = new TextDecoder("utf-8", { ignoreBOM: true }).decode(data);
  return { text, whole: Buffer.from(text).equals(data) };
}

/** Nothing is lost or changed but what is told, to the byte; a task holds no more than `buffer`. */
async function checkFaithful(data: Uint8Array, sizes: number[], buffer: number): Promise<void> {
  const { text, whole } = textOf(data);
  const fed = (encoder: Encoder, opts = {}) => feed(encoder, data, { opts, sizes, buffer });
  /** @param added bytes of what is kept that were not printed */
  const accounted = (what: string, kept: string | Buffer, added: number, loss: Loss): void => {
    const bytes = Buffer.byteLength(kept) - added + loss.overflow;
    demand(bytes === data.length, `${what}: bytes are missing`, kept, loss, data.length);
  };
  /** With the end that the last line may lack. */
  const ended = text === "" || text.endsWith("\n") ? text : `${text}\n`;
  const extra = ended.length - text.length;

  const raws = await fed(raw);
  const coded = raws.fields["encoding"] === "base64";
  const out = Buffer.from(String(raws.fields["stdout"]), coded ? "base64" : "utf8");
  demand(Buffer.from(data).subarray(0, out.length).equals(out), "raw: changed", out, data);
  accounted("raw", out, 0, raws.loss);

  const { events: pieces } = await fed(file);
  const copy = Buffer.concat(pieces.map(({ stdout }) => Buffer.from(String(stdout), "base64")));
  demand(copy.equals(data), "file: changed", copy, data);

  const { fields, loss } = await fed(sync);
  const kept = ((fields["stdout"] ?? []) as string[]).map((one) => `${one}\n`).join("");
  // Where not one line is whole, the beginning of it is there.
  const isLonger = Buffer.byteLength(kept) + loss.overflow > data.length;
  const isCut = loss.overflow > 0 && kept !== "" && (isLonger || !whole);
  const asPrinted = isCut ? kept.slice(0, -1) : kept;
  demand(!isCut || !whole || !asPrinted.includes("\n"), "sync: one line of several is cut", kept);
  demand(ended.startsWith(asPrinted), "sync: changed", ended, kept);
  demand(
    loss.replaced > 0 === (!whole && kept.includes("\ufffd")) || loss.overflow > 0,
    "sync: marks",
  );
  if (whole) accounted("sync", asPrinted, loss.overflow > 0 ? 0 : extra, loss);

  for (const cr of [true, false]) {
    const { events, loss: told } = await fed(line, { cr });
    let built = "";
    let lost = 0;
    for (const event of events) {
      lost += (event["overflow"] as { bytes: number } | undefined)?.bytes ?? 0;
      built += String(event["stdout"]) + (event["cr"] ? "\r" : "\n");
    }
    // Of a last line that ends with a carriage return, that is the end.
    const end = cr && text.endsWith("\r") ? 0 : extra;
    if (told.overflow === 0)
      demand(built === (end === 0 ? text : ended), "line: changed", text, built);
    demand(lost === told.overflow, "line: what is lost is not told where it is", events, told);
    if (whole) accounted("line", built, end, told);
  }
}

export const outputs: Target = {
  name: "output",
  make: (random) => ({
    bytes: Buffer.from(output(random)).toString("hex"),
    cuts: random.list(4, () => 1 + random.below(random.pick([4, 60]))),
    maxlen: random.pick([3, 10, 200, 512]),
    maxdepth: random.pick([1, 3, 512]),
    buffer: random.pick([random.below(40), random.below(200), 1 << 20]),
  }),
  async check(input: Json) {
    const {
      bytes = "",
      cuts = [],
      maxlen = 512,
      maxdepth = 512,
      buffer = 1 << 20,
    } = input as Partial<Input>;
    const data = Buffer.from(bytes, "hex");
    const sizes = cuts.filter((size) => size > 0);
    if (maxlen < 3 || maxdepth < 1 || buffer < 0) return;
    const own = sizes.length > 0 ? sizes : [7];
    demand(Buffer.concat(chunks(data, own)).equals(data), "the test cuts wrongly");
    await checkJson(data, own, { maxlen, maxdepth });
    await checkLines(data, own, maxlen);
    await checkFaithful(data, own, buffer);
  },
};
