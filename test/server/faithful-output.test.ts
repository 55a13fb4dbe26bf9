/**
 * Output under fuzz, from the command to the client: random bytes in random pieces, of sizes around each bound on their way, in every
 * encoder, cold and warm, through pipes and a terminal, over REST and WebSocket.
 */
import { afterAll, describe, expect, test } from "bun:test";
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { random } from "../encoders/feed.ts";
import { serve, users } from "../served.ts";
import { serving } from "../serving.ts";
import { isTried } from "../thinned.ts";
import {
  type Arrived,
  expectLines,
  expectLists,
  expectRaw,
  expectValues,
  type Fields,
  type Printed,
} from "./printed.ts";

const ROUNDS = Number(process.env["SPAWNBOX_FAITHFUL_ROUNDS"] ?? 5);
const SEED = Number(process.env["SPAWNBOX_FAITHFUL_SEED"] ?? 1);
/** Bytes that a task may hold here. */
const BUFFER = 64 * 1024;
/** What a terminal gives at once, what a reader hands on, what a pipe and a task hold. */
const BOUNDS = [0, 4096, 8192, BUFFER, 2 * BUFFER];

/** Prints the files P.stdout and P.stderr in the pieces of P.pieces; in Perl, since it starts soon, and there are hundreds. */
const PRINTER = `
use strict;
my $place = shift;
my @data = ("", map { open my $file, "<:raw", "$place.$_" or die; local $/; <$file> // "" } "stdout", "stderr");
open my $pieces, "<", "$place.pieces" or die;
while (<$pieces>) {
    my ($fd, $size, $pause) = split;
    my $piece = substr($data[$fd], 0, $size, "");
    while (length $piece) {
        my $written = syswrite($fd == 1 ? *STDOUT : *STDERR, $piece) // die;
        substr($piece, 0, $written, "");
    }
    select(undef, undef, undef, $pause / 1000) if $pause;
}
die if length $data[1] or length $data[2];
`;
const ENCODERS = ["text", "sync", "raw", "line", "json"] as const;
type EncoderName = (typeof ENCODERS)[number];
/** @param printer the file of that */
const printing = (printer: string) => ({
  exec: { cmdpath: "/usr/bin/perl", args: [printer, "%place%"] },
});
const commands = (printer: string, more: object) =>
  ENCODERS.flatMap((encoder) =>
    ["cold", "warm"].map((how) => ({
      uid: `${encoder}-${how}`,
      encoder,
      buffer: BUFFER,
      ...(how === "warm" && { pool: 2 }),
      ...printing(printer),
      ...more,
    })),
  );

type Next = (below: number) => number;
const WORDS = [
  "a",
  "bc",
  " ",
  "\n",
  "\n",
  "é",
  "\u{1f600}",
  "\ufeff",
  "\0",
  '"',
  "\\",
  "\t",
  "\u2028",
];
/** Of about so many bytes. */
const KINDS: Readonly<Record<string, (size: number, next: Next) => Buffer>> = {
  text: (size, next) => wordsOf(size, next, WORDS),
  returns: (size, next) => wordsOf(size, next, [...WORDS, "\r", "\r\n", "\r\r\n"]),
  "one line": (size, next) =>
    wordsOf(
      size,
      next,
      WORDS.filter((one) => one !== "\n"),
    ),
  newlines: (size) => Buffer.alloc(size, "\n"),
  bytes: (size, next) => {
    const bytes = Buffer.from(Array.from({ length: size }, () => next(256)));
    // That they are not what stands for others is what lets those be counted.
    return bytes.includes("\ufffd") ? Buffer.alloc(size, 0xff) : bytes;
  },
};
function wordsOf(size: number, next: Next, words: readonly string[]): Buffer {
  let text = "";
  for (let left = size; left > 0;) {
    const word = words[next(words.length)] ?? "";
    const bytes = Buffer.byteLength(word);
    text += bytes <= left ? word : "x".repeat(left);
    left -= bytes;
  }
  return Buffer.from(text);
}

