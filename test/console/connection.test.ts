/** Who the page is to the server, and whether there is one. */
import { expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { serve, until, users } from "../served.ts";
import { boardConfig, inBrowser } from "./board.ts";

/** Ten times as fast for a page: silence and answers are waited for some seconds. Its clock is set back meanwhile, again and again. */
const FAST = `{
  const { now } = Date;
  const begin = now();
  Date.now = () => begin - 10 * (now() - begin);
  for (const name of ["setTimeout", "setInterval"]) {
    const slow = window[name];
    window[name] = (call, ms, ...more) => slow(call, ms / 10, ...more);
  }
}`;

inBrowser("connection", (board) => {
  test("a server that is gone is told, and one that is back is found", async () => {
    const first = await serve(boardConfig());
    const port = new URL(first.url).port;
    try {
      await board.page.open(`${first.url}/`);
      await board.page.see("a hundred thousand lines");
    } finally {
      await first.crash();
      await first[Symbol.asyncDispose]().catch(() => undefined);
    }
    await board.page.see("No connection to the server");
    await board.page.screenshot("lost");
    expect(await board.page.barriers()).toEqual([]);
    await using _ = await serve(boardConfig(), { argv: ["--port", port] });
    await until("it is back", async () => (await board.page.count(".banner")) === 0);
    await board.page.go("#/v/board/colours");
    await board.page.press("Run");
    await board.page.see("It succeeded.");
  }, 60_000);

  test("a stop that may not have come to the server is told, and can be asked for again", async () => {
    const doomed = await serve(boardConfig());
    try {
      await board.page.open(`${doomed.url}/#/v/board/slow`);
      await board.page.press("Run");
      await board.page.see("tick", ".log");
      process.kill(doomed.pid, "SIGSTOP");
      await board.page.press("Stop");
      await board.page.see("Stopping", ".title");
    } finally {
      await doomed.crash();
      await doomed[Symbol.asyncDispose]().catch(() => undefined);
    }
    await board.page.see("disconnected", ".title [role=alert]");
    const enabled = ".title .danger:not([disabled])";
    await until("it is there again", async () => (await board.page.text(enabled)) === "Stop");
  }, 60_000);

  test("a page that comes in pieces, as over a slow network, runs once it is whole", async () => {
    const whole = await fetch(`${board.served.url}/`, { headers: { accept: "text/html" } });
    const bytes = new Uint8Array(await whole.arrayBuffer());
    const headers = new Headers(whole.headers);
    for (const name of ["content-encoding", "content-length", "connection"]) headers.delete(name);
    const piece = Math.ceil(bytes.length / 4);
    using slow = Bun.serve({
      ...{ hostname: "127.0.0.1", port: 0 },
      fetch: ({ url }) =>
        new URL(url).pathname !== "/"
          ? new Response("none", { status: 404 })
          : new Response(
              (async function* pieces() {
                for (let at = 0; at < bytes.length; at += piece) {
                  yield bytes.subarray(at, at + piece);
                  await Bun.sleep(300);
                }
              })(),
              { headers },
            ),
    });
    await board.page.open(`http://127.0.0.1:${slow.port}/`);
    // Of the page's own script: there is nobody who answers it here.
    await board.page.see("No connection to the server");
  }, 60_000);

  test("a server that says nothing any more is asked, told, and left for a new connection", async () => {
    await using silent = await serve(boardConfig());
    const { identifier } = (await board.page.view.cdp("Page.addScriptToEvaluateOnNewDocument", {
      source: FAST,
    })) as { identifier: string };
    await board.page.open(`${silent.url}/`);
    await board.page.view.cdp("Page.removeScriptToEvaluateOnNewDocument", { identifier });
    await board.page.see("a hundred thousand lines");
    process.kill(silent.pid, "SIGSTOP");
    try {
      await board.page.see("No connection to the server");
    } finally {
      process.kill(silent.pid, "SIGCONT");
    }
    await until("it is back", async () => (await board.page.count(".banner")) === 0);
    await board.page.go("#/v/board/colours");
    await board.page.press("Run");
    await board.page.see("It succeeded.");
  }, 60_000);

  /** What browsers have had for so long that those of cars and kiosks may not. */
  const SINCE_2022 = `
    delete Promise.withResolvers; delete Promise.try;
    delete Map.groupBy; delete Object.groupBy; delete Array.fromAsync;
    for (const name of ["toSorted", "toReversed", "toSpliced", "with"]) delete Array.prototype[name];
    for (const name of ["union", "intersection", "difference", "isSubsetOf"]) delete Set.prototype[name];
    for (const name of ["isWellFormed", "toWellFormed"]) delete String.prototype[name];
    delete URL.canParse; delete URL.parse; delete AbortSignal.any; delete AbortSignal.timeout;
    delete window.Iterator; delete window.structuredClone;`;

  async function lacking(what: string, look: () => Promise<void>): Promise<void> {
    const source = { source: what };
    const added = await board.page.view.cdp("Page.addScriptToEvaluateOnNewDocument", source);
    try {
      await board.page.open(`${board.served.url}/`);
      await look();
    } finally {
      await board.page.view.cdp(
        "Page.removeScriptToEvaluateOnNewDocument",
        added as Record<string, unknown>,
      );
    }
    await board.open();
  }

  test("in a browser of 2022 all of it runs", async () => {
    await lacking(SINCE_2022, async () => {
      expect(await board.page.evaluate("typeof Promise.withResolvers")).toBe("undefined");
      await board.page.see("a hundred thousand lines");
      for (const [place, words] of [
        ["#/try", "side by side"],
        ["#/server", "Notices"],
        ["#/activity", "board"],
      ] as const) {
        await board.page.go(place);
        await board.page.see(words);
      }
      await board.page.go("#/v/board/colours");
      await board.page.press("Run");
      await board.page.see("It succeeded.");
      expect(await board.page.count("[role=alert]")).toBe(0);
    });
  }, 60_000);

  test("one that cannot run it says so, and which can", async () => {
    await lacking("delete Array.prototype.findLast", () =>
      board.page.see("This browser cannot run this page, which needs Chromium 97"),
    );
  }, 60_000);

  test("a page of before, whose second script the policy does not let run, is read anew, and once", async () => {
    const other = "(() => { window.ran = true; })()";
    await board.open();
    await board.page.evaluate(
      `(() => { window.old = true; window.fetch = () => Promise.resolve(new Response(${JSON.stringify(other)})); })()`,
    );
    await board.page.go("#/server");
    await until("the page is read anew", () => board.page.look<boolean>("!('old' in window)"));
    await board.page.see("Notices");
    expect(await board.page.evaluate("'ran' in window")).toBe(false);
    // Where that does not help it is not done for ever.
    await board.page.evaluate("sessionStorage.setItem('spawnbox:renewed', 'yes')");
    await board.open();
    await board.page.evaluate(
      `(() => { window.old = true; window.fetch = () => Promise.resolve(new Response(${JSON.stringify(other)})); })()`,
    );
    await board.page.go("#/server");
    await board.page.see("Loading");
    await Bun.sleep(500);
    expect(await board.page.evaluate("window.old")).toBe(true);
    await board.open();
  }, 60_000);

  test("what the kernel can do is told to who may ask", async () => {
    const dir = mkdtempSync(join(tmpdir(), "spawnbox-console-"));
    try {
      const access = join(dir, "access.json");
      const write = (grants: unknown[]) =>
        writeFileSync(access, JSON.stringify({ grants }), { mode: 0o644 });
      write([{ anyone: true, privileges: ["urn:spawnbox:doctor", "urn:spawnbox:reload"] }]);
      await using guarded = await serve(boardConfig(), {
        argv: ["--access", access],
        ...(users.length > 1 && { user: "root" as const }),
      });
      await board.page.open(`${guarded.url}/#/server`);
      await board.page.press("Examine");
      await board.page.see("namespace-net", ".features");
      expect(await board.page.count(".features li")).toBeGreaterThan(15);
      await board.page.screenshot("server");
      expect(await board.page.barriers()).toEqual([]);
      // Whoever asks meanwhile hears the same.
      const asked = await Promise.all([1, 2, 3].map(() => guarded.call("monitor/doctor")));
      for (const { response } of asked)
        expect((response as { features: unknown[] }).features.length).toBeGreaterThan(15);
      expect((await guarded.call("monitor/doctor", { x: 1 })).request.info).toBe(
        "doctor takes no arguments",
      );
      write([{ anyone: true, privileges: ["urn:spawnbox:reload"] }]);
      await board.page.press("Reload");
      await board.page.see("Nothing has changed.");
      await board.page.press("Examine");
      await board.page.see("monitor/doctor needs the privilege urn:spawnbox:doctor");
    } finally {
      rmSync(dir, { recursive: true });
    }
  }, 60_000);

  test("without a token a lock with its name; with one it runs; with one that is withdrawn that is told", async () => {
    const dir = mkdtempSync(join(tmpdir(), "spawnbox-console-"));
    try {
      const access = join(dir, "access.json");
      const made = Bun.spawnSync([
        board.served.program,
        "token",
        "urn:example:secret",
      ]).stdout.toString();
      const [token = "", grant = ""] = made.trim().split("\n");
      const reload = { anyone: true, privileges: ["urn:spawnbox:reload"] };
      const write = (grants: unknown[]) =>
        writeFileSync(access, JSON.stringify({ grants: [reload, ...grants] }), { mode: 0o644 });
      write([JSON.parse(grant)]);
      await using guarded = await serve(boardConfig(), {
        argv: ["--access", access],
        ...(users.length > 1 && { user: "root" as const }),
      });
      await board.page.open(`${guarded.url}/#/v/board/secret`);
      await board.page.see("This takes the privilege urn:example:secret");
      await board.page.screenshot("locked");
      await board.page.press("Run");
      await board.page.see("insufficient-scope");
      await board.page.go("#/server");
      await board.page.fill("token", token);
      await board.page.press("Use");
      await until("the token is taken", async () => (await board.page.count(".banner")) === 0);
      await board.page.go("#/v/board/secret");
      await board.page.press("Run");
      await board.page.see("42", ".log");
      await board.page.go("#/v/board/watched");
      await board.page.press("Run");
      await board.page.see("tick 3", ".log");
      write([]);
      // Whoever watches loses it, and is told.
      await guarded.call("monitor/reload");
      await board.page.see("You may not follow this task any more.", ".log");
      await board.page.screenshot("unsubscribed");
      await board.page.go("#/server");
      await board.page.press("Reload");
      await board.page.see("The server does not accept this token.");
      await board.page.screenshot("withdrawn");
      await board.page.press("Forget");
      await until("it is forgotten", async () => (await board.page.count(".banner")) === 0);
      await board.page.press("Reload");
      await board.page.see("Nothing has changed.");
    } finally {
      rmSync(dir, { recursive: true });
    }
  }, 60_000);
});
