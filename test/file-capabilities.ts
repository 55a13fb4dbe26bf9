/** Capabilities of files, as setcap(8) sets them. */
import { expect } from "bun:test";
import { tmpdir } from "node:os";
import { mountFlags } from "../ffi/libc.ts";

/** Whether files of the directory for what is temporary can have them, and give them. */
export const canGive =
  process.geteuid?.() === 0 && Bun.which("setcap") !== null && !mountFlags(tmpdir()).nosuid;

export function give(path: string, ...words: readonly string[]): void {
  expect(Bun.spawnSync(["setcap", ...words, path]).success).toBe(true);
}
