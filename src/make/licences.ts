/**
 * Whose work an executable holds, and under which licences: ours, the npm packages that are bundled, and what the runtime is
 * linked from, as the project of the runtime tells it for its releases. Names of licences are those of SPDX.
 */
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { RUNTIMES, type Source } from "./packages.ts";

export const OWN = "Apache-2.0";

/** A library that the runtime is linked with. */
export interface Part {
  readonly name: string;
  /** All of them apply. */
  readonly licences: readonly string[];
  readonly from: string;
}

const part = (name: string, from: string, ...licences: string[]): Part => ({
  name,
  licences,
  from: `https://github.com/${from}`,
});

/** The runtime itself first. */
export const RUNTIME_PARTS: readonly Part[] = [
  part("Bun", "oven-sh/bun", "MIT"),
  part(
    "WebKit: JavaScriptCore, WTF, parts of WebCore",
    "oven-sh/WebKit",
    "LGPL-2.0-or-later",
    "BSD-2-Clause",
  ),
  part("TinyCC", "TinyCC/tinycc", "LGPL-2.1-or-later"),
  part("BoringSSL", "google/boringssl", "OpenSSL", "ISC", "Apache-2.0"),
  part("ICU", "unicode-org/icu", "ICU"),
  part("uSockets, uWebSockets", "uNetworking/uWebSockets", "Apache-2.0"),
  part("lsquic, ls-hpack, ls-qpack", "litespeedtech/lsquic", "MIT", "BSD-3-Clause"),
  part("brotli", "google/brotli", "MIT"),
  part("c-ares", "c-ares/c-ares", "MIT"),
  part("highway", "google/highway", "Apache-2.0"),
  part("libarchive", "libarchive/libarchive", "BSD-2-Clause"),
  part("libbase64", "aklomp/base64", "BSD-2-Clause"),
  part("libc++abi", "llvm/llvm-project", "Apache-2.0-with-LLVM-exception"),
  part("libdeflate", "ebiggers/libdeflate", "MIT"),
  part("libjpeg-turbo", "libjpeg-turbo/libjpeg-turbo", "IJG", "BSD-3-Clause", "Zlib"),
  part("libspng", "randy408/libspng", "BSD-2-Clause"),
  part("libwebp", "webmproject/libwebp", "BSD-3-Clause"),
  part("lol-html", "cloudflare/lol-html", "BSD-3-Clause"),
  part("mimalloc", "microsoft/mimalloc", "MIT"),
  part("picohttpparser", "h2o/picohttpparser", "MIT"),
  part("simdutf", "simdutf/simdutf", "Apache-2.0"),
  part("uucode", "jacobsandlund/uucode", "MIT"),
  part("zlib-ng", "zlib-ng/zlib-ng", "Zlib"),
  part("zstd", "facebook/zstd", "BSD-3-Clause"),
];

const isRuntime = ({ name }: Source): boolean => Object.values<string>(RUNTIMES).includes(name);

/** Each licence once, sorted. @throws Error for a package that names none */
export function licences(sources: readonly Source[]): string[] {
  const found = new Set([OWN, ...RUNTIME_PARTS.flatMap((one) => one.licences)]);
  for (const source of sources) {
    if (!source.license) throw new Error(`${source.name}: package-lock.json names no licence`);
    found.add(source.license);
  }
  return [...found].sort();
}

/** Where a package has its licence, by its name in its folder. Runtimes have none of their own. */
export function licenceFile(source: Source, modules: string): string | undefined {
  if (isRuntime(source)) return undefined;
  const folder = join(modules, source.name);
  const name = readdirSync(folder).find((file) => /^licen[cs]e(\.\w+)?$/i.test(file));
  if (name === undefined) throw new Error(`${source.name}: no file with its licence in ${folder}`);
  return name;
}

/** The text of the licence of each bundled package, one after another. */
export function licenceTexts(sources: readonly Source[], modules: string): string {
  return sources
    .flatMap((source) => {
      const file = licenceFile(source, modules);
      if (file === undefined) return [];
      const text = readFileSync(join(modules, source.name, file), "utf8").trim();
      return [`${source.name} ${source.version}\n\n${text}\n`];
    })
    .join(`\n${"-".repeat(80)}\n\n`);
}

/** What the runtime is linked from, as a page. */
export function runtimePage(version: string): string {
  const rows = RUNTIME_PARTS.map(
    ({ name, licences: all, from }) => `| ${name} | ${all.join(", ")} | <${from}> |`,
  );
  return `# What the runtime is made of

The executable holds the runtime Bun ${version} as its project releases it. It is linked from these; each licence applies to its part.
The libraries under the LGPL can be changed, and the runtime linked with them again, from the sources named here: \`npm run build --
--bun FILE\` makes the executable with the runtime that comes of it.

| part | licences | source |
| ---- | -------- | ------ |
${rows.join("\n")}
`;
}

/** All of it as one text, as a package of a distribution carries it. */
export function copyright(
  sources: readonly Source[],
  modules: string,
  runtimeVersion: string,
): string {
  const rule = `${"=".repeat(80)}\n`;
  return [
    `spawnbox\n\nCopyright 2026 the spawnbox authors, under the Apache License 2.0, which stands in\n/usr/share/common-licenses/Apache-2.0 where that is.\n`,
    `The executable holds these packages:\n\n${licenceTexts(sources, modules)}`,
    runtimePage(runtimeVersion),
  ].join(`\n${rule}\n`);
}
