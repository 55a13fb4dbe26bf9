/**
 * The console, of many files one: an HTML page with its script and style in it, compressed as it is served. A page that is larger than
 * it may be is not built.
 */
import type { BunPlugin } from "bun";
import { mkdirSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { SHARED_NAMES } from "../console/shared-names.ts";
import { TEXTS } from "../console/texts.ts";

const root = join(import.meta.dir, "../..");
const source = join(root, "src/console");

/** Where `src/server/console-page.ts` has it from. */
export const CONSOLE = join(root, "dist/console");

/** Bytes, minified and compressed. */
export const BUDGET = { minified: 70_000, compressed: 24_000 } as const;

export interface ConsolePage {
  readonly html: string;
  readonly compressed: Uint8Array;
  /** What it fetches once it is needed, by name: its second script, and its texts in other languages. */
  readonly more: Readonly<Record<"more.js" | "words.json", string>>;
}

/** Throws an Error that says what is wrong with the source, or that the page is too large. */
export async function bundleConsole(minify = true): Promise<ConsolePage> {
  const script = await bundle(join(source, "main.tsx"), minify);
  const style = await bundle(join(source, "style.css"), minify);
  const html = page(script, style);
  const compressed = smallest(html);
  const sizes = { minified: Buffer.byteLength(html), compressed: compressed.length };
  for (const kind of ["minified", "compressed"] as const)
    if (minify && sizes[kind] > BUDGET[kind])
      throw new Error(
        `the console has ${sizes[kind]} bytes ${kind}, more than the ${BUDGET[kind]} that it may have`,
      );
  const more = await bundle(join(source, "more.tsx"), minify, [shared]);
  const words = JSON.stringify(translations());
  return { html, compressed, more: { "more.js": `(()=>{${more}})()`, "words.json": words } };
}

const smallest = (text: string): Uint8Array =>
  Bun.gzipSync(text, { level: 12, library: "libdeflate" });

function translations() {
  const all = Object.entries(TEXTS);
  const of = (at: 0 | 1 | 2) => Object.fromEntries(all.map(([key, texts]) => [key, texts[at]]));
  return { en: of(0), de: of(1), fr: of(2) };
}

/** What explains: it comes with the second script, or with the first call that was denied. */
const LATER = /^(aspect_|why_|say|call[A-Z])/;

/** What the second script has from the first, by the last part of its path: see src/console/later.ts. */
const shared: BunPlugin = {
  name: "shared",
  setup: (build) => {
    const ours = SHARED_NAMES.join("|");
    const filter = new RegExp(`^(preact/hooks|preact/jsx-runtime|\\./(${ours})\\.tsx?)$`);
    build.onResolve({ filter }, ({ path }) => ({
      path: basename(path).replace(/\..*$/, ""),
      namespace: "shared",
    }));
    build.onLoad({ filter: /./, namespace: "shared" }, ({ path }) => ({
      contents: `module.exports = globalThis.spawnbox[${JSON.stringify(path)}]`,
      loader: "js",
    }));
  },
};

/** Of the texts the page itself has the English ones only. */
const english: BunPlugin = {
  name: "English texts",
  setup: (build) => {
    build.onLoad({ filter: /\/console\/texts\.ts$/ }, () => {
      const texts = Object.entries(TEXTS)
        .filter(([key]) => !LATER.test(key))
        .map(([key, [text]]) => [key, [text]] as const);
      return {
        contents: `export const TEXTS = ${JSON.stringify(Object.fromEntries(texts))}`,
        loader: "js",
      };
    });
  },
};

/** Returns its sizes in words. */
export async function buildConsole(): Promise<string> {
  const { html, compressed, more } = await bundleConsole();
  mkdirSync(CONSOLE, { recursive: true });
  writeFileSync(join(CONSOLE, "page.html.gz"), compressed);
  for (const [name, text] of Object.entries(more))
    writeFileSync(join(CONSOLE, `${name}.gz`), smallest(text));
  const kilobytes = (bytes: number) => `${(bytes / 1000).toFixed(1)} KB`;
  return `${kilobytes(Buffer.byteLength(html))}, ${kilobytes(compressed.length)} compressed`;
}

async function bundle(
  entry: string,
  minify: boolean,
  plugins: readonly BunPlugin[] = [],
): Promise<string> {
  const { outputs } = await Bun.build({
    entrypoints: [entry],
    target: "browser",
    minify,
    plugins: [english, ...plugins],
    define: { "process.env.NODE_ENV": '"production"' },
  });
  const [output] = outputs;
  if (!output) throw new Error(`nothing was made of ${entry}`);
  return (await output.text()).trim();
}

/** Nothing in them ends its element: the hashes of the policy are of what is between the tags. */
function page(script: string, style: string): string {
  if (/<\/script|<!--/i.test(script) || /<\/style/i.test(style))
    throw new Error("the console's script or style has what would end it within a page");
  return `<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1"><meta name="color-scheme" content="light dark"><title>spawnbox</title><link rel="icon" href="data:,"><style>${style}</style></head><body><noscript>This page needs JavaScript. Programs get JSON here: curl -H 'Accept: application/json'</noscript><div id="app"></div><script type="module">${script}</script></body></html>`;
}
