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
import { join } from "node:path";

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

export function copyOfProject(): Tree {
  const path = mkdtempSync(join(tmpdir(), "spawnbox-mutate-"));
  chmodSync(path, 0o755);
  for (const name of COPIED) cpSync(join(root, name), join(path, name), { recursive: true });
  // `bun check` would run that script instead of the type check alone.
  const { scripts: _, ...rest } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
    scripts: object;
  };
  writeFileSync(join(path, "package.json"), JSON.stringify(rest));
  mkdirSync(join(path, "dist"));
  symlinkSync(join(root, "node_modules"), join(path, "node_modules"));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}
