/** The sample configs where root obeys them: the sources may belong to somebody else than who runs the tests. */
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const configs = join(import.meta.dir, "../config");

/** A directory with copies of them all, which the caller removes. */
export function copyOfSamples(): string {
  const dir = mkdtempSync(join(tmpdir(), "spawnbox-samples-"));
  for (const command of [
    ["cp", "-R", "--no-preserve=all", `${configs}/.`, dir],
    ["chmod", "-R", "u+rwX,go+rX,go-w", dir],
  ]) {
    const { success, stderr } = Bun.spawnSync(command);
    if (!success) throw new Error(stderr.toString());
  }
  return dir;
}
