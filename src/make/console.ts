/**
 * The console, of many files one: an HTML page with its script and style in it, compressed as it is served. A page that is larger than
 * it may be is not built.
 */
import type { BunPlugin } from "bun";
import { mkdirSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { EXPLAINED } from "../console/explained-words.ts";
import { LESSONS } from "../console/lessons.ts";
import { MARK } from "../console/mark.ts";
import { SHARED } from "../console/shared-names.ts";
import { TEXTS } from "../console/texts.ts";

const root = join(import.meta.dir, "../..");
const source = join(root, "src/console");

/** Where `src/server/console-page.ts` has it from. */
export const CONSOLE = join(root, "dist/console");

/** Bytes, minified and compressed, of the page, and of the second script that it fetches. */
export const BUDGET = { minified: 70_000, compressed: 24_000 } as const;

export interface ConsolePage {
  readonly html: string;
  readonly compressed: Uint8Array;
  /** What it fetches once it is needed, by name: its second script, and its texts in other languages. */
  readonly more: Readonly<Record<"more.js" | "words.json", string>>;
}

/** Throws an Error that says what is wrong with the source, or that the page is too large. */
export async function bundleConsole(minify = true): Promise<ConsolePage> {
  const main = join(source, "main.tsx");
  const { files } = await bundle(main, false, [texts([])]);
  const script = await bundle(main, minify, [texts(await keysIn(files))]);
  const style = await bundle(join(source, "style.css"), minify);
  const first = await bundle(join(source, "first.ts"), minify);
  const html = page(first.text, script.text, style.text);
  const compressed = smallest(html);
  const later = await bundle(join(source, "later.css"), minify);
  const more = await bundle(join(source, "more.tsx"), minify, [shared, styled(later.text)]);
  if (minify) {
    bound("the console", html, compressed);
    bound("its second script", more.text, smallest(more.text));
  }
  const words = JSON.stringify(translations());
  return { html, compressed, more: { "more.js": `(()=>{${more.text}})()`, "words.json": words } };
}

function bound(what: string, text: string, compressed: Uint8Array): void {
  const sizes = { minified: Buffer.byteLength(text), compressed: compressed.length };
  for (const kind of ["minified", "compressed"] as const)
    if (sizes[kind] > BUDGET[kind])
      throw new Error(
        `${what} has ${sizes[kind]} bytes ${kind}, more than the ${BUDGET[kind]} that it may have`,
      );
}

const smallest = (text: string): Uint8Array =>
  Bun.gzipSync(text, { level: 12, library: "libdeflate" });

function translations() {
  const all = Object.entries(TEXTS);
  const of = (at: 0 | 1 | 2) => Object.fromEntries(all.map(([key, texts]) => [key, texts[at]]));
  const lessons = (at: 0 | 1) =>
    Object.fromEntries(Object.entries(LESSONS).map(([english, texts]) => [english, texts[at]]));
  const explained = (at: 0 | 1 | 2) => EXPLAINED.map((texts) => texts[at]);
  return {
    ...{ en: of(0), de: of(1), fr: of(2), lessons: { de: lessons(0), fr: lessons(1) } },
    explained: { en: explained(0), de: explained(1), fr: explained(2) },
  };
}

/** Instead of what the second script has from the first, by the last part of its path: see src/console/later.ts. */
const shared: BunPlugin = {
  name: "shared",
  setup: (build) => {
    const ours = Object.keys(SHARED).join("|");
    const filter = new RegExp(`^(preact/hooks|preact/jsx-runtime|\\./(${ours})\\.tsx?)$`);
    build.onResolve({ filter }, ({ path }) => ({
      path: basename(path).replace(/\..*$/, ""),
      namespace: "shared",
    }));
    build.onLoad({ filter: /./, namespace: "shared" }, ({ path }) => {
      const names = Object.entries(SHARED).find(([name]) => name === path)?.[1] ?? [];
      const from = `globalThis.spawnbox[${JSON.stringify(path)}]`;
      return { contents: `export const { ${names.join(", ")} } = ${from}`, loader: "js" };
    });
  },
};

/** Of the texts these, in English. */
const texts = (keys: readonly string[]): BunPlugin => ({
  name: "texts",
  setup: (build) => {
    build.onLoad({ filter: /\/console\/texts\.ts$/ }, () => {
      const known = Object.entries(TEXTS).filter(([key]) => keys.includes(key));
      const english = Object.fromEntries(known.map(([key, [text]]) => [key, [text]]));
      return { contents: `export const TEXTS = ${JSON.stringify(english)}`, loader: "js" };
    });
  },
});

/** The texts that the files of a script name. The others come with the second one. */
async function keysIn(files: readonly string[]): Promise<string[]> {
  const sources = files.filter((path) => !/node_modules|\/texts\.ts$/.test(path));
  const all = await Promise.all(sources.map((path) => Bun.file(path).text()));
  const named = new Set(
    all.flatMap((text) => [...text.matchAll(/"(\w+)"/g)].map(([, key]) => key)),
  );
  return Object.keys(TEXTS).filter((key) => named.has(key));
}

/** The style that is imported, as text: made before, as one build waits for ever for another within it. */
const styled = (style: string): BunPlugin => ({
  name: "style",
  setup: (build) => {
    build.onLoad({ filter: /\.css$/ }, () => ({
      contents: `export default ${JSON.stringify(style)}`,
      loader: "js",
    }));
  },
});

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

interface Bundle {
  readonly text: string;
  /** What it was made of. */
  readonly files: readonly string[];
}

async function bundle(
  entry: string,
  minify: boolean,
  plugins: readonly BunPlugin[] = [],
): Promise<Bundle> {
  const { outputs, metafile } = await Bun.build({
    entrypoints: [entry],
    target: "browser",
    minify,
    plugins: [...plugins],
    metafile: true,
    define: { "process.env.NODE_ENV": '"production"' },
  });
  const [output] = outputs;
  if (!output || !metafile) throw new Error(`nothing was made of ${entry}`);
  return { text: (await output.text()).trim(), files: Object.keys(metafile.inputs) };
}

/** Of the header as much as is the same for everybody: shown before the script has run. */
const HEADER = `<header><a class="brand" href="#/"><svg viewBox="0 0 24 24" width="22" height="22" aria-hidden="true"><path d="${MARK}" fill="none" stroke="currentColor" stroke-width="1.8" stroke-linejoin="round"/></svg><span>spawnbox</span></a></header>`;

/** Nothing in them ends its element: the hashes of the policy are of what is between the tags. */
function page(first: string, script: string, style: string): string {
  if (/<\/script|<!--/i.test(first + script) || /<\/style/i.test(style))
    throw new Error("the console's script or style has what would end it within a page");
  const head = `<meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1"><meta name="color-scheme" content="light dark"><title>spawnbox</title><link rel="icon" href="data:,"><style>${style}</style>`;
  const noscript = `<noscript>This page needs JavaScript. Programs get JSON here: curl -H 'Accept: application/json'</noscript>`;
  const scripts = `<script>(()=>{${first}})()</script><script type="text/plain" id="main-script">${script}</script>`;
  return `<!doctype html><html lang="en"><head>${head}</head><body>${noscript}<div id="app">${HEADER}</div>${scripts}</body></html>`;
}