const sizeOf = (next: Next): number =>
  next(3) === 0
    ? next(300)
    : Math.max(
        0,
        (BOUNDS[next(BOUNDS.length)] ?? 0) + next(7) - 3 + (next(4) === 0 ? next(3000) : 0),
      );

/** JSON values in one line each or several, some as long as a task may hold, some longer. */
function valuesOf(next: Next): string[] {
  const scalar = (): unknown =>
    [next(2 ** 31), next(1000) / 7, "é\u{1f600}\n", "", true, null, "\u0001"][next(7)];
  const value = (depth: number): unknown => {
    if (depth > 3 || next(3) === 0) return scalar();
    const items = Array.from({ length: next(4) }, () => value(depth + 1));
    return next(2) ? items : Object.fromEntries(items.map((item, i) => [`k${i}é`, item]));
  };
  return Array.from({ length: 1 + next(12) }, () => {
    if (next(5) > 0) return JSON.stringify(value(0));
    return JSON.stringify("x".repeat(BUFFER - 2 + next(7) - 3));
  });
}

/** Pieces of both streams by turns: [descriptor, bytes, milliseconds of rest]. */
function piecesOf({ stdout, stderr }: Printed, next: Next): [number, number, number][] {
  const left = [stdout.length, stderr.length];
  const pieces: [number, number, number][] = [];
  const most = [7, 100, 4095, 4096, 70_000][next(5)] ?? 1;
  while ((left[0] ?? 0) + (left[1] ?? 0) > 0) {
    const stream = (left[0] ?? 0) === 0 || ((left[1] ?? 0) > 0 && next(2)) ? 1 : 0;
    const many = pieces.length > 400;
    const size = Math.min(left[stream] ?? 0, many ? 1 << 20 : 1 + next(most));
    left[stream] = (left[stream] ?? 0) - size;
    pieces.push([stream + 1, size, next(60) === 0 ? next(8) : 0]);
  }
  return pieces;
}

/** As a terminal has it: one stream. */
function together(printed: Printed, pieces: readonly (readonly number[])[]): Printed {
  const rest = [printed.stdout, printed.stderr];
  const parts = pieces.map(([fd = 1, size = 0]) => {
    const from = rest[fd - 1] ?? Buffer.alloc(0);
    rest[fd - 1] = from.subarray(size);
    return from.subarray(0, size);
  });
  return { stdout: Buffer.concat(parts), stderr: Buffer.alloc(0) };
}

const EXPECT = { text: expectLists, sync: expectLists, raw: expectRaw, line: expectLines } as const;
const cases = ENCODERS.flatMap((encoder) =>
  ["cold", "warm"].flatMap((how) =>
    ["pipe", "terminal"].map((through) => [encoder, how, through] as const),
  ),
);

