/** Where the modules of a plugin are. */
import { existsSync } from "node:fs";
import { dirname, isAbsolute, resolve } from "node:path";

const NATIVE = /\.(?:so(?:\.[\d.]+)?|ctlso)$/i;
const MODULE = /\.[cm]?[jt]s$/;
/** Tried in this order where a config leaves the ending out. */
const ENDINGS = [".ts", ".js", ".mts", ".mjs"];

/**
 * The absolute path of `lib`: itself absolute, or in a directory of `spath` (separated by colons, relative to the config
 * file's directory, which is also the default).
 * @throws Error telling where it was looked for
 */
export function findModule(lib: string, spath: string | undefined, configFile: string): string {
  if (NATIVE.test(lib)) {
    throw new Error(
      `\`${lib}\` is a native plugin, and those are not loaded: write what it does as a TypeScript or JavaScript module, which is loaded from disk (config/plugins has one to begin with), and name it here or after it`,
    );
  }
  const base = resolve(dirname(configFile));
  const named = (spath ?? "").split(":").filter((directory) => directory !== "");
  const directories =
    named.length > 0 ? named.map((directory) => resolve(base, directory)) : [base];
  const stems = isAbsolute(lib) ? [lib] : directories.map((directory) => resolve(directory, lib));
  const endings = MODULE.test(lib) ? [""] : ENDINGS;
  for (const stem of stems) {
    for (const ending of endings) {
      if (MODULE.test(stem + ending) && existsSync(stem + ending)) return stem + ending;
    }
  }
  const where = isAbsolute(lib) ? "" : ` in ${directories.join(", ")}`;
  throw new Error(`no module \`${lib}\`${where}`);
}
