/** What runs, and what has run; and the end of what does not want to end. */
import { expect, test } from "bun:test";
import { until } from "../served.ts";
import { inBrowser } from "./board.ts";

inBrowser("activity", (board) => {
  const rows = (): Promise<string[]> =>
    board.page.look(
      "[...document.querySelectorAll('main li code')].map((one) => one.textContent.trim())",
    );
  const seen = (wanted: readonly string[]): Promise<void> =>
    until(wanted.join(", "), async () => Bun.deepEquals(await rows(), wanted));

  test("tasks of anybody come by themselves, and are found by verb, caller and outcome", async () => {
    const call = (verb: string, args: unknown = {}) => board.served.call(`board/${verb}`, args);
    await call("colours");
    await call("guarded/mkdir");
    await call("slow");
    await board.open("#/a");
    const [good, bad, running] = ["board/colours", "board/guarded/mkdir", "board/slow"];
    await seen([running, bad, good].map(String));
    await board.page.screenshot("activity");
    expect(await board.page.barriers()).toEqual([]);
    await board.page.evaluate("document.querySelector('main select').id = 'outcome'");
    for (const [outcome, wanted] of [
      ["bad", [bad]],
      ["good", [good]],
      ["running", [running]],
      ["stopped", []],
    ] as const) {
      await board.page.fill("outcome", outcome);
      await seen(wanted.map(String));
    }
    await call("measure");
    await board.page.fill("outcome", "all");
    await seen(["board/measure", ...[running, bad, good].map(String)]);
    await board.page.evaluate("document.querySelector('[data-search]').id = 'sought'");
    await board.page.fill("sought", "mkdir 127.0");
    await seen([String(bad)]);
    await board.page.fill("sought", "nobody else");
    await board.page.see("Nothing found.");
    await board.page.fill("sought", "");
    await call("slow", { action: "stop" });
    await board.page.fill("outcome", "stopped");
    await seen([String(running)]);
    await board.page.scheme("dark");
    await board.page.size(360, 740);
    try {
      await board.page.fill("outcome", "all");
      await until("all", async () => (await rows()).length === 4);
      await board.page.screenshot("phone-activity-filled");
      expect(await board.page.overflow()).toBe(0);
      expect(await board.page.barriers()).toEqual([]);
    } finally {
      await board.page.size(1100, 850);
      await board.page.scheme("light");
    }
    await board.page.evaluate("document.querySelector('main li a').click()");
    await board.page.see("temperature", "table");
  }, 60_000);

  test("what does not stop can be killed", async () => {
    await board.open("#/v/board/stubborn");
    await board.page.press("Run");
    await board.page.see("begun", ".log");
    await board.page.press("Stop");
    await board.page.see("no", ".log");
    expect(await board.page.text(".title .buttons")).not.toContain("Kill");
    await until("Kill", async () => (await board.page.text(".title")).includes("Kill"));
    await board.page.press("Kill");
    await board.page.see("Somebody stopped it.");
  }, 60_000);
});
