/**
 * What the modules of a plugin may import: only what nobody else can change or choose, told before it is loaded. Once it has
 * been, it has run.
 *
 * Bun opens modules by name. On a path without links, each directory of which nobody but those who may decide can change, the
 * name cannot come to mean another file in between: see `trusted`. A hook of Bun's resolver is not asked for packages, and
 * names without an ending, so what a module imports is looked at before it is loaded itself. What is left is such a name that
 * is only made as the module runs: it is checked afterwards, see load.ts.
 */
import { existsSync, readFileSync } from "node:fs";
import { dirname, extname, join } from "node:path";
import { deciders, trusted } from "../config/trust.ts";
import type { Trust } from "../config/walk.ts";
import { Walk } from "../config/walk.ts";

const LOADERS = {
  ".js": "js",
  ".mjs": "js",
  ".cjs": "js",
  ".jsx": "jsx",
  ".ts": "ts",
  ".mts": "ts",
  ".cts": "ts",
  ".tsx": "tsx",
} as const;

const isLoaded = (ending: string): ending is keyof typeof LOADERS => Object.hasOwn(LOADERS, ending);

/** Of this thread, for all that is imported from now on. */
export function guardImports(): void {
  const uid = process.geteuid?.() ?? 0;
  const seen = new Set<string>();
  // To ask the resolver asks this hook again.
  let asking = false;

  /** Where an import leads, when it is to be loaded; undefined for what is of the runtime, or not there. */
  const find = (name: string, importer: string): string | undefined => {
    const found = resolved(name, importer);
    // Of the runtime itself, or in this executable.
    if (found !== undefined && (!found.startsWith("/") || found.startsWith("/$bunfs/")))
      return undefined;
    const [file = ""] = found?.split("?") ?? [];
    const real = found === undefined ? undefined : trusted(file, uid);
    if (isPackage(name)) requireChosen(name, importer, real, uid);
    if (found === undefined || real === undefined) return undefined;
    look(real);
    return real + found.slice(file.length);
  };

  const look = (file: string): void => {
    const ending = extname(file);
    if (seen.has(file) || !isLoaded(ending)) return;
    seen.add(file);
    for (const { path } of importsOf(file, LOADERS[ending])) find(path, file);
  };

  Bun.plugin({
    name: "what is imported must be trusted",
    setup: (build) => {
      build.onResolve({ filter: /.*/ }, ({ path: name, importer }) => {
        if (asking) return undefined;
        asking = true;
        try {
          const path = find(name, importer);
          return path === undefined ? undefined : { path };
        } finally {
          asking = false;
        }
      });
    },
  });
}

/** None where it is no program: who loads it is told so by Bun. */
function importsOf(file: string, loader: Bun.JavaScriptLoader): Bun.Import[] {
  const text = readFileSync(file, "utf8");
  try {
    return new Bun.Transpiler({ loader }).scanImports(text);
  } catch (error) {
    if (error instanceof Error) return [];
    throw error;
  }
}

/** Undefined when there is no such module: it may be one that a package can do without. */
function resolved(name: string, importer: string): string | undefined {
  try {
    return Bun.resolveSync(name.replace(/^file:\/\//, ""), dirname(importer));
  } catch (error) {
    if (error instanceof Error) return undefined;
    throw error;
  }
}

const isPackage = (name: string): boolean => !/^(\.{0,2}(\/|$)|[a-z]+:)/.test(name);

/**
 * A package is looked for in the directories above, and its package.json names the file: both must be of those who may decide.
 * @param real where it leads; undefined: it is not there
 * @throws Error telling whose it is, or where others could put it
 */
function requireChosen(
  name: string,
  importer: string,
  real: string | undefined,
  uid: number,
): void {
  const trust = { owners: deciders(uid), beside: "mine only" } as const;
  const [scope = "", second = ""] = name.split("/");
  // "#name" is for the package.json of the importer to say.
  const inner = name.startsWith("#");
  const wanted = inner
    ? "package.json"
    : join("node_modules", name.startsWith("@") ? join(scope, second) : scope);
  for (let directory = dirname(importer); ; directory = dirname(directory)) {
    requireOwn(directory, trust, name, importer);
    const place = join(directory, wanted);
    if (existsSync(place)) {
      if (inner) return void trusted(place, uid);
      using found = Walk.to(place, trust);
      found.refuse("file or directory");
      const about = join(found.path, "package.json");
      if (existsSync(about)) trusted(about, uid);
      if (real === undefined || real === found.path || real.startsWith(`${found.path}/`)) return;
      throw new Error(`the package ${name} leads out of ${found.path}, to ${real}`);
    }
    // A package may import itself by its name.
    const own = join(directory, "package.json");
    if (!inner && existsSync(own) && real?.startsWith(`${directory}/`))
      return void trusted(own, uid);
    if (directory !== dirname(directory)) continue;
    if (real === undefined) return;
    throw new Error(`${real} is no file of a package ${name} above ${importer}`);
  }
}

function requireOwn(directory: string, trust: Trust, name: string, importer: string): void {
  using walk = Walk.to(directory, trust);
  try {
    walk.refuse("file or directory");
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new Error(
      `${importer}: the package ${name} would be looked for in ${directory}: ${why}`,
      {
        cause: error,
      },
    );
  }
}