describe.each(users)("served by %s", (user) => {
  const dir = mkdtempSync(join(tmpdir(), "spawnbox-printed-"));
  chmodSync(dir, 0o777);
  afterAll(() => rmSync(dir, { recursive: true }));
  const logs = { stdout: join(dir, "log.stdout"), stderr: join(dir, "log.stderr") };
  const printer = join(dir, "printer.pl");
  writeFileSync(printer, PRINTER);
  const acls = { user: "nobody", timeout: 60 };
  const logging = {
    encoder: { output: "log", opts: logs },
    ...printing(printer),
  };
  const config = {
    metadata: { uid: "o", api: "o" },
    sandboxes: [
      { uid: "pipe", acls, commands: commands(printer, {}) },
      { uid: "terminal", acls, commands: commands(printer, { pty: true }) },
      {
        uid: "log",
        acls,
        commands: [
          { uid: "pipe", ...logging },
          { uid: "terminal", pty: true, ...logging },
        ],
      },
    ],
  };
  const served = serving(() => serve(config, { user }));

  let count = 0;
  const place = (printed: Printed, pieces: readonly (readonly number[])[]): string => {
    const at = join(dir, `${++count}`);
    writeFileSync(`${at}.stdout`, printed.stdout);
    writeFileSync(`${at}.stderr`, printed.stderr);
    writeFileSync(`${at}.pieces`, pieces.map((piece) => `${piece.join(" ")}\n`).join(""));
    return at;
  };

  const overWebSocket = async (verb: string, args: object): Promise<Arrived> => {
    const task = served.client.start(`o/${verb}`, args);
    const events: Fields[] = [];
    for (;;) {
      const { done, value } = await task.next();
      if (done) return { events, status: { ...value } };
      events.push(value as Fields);
    }
  };
  const overRest = async (
    verb: string,
    args: { place: string },
    encoder: EncoderName,
  ): Promise<Arrived> => {
    const isStream = encoder === "line" || encoder === "json";
    const query = new URLSearchParams(isStream ? args : { ...args, wait: "true" });
    const path = isStream ? `${verb}/events` : verb;
    const response = await fetch(`${served.url}/api/o/${path}?${query}`);
    const text = await response.text();
    if (!isStream) {
      const { response: fields } = JSON.parse(text) as { response: Fields };
      return { events: [fields], status: fields["status"] as Fields };
    }
    const data = text
      .split("\n")
      .filter((one) => one.startsWith("data:") && one.includes('"afb-event"'))
      .map((one) => (JSON.parse(one.slice(5)) as { data: Fields }).data);
    const last = data.at(-1);
    expect(last?.["type"]).toBe("final-event");
    return { events: data.slice(0, -1), status: last?.["status"] as Fields };
  };

  // Pipes and terminals alternate: each comes with each user, as cold and warm do.
  const tried = cases.filter((_, row) => isTried(row + Math.floor(row / 2), user, users));
  test.each(tried)("%s, %s, through a %s", async (encoder, how, through) => {
    const next = random(SEED + cases.findIndex((one) => `${one}` === `${[encoder, how, through]}`));
    const kinds = Object.keys(KINDS);
    const verb = `${through}/${encoder}-${how}`;
    for (let round = 0; round < ROUNDS; round++) {
      const data = (size: number) =>
        KINDS[kinds[next(kinds.length)] ?? ""]?.(size, next) ?? Buffer.alloc(0);
      const values = valuesOf(next);
      const sent: Printed =
        encoder === "json"
          ? {
              stdout: Buffer.from(values.map((one) => one + (next(2) ? "\n" : " ")).join("")),
              stderr: Buffer.alloc(0),
            }
          : {
              stdout: data(sizeOf(next)),
              stderr: next(2) ? data(next(2) ? sizeOf(next) : next(50)) : Buffer.alloc(0),
            };
      const pieces = piecesOf(sent, next);
      const printed = through === "pipe" ? sent : together(sent, pieces);
      const args = { place: place(sent, pieces) };
      for (const arrived of [
        await overWebSocket(verb, args),
        await overRest(verb, args, encoder),
      ]) {
        try {
          expect(arrived.status["exit"]).toBe(0);
          if (encoder === "json") expectValues(values, BUFFER, arrived);
          else EXPECT[encoder](printed, arrived);
        } catch (error) {
          throw new Error(`round ${round}, ${args.place}, seed ${SEED}`, { cause: error });
        }
      }
    }
  });

  test.each(["pipe", "terminal"])("log, through a %s: byte for byte", async (through) => {
    const next = random(SEED);
    for (let round = 0; round < ROUNDS; round++) {
      for (const file of Object.values(logs)) rmSync(file, { force: true });
      const sent = {
        stdout: KINDS["bytes"]?.(sizeOf(next) * 2, next) ?? Buffer.alloc(0),
        stderr: KINDS["bytes"]?.(next(9000), next) ?? Buffer.alloc(0),
      };
      const pieces = piecesOf(sent, next);
      const { status } = await overWebSocket(`log/${through}`, { place: place(sent, pieces) });
      expect(status["exit"]).toBe(0);
      const { stdout, stderr } = through === "pipe" ? sent : together(sent, pieces);
      expect(readFileSync(logs.stdout).equals(stdout)).toBe(true);
      expect(readFileSync(logs.stderr).equals(stderr)).toBe(true);
    }
  });
});
