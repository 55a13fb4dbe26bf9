/** Try it: one command in several sandboxes. */
import { expect, test } from "bun:test";
import { join } from "node:path";
import { serve, until } from "../served.ts";
import { inBrowser } from "./board.ts";

const LEARN = join(import.meta.dir, "../../config/learn.json");

inBrowser("try it", (board) => {
  test("a line of one's own, tried in the sandboxes that allow it", async () => {
    await board.open("#/try/board");
    await board.page.fill("line", "mkdir /tmp/y; id -u");
    await board.page.press("Run");
    await board.page.see("denied: mkdir", ".trials");
    await board.page.screenshot("try-own");
    expect(await board.page.barriers()).toEqual([]);
  }, 60_000);

  test("what takes too long is stopped", async () => {
    await board.open("#/try/board");
    await board.page.fill("line", "echo begun; exec sleep 8");
    await board.page.press("Run");
    await until("it runs", async () => {
      const { response } = await board.served.call("monitor/tasks", { state: "running" });
      return (response as unknown[]).length === 1;
    });
    expect(await board.page.barriers()).toEqual([]);
    await board.page.press("Stop");
    await board.page.see("Somebody stopped it.", ".trials");
    await board.page.see("begun", ".trials");
  }, 60_000);

  test("an exercise: side by side, what differs marked, and why", async () => {
    await using learn = await serve(await Bun.file(LEARN).json());
    await board.page.open(`${learn.url}/#/try`);
    await board.page.press("What do I see?");
    await until("all have run", async () => (await board.page.count(".trial .end")) === 4);
    expect(await board.page.count(".trial mark")).toBeGreaterThan(0);
    await board.page.see("In this sandbox it does not exist", ".trials");
    await board.page.see("What is not mounted cannot be read", ".differences");
    await board.page.screenshot("try-exercise");
    expect(await board.page.barriers()).toEqual([]);
    await board.page.press("Can I make a sandbox within?");
    await board.page.see("denied: unshare", ".trials");
    // The language changes what is there already, and the exercises have it, too.
    const speak = (language: string): Promise<unknown> =>
      board.page.evaluate(
        `(() => { const one = document.querySelector('header select'); one.value = ${JSON.stringify(language)}; one.dispatchEvent(new Event('change', { bubbles: true })); })()`,
      );
    await speak("fr");
    await board.page.see("un filtre ferme ce chemin", ".lesson");
    await speak("de");
    await board.page.see("ein Filter schließt ihn", ".lesson");
    await board.page.press("Wer bin ich?");
    await board.page.see("root ohne sie ist ein gewöhnlicher Benutzer", ".lesson");
    await until("all have run", async () => (await board.page.count(".trial .end")) === 4);
    await board.page.see("eigene Dateien, eigene Prozesse", ".trials");
    await board.page.scheme("dark");
    await board.page.size(360, 740);
    try {
      expect(await board.page.overflow()).toBe(0);
      await board.page.evaluate("document.querySelector('.trials').scrollIntoView()");
      await board.page.screenshot("phone-exercise");
      expect(await board.page.barriers()).toEqual([]);
    } finally {
      await board.page.evaluate("localStorage.clear()");
      await board.page.size(1100, 850);
      await board.page.scheme("light");
    }
  }, 60_000);
});
