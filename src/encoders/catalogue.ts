/** The built-in encoders by name. */
import type { Encoder } from "./encoder.ts";
import { file } from "./file.ts";
import { json } from "./json.ts";
import { line } from "./line.ts";
import { log } from "./log.ts";
import { raw } from "./raw.ts";
import { sync } from "./sync.ts";
import { text } from "./text.ts";

const ENCODERS: ReadonlyMap<string, Encoder> = new Map(
  [text, sync, line, raw, json, file, log].map((encoder) => [encoder.name, encoder]),
);

/** Names match without regard to case, as every enum word of a config. */
export function findEncoder(name: string): Encoder | undefined {
  return ENCODERS.get(name.toLowerCase());
}

export function encoderNames(): string[] {
  return [...ENCODERS.keys()];
}
