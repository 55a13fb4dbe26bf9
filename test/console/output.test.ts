/** Output as it comes: much of it, again, and to several who look. */
import { expect, test } from "bun:test";
import { until } from "../served.ts";
import { inBrowser } from "./board.ts";
import { Page } from "./page.ts";
import { proxy } from "./proxy.ts";
import { longest, traced } from "./trace.ts";

inBrowser("output", (board) => {
  test("a hundred thousand lines: followed, read above, filtered, downloaded, stopped", async () => {
    await board.open("#/v/board/many");
    const tasks = await traced(board.page.view, async () => {
      await board.page.press("Run");
      // Beside other browsers it takes a while.
      await until("the end", async () => (await board.page.lastLine()) === "the end", 90_000);
    });
    await board.page.see("100,001 lines", ".bar");
    // A frame waits for one task at most, and is one itself: both take less than 100 ms. A collection of garbage may come between.
    const frames = tasks.filter(({ names }) => names.includes("FireAnimationFrame"));
    const slowest = tasks.toSorted((a, b) => b.clock - a.clock)[0];
    console.log(
      `measured: 100,000 lines, ${frames.length} frames: what took longest held others up for ${Math.round(slowest?.clock ?? 0)} ms by the clock, ${Math.round(slowest?.cpu ?? 0)} ms of the processor`,
    );
    const long = tasks.filter(({ cpu }) => cpu > 50);
    expect([long.length <= frames.length / 10, longest(tasks)]).toEqual([true, longest(tasks)]);
    expect([long.every(({ cpu }) => cpu < 100), longest(tasks)]).toEqual([true, longest(tasks)]);
    // It was drawn all along, and not once at the end.
    expect(frames.length).toBeGreaterThan(10);
    expect(await board.page.count(".log .row")).toBeLessThanOrEqual(20_000);
    expect(await board.page.count(".log .block")).toBeLessThanOrEqual(202);
    const atEnd =
      "(() => { const { scrollTop, scrollHeight, clientHeight } = document.querySelector('.log'); return scrollHeight - scrollTop - clientHeight < 24; })()";
    await until("it follows", () => board.page.evaluate<boolean>(atEnd));
    await board.page.screenshot("task");
    await board.page.evaluate("document.querySelector('.log').scrollTop -= 3000");
    await until("the way to the end", async () => (await board.page.count(".to-end")) === 1);
    expect(await board.page.evaluate(atEnd)).toBe(false);
    await board.page.screenshot("task-above");
    await board.page.press("↓ To the end");
    await until("it follows again", () => board.page.evaluate<boolean>(atEnd));
    await board.page.evaluate(
      "(() => { const one = document.querySelector('.bar input'); one.value = '9999'; one.dispatchEvent(new Event('input', { bubbles: true })); })()",
    );
    // 9999, 19999 … 99999, and 99990 to 99998.
    await until("the filtered", async () => (await board.page.count(".log .row")) === 19);
    await board.page.evaluate(`(() => {
      URL.createObjectURL = (blob) => { blob.text().then((all) => (window.saved = all)); return "about:blank"; };
      HTMLAnchorElement.prototype.click = function () { window.savedAs = this.download; };
    })()`);
    await board.page.evaluate("[...document.querySelectorAll('.bar button')].at(-1).click()");
    await until("the file", () => board.page.evaluate<boolean>("'saved' in window"));
    expect(await board.page.evaluate("saved.split('\\n').length")).toBe(100_002);
    expect(await board.page.evaluate("savedAs")).toMatch(/^many-\w+\.txt$/);
    await board.page.evaluate("document.querySelector('.title .danger').click()");
    await board.page.see("Somebody stopped it.");
    expect(await board.page.text(".title .chip")).toBe("stopped");
    expect(await board.page.barriers()).toEqual([]);
  }, 120_000);

  test("a task is found again by its link, by two tabs, and by whoever comes back", async () => {
    await board.open("#/v/board/slow");
    await board.page.press("Run");
    await board.page.see("tick 5", ".log");
    const address = await board.page.evaluate<string>("location.href");
    const other = new Page(board.browser.view());
    try {
      await other.open(address);
      await other.see("tick 6", ".log");
      const lines = (await other.text(".log")).trim().split("\n");
      expect(lines.slice(0, 6)).toEqual(Array.from({ length: 6 }, (_, i) => `tick ${i + 1}`));
      await other.evaluate("document.querySelector('.title .danger').click()");
      await board.page.see("Somebody stopped it.");
    } finally {
      other.view.close();
    }
  }, 60_000);

  test("who comes late is told how much is gone, and gets the rest", async () => {
    await board.open("#/v/board/forgotten");
    await board.page.press("Run");
    await until("the end", async () => (await board.page.lastLine()) === "20000");
    const address = await board.page.evaluate<string>("location.href");
    await board.page.open(address);
    await until("the end", async () => (await board.page.lastLine()) === "20000");
    const [note = "", first = ""] = await board.page.evaluate<string[]>(
      "[...document.querySelectorAll('.log .row')].slice(0, 2).map((one) => one.textContent)",
    );
    expect(note).toMatch(/^[\d,]+ lines are gone: /);
    // As many as it says are missing, and no other.
    expect(Number(first)).toBe(Number(note.replace(/\D/g, "")) + 1);
    expect(await board.page.count(".log .row.out")).toBe(20_000 - Number(first) + 1);
    await board.page.evaluate("document.querySelector('.title .danger').click()");
    await board.page.see("Somebody stopped it.");
  }, 60_000);

  test("a connection that breaks is gone on with: no line is missing, and none comes twice", async () => {
    await using between = await proxy(board.served.url);
    await board.page.open(`${between.url}/#/v/board/slow`);
    await board.page.press("Run");
    for (const last of [5, 12, 20]) {
      await board.page.see(`tick ${last}`, ".log");
      between.cut();
    }
    await board.page.see("tick 26", ".log");
    const lines = (await board.page.text(".log")).trim().split("\n");
    expect(lines.slice(0, 26)).toEqual(Array.from({ length: 26 }, (_, i) => `tick ${i + 1}`));
    await board.page.evaluate("document.querySelector('.title .danger').click()");
    await board.page.see("Somebody stopped it.");
  }, 60_000);
});
