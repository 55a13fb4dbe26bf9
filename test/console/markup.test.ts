/** Nothing that comes from a command or a config becomes markup. */
import { expect, test } from "bun:test";
import { until } from "../served.ts";
import { inBrowser } from "./board.ts";

inBrowser("markup", (board) => {
  test("[protection] whatever is printed, given or told becomes text: no element, link, title or sequence of a terminal", async () => {
    await board.open();
    await board.page.see("<img src=x onerror=alert(1)> in its help");
    await board.page.evaluate("(() => { window.alert = () => (window.obeyed = true); })()");
    const parts = [
      "<img src=x onerror=alert(1)>",
      "<script>alert(1)</script>",
      "</div>",
      "<a href=javascript:alert(1)>x</a>",
    ];
    parts.push(
      "\u001b]8;;javascript:alert(1)\u0007link\u001b]8;;\u0007",
      "\u001b[2J",
      "\u001b[31m",
      "\u001b[38;2;1;2;3;url(x)m",
    );
    parts.push(
      "&lt;b&gt;",
      "\u202e",
      "'\"><svg onload=alert(1)>",
      "{{7*7}}",
      "javascript:alert(1)",
      "__proto__",
      "data:text/html,x",
    );
    let seed = 11;
    const next = (most: number): number => (seed = (seed * 48271) % 2147483647) % most;
    const evil = Array.from({ length: 300 }, () =>
      Array.from({ length: 1 + next(5) }, () => parts[next(parts.length)]).join(""),
    );
    await board.page.go("#/v/board/evil");
    await board.page.fill("field-text", evil.join("\n"));
    await board.page.press("Run");
    await board.page.see("It succeeded.");
    await until("all lines", async () => (await board.page.count(".log .row.out")) === evil.length);
    const within = await board.page.evaluate<string[]>(
      `[...new Set([...document.querySelectorAll(".log *")].flatMap((one) => [one.tagName, ...one.getAttributeNames()]))].sort()`,
    );
    expect(
      within.filter((name) => !["DIV", "SPAN", "class", "data-at", "style"].includes(name)),
    ).toEqual([]);
    const shown = await board.page.evaluate<string>(
      "[...document.querySelectorAll('.log .row.out')].map((one) => one.textContent).join('\\n')",
    );
    expect(/[\0-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]/.test(shown)).toBe(false);
    expect(shown).toContain("<script>alert(1)</script>");
    for (const hash of [
      "#/a",
      "#/v/board/evil",
      "#/v/board/%3Cimg%20src%3Dx%20onerror%3Dalert(1)%3E",
      "#/t/%3Cscript%3E",
      "#/s/board/__proto__",
      "#/%",
    ]) {
      await board.page.go(hash);
      await Bun.sleep(100);
      expect([
        hash,
        await board.page.count("main img, main script, main svg[onload], main iframe"),
      ]).toEqual([hash, 0]);
      const links = await board.page.evaluate<string[]>(
        "[...document.querySelectorAll('a')].map((one) => one.getAttribute('href')).filter((one) => !one.startsWith('#'))",
      );
      expect([hash, links]).toEqual([hash, []]);
    }
    expect(await board.page.evaluate("window.obeyed === true")).toBe(false);
    // And if something were markup, the policy of the page would not let it run.
    await board.page.evaluate(
      "(() => { const one = document.createElement('div'); one.innerHTML = '<img src=x onerror=alert(1)>'; document.body.append(one); const two = document.createElement('script'); two.textContent = 'alert(1)'; document.body.append(two); one.remove(); })()",
    );
    await Bun.sleep(200);
    expect(await board.page.evaluate("window.obeyed === true")).toBe(false);
  }, 60_000);
});
