/** Components of the console in happy-dom: bundled, and run with a window of their own instead of the globals of the tests. */
import { join } from "node:path";
import { Window } from "happy-dom";

const SOURCE = join(import.meta.dir, "../../src/console");

export interface Components extends AsyncDisposable {
  readonly window: Window;
  /** What the files export. */
  readonly from: Readonly<Record<string, unknown>>;
  /** Draws a component, and returns where. */
  draw(name: string, props: object): HTMLElementLike;
}

/** As much of it as tests look at. */
export interface HTMLElementLike {
  readonly textContent: string;
  readonly lastElementChild: HTMLElementLike | null;
  querySelector(selector: string): HTMLElementLike | null;
  querySelectorAll(selector: string): Iterable<HTMLElementLike> & { readonly length: number };
  getAttribute(name: string): string | null;
  dispatchEvent(event: unknown): boolean;
  value?: string;
  disabled?: boolean;
  click(): void;
}

export const components = (...files: readonly string[]): Promise<Components> =>
  componentsAt("http://localhost/", ...files);

/** On a page of that address, whose server they reach. */
export const componentsAt = (url: string, ...files: readonly string[]): Promise<Components> =>
  componentsAmid({}, url, ...files);

/** With something else in the place of globals. */
export async function componentsAmid(
  surroundings: Readonly<Record<string, unknown>>,
  url: string,
  ...files: readonly string[]
): Promise<Components> {
  const entry = join(SOURCE, "entry-of-tests.ts");
  const text = ["preact", ...files.map((file) => `./${file}`)]
    .map((file) => `export * from ${JSON.stringify(file)};`)
    .join("\n");
  const { outputs } = await Bun.build({
    entrypoints: [entry],
    files: { [entry]: text },
    ...{ target: "browser", format: "cjs" },
    define: { "process.env.NODE_ENV": '"production"' },
  });
  const code = (await outputs[0]?.text()) ?? "";
  const window = new Window({ url });
  const there = {
    ...{ window, document: window.document, location: window.location },
    ...{ navigator: window.navigator, localStorage: window.localStorage },
    ...{ matchMedia: window.matchMedia.bind(window), HTMLElement: window.HTMLElement },
    requestAnimationFrame: window.requestAnimationFrame.bind(window),
    cancelAnimationFrame: window.cancelAnimationFrame.bind(window),
    addEventListener: window.addEventListener.bind(window),
    removeEventListener: window.removeEventListener.bind(window),
    ...{ scrollTo: window.scrollTo.bind(window), sessionStorage: window.sessionStorage },
    ...surroundings,
  };
  const module: { exports: Record<string, unknown> } = { exports: {} };
  new Function("module", "exports", ...Object.keys(there), code)(
    ...[module, module.exports, ...Object.values(there)],
  );
  const from = module.exports;
  const { h, render } = from as {
    h(type: unknown, props: object): unknown;
    render(node: unknown, place: unknown): void;
  };
  return {
    window,
    from,
    draw(name, props) {
      const place = window.document.createElement("div");
      window.document.body.append(place);
      render(h(from[name], props), place);
      return place as unknown as HTMLElementLike;
    },
    [Symbol.asyncDispose]: () => window.happyDOM.close(),
  };
}
