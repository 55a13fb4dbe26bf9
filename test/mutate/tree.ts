/** A copy of the project in a directory of its own: the checkout is never spoiled. Any user may read it. */
import {
  chmodSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";

const root = join(import.meta.dir, "../..");
const COPIED = [
  "src",
  "ffi",
  "test",
  "config",
  "yocto",
  "package.json",
  "package-lock.json",
].concat(["tsconfig.json", "bunfig.toml", "README.md", "CONTRIBUTING.md", "LICENSE"]);

export interface Tree extends Disposable {
  readonly path: string;
}

/** Beside the copy: what its suites have in the place of the machine's directory for such files. */
export const SCRATCH = "tmp";

export function copyOfProject(): Tree {
  const base = mkdtempSync(join(tmpdir(), "spawnbox-mutate-"));
  const path = join(base, "tree");
  // Where the copy is in there, so that it has one path.
  const shown = join(base, SCRATCH, basename(base), "tree");
  mkdirSync(path);
  mkdirSync(shown, { recursive: true });
  for (const one of [base, path, dirname(shown)]) chmodSync(one, 0o755);
  chmodSync(join(base, SCRATCH), 0o1777);
  for (const name of COPIED) cpSync(join(root, name), join(path, name), { recursive: true });
  // `bun check` would run that script instead of the type check alone.
  const { scripts: _, ...rest } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
    scripts: object;
  };
  writeFileSync(join(path, "package.json"), JSON.stringify(rest));
  mkdirSync(join(path, "dist"));
  symlinkSync(join(root, "node_modules"), join(path, "node_modules"));
  return { path, [Symbol.dispose]: () => rmSync(base, { recursive: true, force: true }) };
}
