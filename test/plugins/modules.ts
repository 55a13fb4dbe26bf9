/** Plugin files for tests, in a directory that only the test's user can write. */
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadPlugin } from "../../src/plugins/load.ts";

export class Modules {
  readonly dir = mkdtempSync(join(tmpdir(), "spawnbox-plugins-"));

  write(name: string, text: string, mode = 0o644): string {
    const file = join(this.dir, name);
    writeFileSync(file, text);
    chmodSync(file, mode);
    return file;
  }

  [Symbol.dispose](): void {
    rmSync(this.dir, { recursive: true });
  }
}

export const GOOD = `
import type { Plugin } from "no-such-package";
export const functions = { twice: (n: number): number => 2 * n };
export const encoders = { none: { begin: () => ({ stdout() {}, stderr() {}, end: () => ({}) }) } };
`;

/**
 * Where a hook is to take too long, ms: many times what it takes here and now to make a thread, which has to be there within that
 * time, and more than the worst moment of a machine that has nothing else to do.
 */
export function shortLimit(): number {
  using modules = new Modules();
  const files = [modules.write("plug.ts", GOOD)];
  let begin = 0;
  // The first takes longer than all others.
  for (let i = 0; i < 2; i++) {
    begin = performance.now();
    loadPlugin({ uid: "plug", files }).close();
  }
  return Math.min(Math.max(Math.ceil((performance.now() - begin) / 8) * 100, 600), 2000);
}
