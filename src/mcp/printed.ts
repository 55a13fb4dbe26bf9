/** What a task prints, as it comes in its events or in its reply: kept within bounds, whatever it is and however much. */
import { parseExact } from "../numbers.ts";
import { isObject } from "../object.ts";
import { totalmem } from "node:os";
import { stringify } from "../api/event-data.ts";
import { type Part, Share } from "../share.ts";
import { Kept } from "./kept.ts";

/** Characters of a model's context are dear: more is for who asks for less. */
const STDOUT = [96 << 10, 32 << 10] as const;
const STDERR = [16 << 10, 16 << 10] as const;
/** Characters of the JSON of values, and bytes of what is no text. */
const VALUES = 512 << 10;
const BYTES = 2 << 20;

/** Of all calls together; so many each may have whatever others do. */
const everybody = new Share(Math.min(64 << 20, totalmem() / 16), 256 << 10);

/** What tells that nothing is printed, but how far something is. */
export interface Step {
  readonly progress: number;
  readonly total?: number;
  readonly message?: string;
}

export interface Heard {
  /** A line was printed. */
  line(text: string): void;
  step(step: Step): void;
}

export class Printed {
  readonly stdout = new Kept(...STDOUT);
  readonly stderr = new Kept(...STDERR);
  readonly values: unknown[] = [];
  readonly #part: Part = everybody.part();
  readonly #bytes: Buffer[] = [];
  #length = 0;
  #valueLength = 0;
  /** Values, and bytes that are no text, beyond what is kept. */
  lostValues = 0;
  lostBytes = 0;

  /** @param isValues its output is values of JSON, not lines */
  constructor(
    readonly isValues: boolean,
    readonly heard: Heard,
  ) {}

  get bytes(): Buffer {
    return Buffer.concat(this.#bytes);
  }

  /** Fields of a reply: a text is all that there is, and not a line. */
  takeWhole({ stdout, stderr, ...fields }: Readonly<Record<string, unknown>>): void {
    const texts = Object.entries({ stdout, stderr }).filter(([, value]) => value !== "");
    this.take({ ...fields, ...Object.fromEntries(texts) });
  }

  /** Fields of a data event, as encoders make them. */
  take(fields: Readonly<Record<string, unknown>>): void {
    if (fields["encoding"] === "base64") {
      this.#takeBytes(fields["stdout"]);
      const { stderr } = fields;
      if (typeof stderr === "string" && stderr !== "")
        this.#takeLines("stderr", Buffer.from(stderr, "base64").toString());
      return;
    }
    for (const [key, value] of Object.entries(fields)) {
      if (NOT_OUTPUT.has(key) || value === undefined) continue;
      if (key === "stderr" || (key === "stdout" && !this.isValues)) this.#takeLines(key, value);
      else if (key === "stdout") this.#takeValue(value);
      else if (key === "json-error") this.stderr.add(`not JSON: ${String(value)}`);
      // What an encoder of a plugin makes of it.
      else this.#takeValue({ [key]: value });
    }
  }

  /** Nothing of it is wanted any more. */
  close(): void {
    this.#part.close();
  }

  #takeBytes(text: unknown): void {
    if (typeof text !== "string") return;
    const bytes = Buffer.from(text, "base64");
    const room = this.#part.full ? 0 : Math.max(0, BYTES - this.#length);
    const kept = bytes.subarray(0, room);
    this.#part.add(kept.length);
    this.lostBytes += bytes.length - kept.length;
    this.#length += kept.length;
    if (kept.length > 0) this.#bytes.push(kept);
  }

  #takeLines(stream: "stdout" | "stderr", value: unknown): void {
    const texts = Array.isArray(value) ? value : [value];
    for (const text of texts) {
      if (typeof text !== "string") {
        this.#takeValue(text);
        continue;
      }
      const step = stream === "stdout" ? stepIn(text) : undefined;
      if (step) {
        this.heard.step(step);
        continue;
      }
      this[stream].addText(text === "" ? "\n" : text);
      this.heard.line(text);
    }
  }

  #takeValue(value: unknown): void {
    const step = stepOf(value);
    if (step) return this.heard.step(step);
    // A plugin may make what cannot be written.
    const json = stringify(value) ?? "null";
    if (this.#valueLength + json.length > VALUES || this.#part.full) {
      this.lostValues++;
      return;
    }
    this.#part.add(json.length);
    this.#valueLength += json.length;
    this.values.push(parseExact(json));
  }
}

const NOT_OUTPUT: ReadonlySet<string> = new Set([
  ...["type", "pid", "seq", "encoding", "partial", "status", "bytes", "cr"],
  ...["api", "sandbox", "command", "plan", "notices", "stdout-overflow", "stderr-overflow"],
]);
const STEP: ReadonlySet<string> = new Set(["progress", "total", "message"]);

/** `{"progress": n}`, with `total` and `message` or without, and nothing else. */
function stepOf(value: unknown): Step | undefined {
  if (!isObject(value) || !Object.keys(value).every((key) => STEP.has(key))) return undefined;
  const { progress, total, message } = value;
  if (typeof progress !== "number" || !Number.isFinite(progress)) return undefined;
  return {
    progress,
    ...(typeof total === "number" && Number.isFinite(total) && { total }),
    ...(typeof message === "string" && { message }),
  };
}

function stepIn(line: string): Step | undefined {
  if (!line.startsWith("{") || line.length > 1000 || !line.includes('"progress"')) return undefined;
  try {
    return stepOf(JSON.parse(line));
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}
