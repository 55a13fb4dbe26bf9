/** A real browser: Debian's chromium, driven by Bun over its DevTools protocol. */
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { marked } from "../sandbox/attack.ts";
import { until } from "../served.ts";

export const PACKAGE = "chromium";
export const program = Bun.which("chromium");

/** Views of one browser; only one can be open in a process. */
export interface Browser extends AsyncDisposable {
  view(): Bun.WebView;
}

/** @param more of its command line */
export function openBrowser(more: readonly string[] = []): Browser {
  if (program === null) throw new Error(`install the package ${PACKAGE}`);
  // A new and empty one: no history, no cookies, nothing that synchronises.
  const profile = mkdtempSync(join(tmpdir(), "spawnbox-browser-"));
  const argv = [
    `--user-data-dir=${profile}`,
    // Root has no user namespace to spare for it; the pages are our own.
    "--no-sandbox",
    "--disable-quic",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    // One process does for all pages: starting one takes longer than the page. Nor do origins share less in it.
    "--renderer-process-limit=1",
    "--disable-site-isolation-trials",
    // Nor for what is painted: there is no graphics card, and no process whose start another takes over.
    "--disable-gpu",
    "--in-process-gpu",
    "--no-zygote",
    // Names that are no loopback to the browser, as on a network; the connections stay on this machine.
    "--host-resolver-rules=MAP *.test 127.0.0.1",
    ...more,
  ];
  return {
    view: () =>
      new Bun.WebView({
        ...{ width: 1000, height: 900 },
        backend: { type: "chrome", path: program, argv },
      }),
    async [Symbol.asyncDispose]() {
      const processes = marked(profile).map((pid) => `/proc/${pid}`);
      Bun.WebView.closeAll();
      // The runtime takes the next one for this, until it has reaped it.
      await until("the browser has gone", () => !processes.some((path) => existsSync(path)));
      rmSync(profile, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 });
    },
  };
}
