/** Files of the host that attacks begin with: in directories that whoever the commands run as may write. */
import { afterAll } from "bun:test";
import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isRoot } from "../served.ts";

/** What no command is meant to see. */
export const SECRET = "content of the host";

export const file = (path: string, text: string) =>
  writeFileSync(path, `${text}\n`, { mode: 0o644 });

/** Makes directories of the attacker by name; they go after the tests of the file. */
export function attackersIn(name: string): (name: string) => string {
  const dir = mkdtempSync(join(tmpdir(), `spawnbox-${name}-`));
  chmodSync(dir, 0o755);
  afterAll(() => rmSync(dir, { recursive: true }));
  return (own) => {
    const path = join(dir, own);
    mkdirSync(path);
    chmodSync(path, 0o777);
    if (isRoot) chownSync(path, 1, 1);
    return path;
  };
}
