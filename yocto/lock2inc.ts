/**
 * Makes what the recipe needs of package-lock.json and node_modules: `bun yocto/lock2inc.ts` → spawnbox-npm.inc, the sources,
 * their sums and licences, and RUNTIME.md, what the runtime is made of. The lockfile's integrity is the sha512 of the tarball in
 * base64; bitbake wants it in hex.
 *
 * Made by this and not by bitbake's npmsw fetcher, since that takes addresses from the lockfile, which has none, wants npm and
 * Node.js on the build host, and knows nothing of the runtime of another architecture.
 */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { licenceFile, licences, runtimePage } from "../src/make/licences.ts";
import {
  type Lockfile,
  type Source,
  plainName,
  productionPackages,
  readLockfile,
  runtimes,
  sha512hex,
} from "../src/make/packages.ts";

const root = join(import.meta.dir, "..");
export const INC = join(import.meta.dir, "meta-spawnbox/recipes-core/spawnbox/spawnbox-npm.inc");
export const RUNTIME = join(import.meta.dir, "RUNTIME.md");

/** Unpacked to where the build looks for it. */
function entry({ name, version }: Source): string {
  const file = `${name.split("/").at(-1)}-${version}.tgz`;
  const plain = plainName(name);
  return (
    `\${SPAWNBOX_NPM_REGISTRY}/${name}/-/${file};name=${plain}` +
    `;downloadfilename=${plain}-${version}.tgz;subdir=\${BP}/node_modules/${name};striplevel=1`
  );
}

const md5 = (content: string | Uint8Array): string =>
  createHash("md5").update(content).digest("hex");

export function runtimeText(lock: Lockfile): string {
  return runtimePage(lock.packages["node_modules/bun"]?.version ?? "");
}

/** `modules`: a node_modules with the packages of the lockfile. */
export function inc(lock: Lockfile, modules = join(root, "node_modules")): string {
  const sources = [...productionPackages(lock), ...runtimes(lock)];
  const list = (variable: string, operator: string, lines: string[]) =>
    `${variable} ${operator} " \\\n${lines.map((line) => `    ${line} \\\n`).join("")}"\n`;
  const texts = sources.flatMap((source) => {
    const file = licenceFile(source, modules);
    if (file === undefined) return [];
    const path = join("node_modules", source.name, file);
    return [`file://${path};md5=${md5(readFileSync(join(modules, source.name, file)))}`];
  });
  return [
    "# Made by yocto/lock2inc.ts from package-lock.json: do not edit.\n",
    list("SRC_URI", "+=", sources.map(entry)),
    sources
      .map((s) => `SRC_URI[${plainName(s.name)}.sha512sum] = "${sha512hex(s.integrity)}"\n`)
      .join(""),
    `# What the executable holds: ours, the packages, and the runtime with its parts.\nLICENSE = "${licences(sources).join(" & ")}"\n`,
    list("LIC_FILES_CHKSUM", "=", [
      `file://LICENSE;md5=${md5(readFileSync(join(root, "LICENSE")))}`,
      `file://yocto/RUNTIME.md;md5=${md5(runtimeText(lock))}`,
      ...texts,
    ]),
  ].join("\n");
}

if (import.meta.main) {
  const lock = await readLockfile();
  await Bun.write(RUNTIME, runtimeText(lock));
  await Bun.write(INC, inc(lock));
  for (const file of [INC, RUNTIME]) console.log(file.slice(root.length + 1));
}
