/** How the page looks: on a phone, in the dark, in another language, behind a proxy, to who sees nothing. */
import { expect, test } from "bun:test";
import { serve, until } from "../served.ts";
import { boardConfig, inBrowser } from "./board.ts";
import type { Page } from "./page.ts";
import { prefixed } from "./prefix.ts";
import { traced } from "./trace.ts";

/** How often that is measured which nothing is expected of, and which takes long. */
const TURNS = process.env["CI"] === undefined ? 0 : 5;

inBrowser("look", (board) => {
  test("the page shows something before its script is read: within 300 ms where the processor is six times slower", async () => {
    const { view } = board.page;
    const spent: number[] = [];
    for (let tries = 0; spent.length < 3 && tries < 20; tries++) {
      await view.navigate("about:blank");
      const tasks = await traced(view, async () => {
        await view.navigate(`${board.served.url}/`);
        await board.page.see("a hundred thousand lines");
      });
      const has = (name: string, from: number): number =>
        tasks.findIndex(({ names }, at) => at >= from && names.includes(name));
      const committed = has("CommitLoad", 0);
      // The browser may take another process for the page, of which the beginning is not noted.
      if (committed < 0) continue;
      // The first script asks for a frame when all is there that the page brings along: it is painted in that, unless it was before.
      const compiled = has("v8.compileModule", committed);
      const frame = has("FireAnimationFrame", committed);
      expect([frame > committed, frame < compiled]).toEqual([true, true]);
      const painted = tasks.findLastIndex(
        ({ names }, at) => at < compiled && names.includes("Paint"),
      );
      expect(painted).toBeGreaterThan(committed);
      const before = tasks.slice(committed, painted + 1);
      spent.push(before.reduce((sum, { cpu }) => sum + cpu, 0));
    }
    // What else goes on only adds to it.
    expect(Math.min(...spent) * 6).toBeLessThan(300);
    expect(await board.page.text("header .brand")).toBe("spawnbox");
    if (TURNS === 0) return;
    const paints = { page: [] as number[], empty: [] as number[] };
    await view.cdp("Emulation.setCPUThrottlingRate", { rate: 6 });
    try {
      for (let turn = 0; turn < TURNS; turn++) {
        paints.page.push(await firstPaint(board.page, `${board.served.url}/`, "thousand lines"));
        paints.empty.push(await firstPaint(board.page, `${board.served.url}/api/none`, "none"));
      }
    } finally {
      await view.cdp("Emulation.setCPUThrottlingRate", { rate: 1 });
    }
    const [page, empty] = [middle(paints.page), middle(paints.empty)];
    console.log(
      `measured: first paint by the clock, six times slower: ${page} ms, of a page of one line ${empty} ms (medians of ${TURNS})`,
    );
  }, 60_000);

  test("behind a proxy that gives it a path, and tells the server nothing of it", async () => {
    await using between = await prefixed(board.served.url, "/boards/7");
    await board.page.open(between.url);
    await board.page.see("a hundred thousand lines");
    await board.page.go("#/v/board/colours");
    await board.page.press("From a shell");
    await board.page.see(`${between.url}api/board/colours`, "details");
    await board.page.press("Run");
    await board.page.see("It succeeded.");
    await board.page.see("red green orange", ".log");
    await board.page.go("#/v/board/slow");
    await board.page.press("Run");
    await board.page.see("tick 3", ".log");
    // Once more from its link, as a view that comes with the second script, by the WebSocket.
    await board.page.open(await board.page.evaluate<string>("location.href"));
    await board.page.see("tick 5", ".log");
    await board.page.evaluate("document.querySelector('.title .danger').click()");
    await board.page.see("Somebody stopped it.");
    await board.page.go("#/server");
    await board.page.see("spawnbox 0.");
  }, 60_000);

  test("in German, dark, on a phone, below a path", async () => {
    await using below = await serve(boardConfig(), { argv: ["--base", "/box/7"] });
    await board.page.scheme("dark");
    await board.page.size(360, 740);
    try {
      await board.page.open(`${below.url}/`);
      await board.page.see("a hundred thousand lines");
      await board.page.evaluate(
        "(() => { const one = document.querySelector('header select'); one.value = 'de'; one.dispatchEvent(new Event('change', { bubbles: true })); })()",
      );
      await board.page.see("Aktivität", "nav");
      for (const [name, hash, seen] of [
        ["verbs", "#/", "a hundred thousand lines"],
        ["form", "#/v/board/form", "Starten"],
        ["sandbox", "#/s/board/free", "sieht das ganze Dateisystem des Hosts"],
        ["activity", "#/a", "Aktivität"],
        ["try", "#/try", "Eine eigene Befehlszeile"],
        ["server", "#/server", "Neu laden"],
      ] as const) {
        await board.page.go(hash);
        await board.page.see(seen);
        await board.page.screenshot(`phone-${name}`);
        expect([name, await board.page.overflow()]).toEqual([name, 0]);
        expect(await board.page.barriers()).toEqual([]);
      }
      await board.page.go("#/v/board/measure");
      await board.page.press("Starten");
      await board.page.see("Gelungen.");
      await board.page.screenshot("phone-task");
      expect(await board.page.overflow()).toBe(0);
    } finally {
      await board.page.evaluate("localStorage.clear()");
      await board.page.size(1100, 850);
      await board.page.scheme("light");
    }
  }, 90_000);
});

/** ms from the navigation, by the clock of the browser: more where others use the processors. */
async function firstPaint(page: Page, url: string, seen: string): Promise<number> {
  await page.view.navigate("about:blank");
  await page.view.navigate(url);
  await page.see(seen);
  const noted = "performance.getEntriesByType('paint')[0]?.startTime ?? 0";
  // It is noted after the frame, which what one reads may be ahead of.
  await until("it is painted", async () => (await page.evaluate<number>(noted)) > 0);
  return Math.round(await page.evaluate<number>(noted));
}

const middle = (all: readonly number[]): number =>
  all.toSorted((a, b) => a - b)[all.length >> 1] ?? 0;
