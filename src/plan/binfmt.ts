/** Programs of other kinds that this kernel has been told how to run, such as those of another architecture. See binfmt_misc. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** Where it is usually mounted. */
const PLACE = "/proc/sys/fs/binfmt_misc";

export interface ForeignFormat {
  readonly interpreter: string;
  /** The kernel has opened the interpreter already, wherever it is now: flag F. */
  readonly opened: boolean;
  matches(head: Uint8Array, name: string): boolean;
}

/** Those that are registered and enabled. Never throws. */
export function foreignFormats(place = PLACE): ForeignFormat[] {
  try {
    return readdirSync(place)
      .filter((name) => name !== "register" && name !== "status")
      .flatMap((name) => foreignFormat(readFileSync(join(place, name), "utf8")) ?? []);
  } catch {
    // not mounted, or not in this kernel: there are none
    return [];
  }
}

/** One entry, in the words of the kernel; undefined when it is disabled. */
export function foreignFormat(text: string): ForeignFormat | undefined {
  const value = (key: string) => new RegExp(`^${key} ?(.*)$`, "m").exec(text)?.[1];
  const interpreter = value("interpreter");
  if (!text.startsWith("enabled") || interpreter === undefined) return undefined;
  const opened = value("flags:")?.includes("F") ?? false;
  const extension = value("extension");
  if (extension !== undefined)
    return { interpreter, opened, matches: (_, name) => name.endsWith(extension) };
  const offset = Number(value("offset"));
  const magic = Buffer.from(value("magic") ?? "", "hex");
  const mask = Buffer.from(value("mask") ?? "", "hex");
  const matches = (head: Uint8Array) =>
    magic.every((byte, i) => (((head[offset + i] ?? 0) ^ byte) & (mask[i] ?? 0xff)) === 0);
  return { interpreter, opened, matches };
}
