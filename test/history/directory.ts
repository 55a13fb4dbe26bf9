/** Directories for the tests of one file, and what else is to be undone behind each of them. */
import { afterEach } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** `ends`: the last is done first. */
export function directories(): { ends: (() => void)[]; directory: () => string } {
  const ends: (() => void)[] = [];
  afterEach(() => {
    for (const end of ends.splice(0).reverse()) end();
  });
  return {
    ends,
    directory() {
      const dir = mkdtempSync(join(tmpdir(), "spawnbox-history-"));
      ends.push(() => rmSync(dir, { recursive: true, force: true }));
      return dir;
    },
  };
}
