/**
 * What commands print in the tests of faithful output, and what must then have come of it: all of it as it was, or so many bytes
 * less as are told.
 */
import { expect } from "bun:test";

export interface Printed {
  readonly stdout: Buffer;
  readonly stderr: Buffer;
}
type Stream = keyof Printed;
const STREAMS: readonly Stream[] = ["stdout", "stderr"];

/** A data event, or the fields of a reply. */
export type Fields = Record<string, unknown>;
export interface Arrived {
  readonly events: readonly Fields[];
  readonly status: Fields;
}

const bytesOf = (told: unknown): number => (told as { bytes: number } | undefined)?.bytes ?? 0;
const lossOf = (status: Fields) => ({
  overflow: bytesOf(status["overflow"]),
  replaced: bytesOf(status["replaced"]),
});

/** As text with U+FFFD for what is none, of which there are so many bytes. None of what is printed here has U+FFFD itself. */
export function textOf(bytes: Buffer): { text: string; replaced: number } {
  const text = new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);
  const others = Buffer.byteLength(text.replaceAll("\ufffd", ""));
  return { text, replaced: bytes.length - others };
}
const ended = (text: string): string => (text === "" || text.endsWith("\n") ? text : `${text}\n`);

/** Of texts as long as these a difference is told by its place. */
function same(what: string, is: string | Buffer, wanted: string | Buffer): void {
  const [a, b] = [Buffer.from(is), Buffer.from(wanted)];
  if (a.equals(b)) return;
  const at = a.findIndex((byte, i) => byte !== b[i]);
  const place = at < 0 ? a.length : at;
  const near = (one: Buffer) => JSON.stringify(one.subarray(place - 20, place + 20).toString());
  throw new Error(
    `${what}: ${a.length} of ${b.length} bytes, others from ${place} on: ${near(a)} for ${near(b)}`,
  );
}

/** Of the encoder raw. */
export function expectRaw({ stdout, stderr }: Printed, { events, status }: Arrived): void {
  const [fields = {}] = events;
  const coded = fields["encoding"] === "base64";
  const out = Buffer.from(String(fields["stdout"] ?? ""), coded ? "base64" : "utf8");
  const err = Buffer.from(String(fields["stderr"] ?? ""), coded ? "base64" : "utf8");
  same("stdout", out, stdout.subarray(0, out.length));
  same("stderr", err, stderr.subarray(0, err.length));
  const lost = stdout.length + stderr.length - out.length - err.length;
  expect(lossOf(status)).toEqual({ overflow: lost, replaced: 0 });
  if (!coded && lost === 0) expect(textOf(stdout).replaced + textOf(stderr).replaced).toBe(0);
}

/** Of text and sync: lines, the last of which ends what is kept. */
export function expectLists(printed: Printed, { events, status }: Arrived): void {
  const [fields = {}] = events;
  const { overflow, replaced } = lossOf(status);
  let kept = 0;
  let marks = 0;
  for (const stream of STREAMS) {
    const whole = printed[stream];
    const lines = (fields[stream] ?? []) as string[];
    const text = lines.map((one) => `${one}\n`).join("");
    const all = textOf(whole);
    if (overflow === 0) {
      same(stream, text, ended(all.text));
      marks += all.replaced;
      continue;
    }
    // Where not one line is whole, its beginning is there.
    const part = all.text.startsWith(text) || ended(all.text) === text ? text : text.slice(0, -1);
    same(stream, part, ended(all.text).slice(0, part.length));
    kept += Math.min(Buffer.byteLength(part), whole.length);
  }
  if (overflow === 0) expect(replaced).toBe(marks);
  else if (
    replaced === 0 &&
    textOf(printed.stdout).replaced + textOf(printed.stderr).replaced === 0
  )
    expect(overflow).toBe(printed.stdout.length + printed.stderr.length - kept);
}

/** Of line: an event for each, with what it lacks. */
export function expectLines(printed: Printed, { events, status }: Arrived): void {
  const { overflow, replaced } = lossOf(status);
  let told = 0;
  let kept = 0;
  for (const stream of STREAMS) {
    const { text } = textOf(printed[stream]);
    const own = events.filter((event) => Object.hasOwn(event, stream));
    const built = own.map((event) => String(event[stream]) + (event["cr"] ? "\r" : "\n")).join("");
    const wanted = text.endsWith("\r") ? text : ended(text);
    for (const event of own) told += bytesOf(event["overflow"]);
    if (overflow === 0) same(stream, built, wanted);
    const added = wanted.length - text.length;
    kept += Buffer.byteLength(built) - added;
  }
  expect(told).toBe(overflow);
  if (overflow > 0 && replaced === 0)
    expect(kept + overflow).toBe(printed.stdout.length + printed.stderr.length);
  const all = textOf(printed.stdout).replaced + textOf(printed.stderr).replaced;
  if (overflow === 0) expect(replaced).toBe(all);
}

/** Values of JSON, one after the other, of which those over a bound are errors that tell their length. */
export function expectValues(
  values: readonly string[],
  most: number,
  { events, status }: Arrived,
): void {
  const seen = events.filter((event) => "stdout" in event || "json-error" in event);
  expect(seen.length).toBe(values.length);
  let lost = 0;
  for (const [i, text] of values.entries()) {
    const event = seen[i] ?? {};
    if (Buffer.byteLength(text) <= most) same(`value ${i}`, JSON.stringify(event["stdout"]), text);
    else {
      expect(event["bytes"]).toBe(Buffer.byteLength(text));
      lost += Buffer.byteLength(text);
    }
  }
  expect(lossOf(status)).toEqual({ overflow: lost, replaced: 0 });
}
