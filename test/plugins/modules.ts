/** Plugin files for tests, in a directory that only the test's user can write. */
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

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
