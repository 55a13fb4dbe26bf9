/** The npm packages that the executable is made of, as package-lock.json fixes them. */
import { join } from "node:path";

export interface LockedPackage {
  version: string;
  integrity: string;
  license?: string;
  dev?: boolean;
  dependencies?: Record<string, string>;
  optionalDependencies?: Record<string, string>;
  peerDependencies?: Record<string, string>;
}

export interface Lockfile {
  name: string;
  version: string;
  packages: Record<string, LockedPackage>;
}

/** A package at its place in node_modules. */
export interface Source extends LockedPackage {
  name: string;
}

const root = join(import.meta.dir, "../..");
/** glibc's Bun of the two architectures: one runs the build, one becomes the executable. */
export const RUNTIMES = { x64: "@oven/bun-linux-x64", arm64: "@oven/bun-linux-aarch64" } as const;
/**
 * What nothing of the executable is made of: the package `bun` only chooses and downloads a runtime; of `mqtt` its command line,
 * WebSockets, proxies and types are left out.
 */
const NOT_NEEDED: ReadonlySet<string> = new Set([
  ...["bun", "@types/readable-stream", "@types/ws", "commist", "concat-stream", "help-me"],
  ...["minimist", "socks", "split2", "ws"],
]);
/** What packages depend on for parts of them that are not in the executable: frameworks of other servers, programs, logins. */
export const UNUSED: Readonly<Record<string, readonly string[]>> = {
  "@modelcontextprotocol/sdk": [
    ...["@hono/node-server", "cors", "cross-spawn", "eventsource", "express"],
    ...["express-rate-limit", "hono", "jose", "json-schema-typed", "raw-body"],
  ],
};

export async function readLockfile(): Promise<Lockfile> {
  return (await Bun.file(join(root, "package-lock.json")).json()) as Lockfile;
}

function locked(lock: Lockfile, name: string): Source {
  const found = lock.packages[`node_modules/${name}`];
  if (!found) throw new Error(`package-lock.json has no ${name}: run npm install`);
  return { name, ...found };
}

/**
 * What the executable is bundled from: the dependencies, transitively, but for those that nothing in it uses. Peer dependencies count only where somebody depends
 * on them, since the others are types or optional plugins. Sorted by name.
 */
export function productionPackages(lock: Lockfile): Source[] {
  const wanted = new Map<string, Source>();
  const visit = (name: string) => {
    if (NOT_NEEDED.has(name) || wanted.has(name)) return;
    const source = locked(lock, name);
    wanted.set(name, source);
    for (const dependency of Object.keys(source.dependencies ?? {})) {
      if (UNUSED[name]?.includes(dependency)) continue;
      // npm nests a package where two versions are needed; the recipe unpacks flat.
      if (lock.packages[`node_modules/${name}/node_modules/${dependency}`]) {
        throw new Error(`${dependency} is nested below ${name}: teach the recipe about it`);
      }
      visit(dependency);
    }
  };
  for (const name of Object.keys(lock.packages[""]?.dependencies ?? {})) visit(name);
  return [...wanted.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
}

export function runtimes(lock: Lockfile): Source[] {
  return Object.values(RUNTIMES).map((name) => locked(lock, name));
}

/** `sha512-BASE64` as hex. */
export function sha512hex(integrity: string): string {
  const bytes = Buffer.from(integrity.replace(/^sha512-/, ""), "base64");
  if (!integrity.startsWith("sha512-") || bytes.length !== 64) {
    throw new Error(`not a sha512 integrity: ${integrity}`);
  }
  return bytes.toString("hex");
}

/** The name of the tarball that npm pack makes, without version: `@sinclair/typebox` → `sinclair-typebox`. */
export function plainName(name: string): string {
  return name.replace(/^@/, "").replace("/", "-");
}
