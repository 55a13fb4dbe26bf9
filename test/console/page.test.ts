/** The console in a real browser, served by the executable. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Browser, openBrowser, PACKAGE, program } from "../afb/browser.ts";
import { type Served, serve, until, users } from "../served.ts";
import { Page } from "./page.ts";

const LEARN = join(import.meta.dir, "../../config/learn.json");
const script = (text: string) => ({ cmdpath: "/bin/sh", args: ["-c", text] });
const config = {
  metadata: { uid: "board", api: "board", info: "a board with a few commands" },
  sandboxes: [
    {
      uid: "free",
      prefix: "",
      info: "nothing around it",
      acls: { user: "nobody" },
      commands: [
        {
          uid: "form",
          info: "one of each kind of argument",
          encoder: "sync",
          params: {
            mode: { enum: ["slow", "fast"] },
            level: { type: "integer", minimum: 1, maximum: 9 },
            force: { type: "boolean" },
            pin: { type: "string", writeOnly: true },
            name: { type: "string", pattern: "^[a-z]+$" },
            list: { type: "array", items: { type: "integer" } },
            text: { type: "string" },
          },
          sample: [
            { mode: "fast", level: 3, force: true, pin: "1", name: "x", list: [1], text: "t" },
          ],
          exec: {
            cmdpath: "/bin/echo",
            args: ["got", "%mode%", "%level%", "%force%", "%name%", "%list%", "%text%", "?pin?"],
          },
        },
        {
          uid: "many",
          info: "a hundred thousand lines",
          encoder: "line",
          exec: script("seq 1 100000; echo the end; exec sleep 1000"),
        },
        {
          uid: "slow",
          info: "a line now and then",
          encoder: "line",
          history: { ring: "256K" },
          exec: script("for i in $(seq 1000); do echo tick $i; sleep 0.1; done"),
        },
        {
          uid: "colours",
          info: "as terminals show them",
          encoder: "line",
          exec: script(
            "printf '\\033[31mred\\033[0m \\033[1;32mgreen\\033[0m \\033[38;2;255;128;0morange\\033[0m\\n'; echo wrong >&2; printf '10%%%%\\r100%%%%\\n'",
          ),
        },
        {
          uid: "measure",
          info: "numbers as they come",
          encoder: "json",
          exec: script(
            'for i in 1 2 3 4 5; do echo "{\\"progress\\": $((i*20)), \\"temperature\\": $((20+i*i)), \\"door\\": \\"shut\\"}"; done; sleep 1',
          ),
        },
        {
          uid: "evil",
          info: "<img src=x onerror=alert(1)> in its help",
          encoder: "line",
          exec: {
            cmdpath: "/bin/sh",
            args: ["-c", "cat /tmp/none; printf '%%s\\n' \"$1\"", "sh", "%text%"],
          },
        },
        {
          uid: "secret",
          privilege: "urn:example:secret",
          info: "not for everybody",
          encoder: "sync",
          exec: { cmdpath: "/bin/echo", args: ["42"] },
        },
      ],
    },
    {
      uid: "guarded",
      info: "tells what it denies",
      optional: true,
      acls: { user: "nobody" },
      exec: true,
      seccomp: {
        ...{ default: "SCMP_ACT_ALLOW", report: true },
        rules: [{ syscall: "mkdir", action: "SCMP_ACT_ERRNO(EPERM)" }],
      },
      commands: {
        uid: "mkdir",
        encoder: "sync",
        exec: { cmdpath: "/bin/mkdir", args: ["/tmp/x"] },
      },
    },
  ],
};
// In the config $ stands for the environment, as long as it is not doubled.
const text = JSON.stringify(config).replaceAll("$", "$$$$").replace("^[a-z]+$$", "^[a-z]+$");

if (program === null) {
  const missing = `the console in a browser: the package ${PACKAGE} is not installed`;
  if (process.env["CI"]) test(missing, () => expect(program).not.toBeNull());
  else test.skip(missing, () => undefined);
  console.error(missing);
} else {
  describe("in chromium", inBrowser);
}

function inBrowser(): void {
  let served: Served;
  let browser: Browser;
  let page: Page;
  beforeAll(async () => {
    served = await serve(JSON.parse(text));
    browser = openBrowser();
    page = new Page(browser.view());
    // The browser's first start may take long.
    await page.view.navigate("about:blank");
    await page.size(1100, 850);
    await page.scheme("light");
  }, 120_000);
  afterAll(async () => {
    page?.view.close();
    browser?.[Symbol.dispose]();
    await served?.[Symbol.asyncDispose]();
  });

  const open = async (hash = ""): Promise<void> => {
    await page.open(`${served.url}/${hash}`);
    await until("the page", async () => (await page.count("main h1, main .empty")) > 0);
  };
  const state = (): Promise<string> => page.text(".title .chip");

  test("a verb is found, its form filled, a fault told at its field, and its output shown", async () => {
    await open();
    await page.see("a hundred thousand lines");
    await page.screenshot("verbs");
    expect(await page.barriers()).toEqual([]);
    await page.evaluate("document.querySelector('[data-search]').focus()");
    await page.view.type("each kind");
    await until("one verb", async () => (await page.count("main li")) === 1);
    await page.view.press("Enter");
    await page.see("one of each kind of argument");

    expect(await page.evaluate("document.querySelector('#field-level').type")).toBe("number");
    expect(await page.evaluate("document.querySelector('#field-pin').type")).toBe("password");
    expect(await page.evaluate("document.querySelector('#field-mode').tagName")).toBe("SELECT");
    for (const [name, value] of Object.entries({
      ...{ mode: "fast", level: "3", force: "true", pin: "4711", name: "UPPER" },
      ...{ list: "[1,2]", text: "two words" },
    }))
      await page.fill(`field-${name}`, value);
    await page.press("Run");
    await page.see("name", ".wrong");
    expect(await page.count(".wrong")).toBe(1);
    expect(await page.evaluate("document.querySelector('.wrong input').id")).toBe("field-name");
    await page.screenshot("form-fault");
    expect(await page.barriers()).toEqual([]);
    await page.fill("field-name", "lower");
    await page.press("Run");
    await page.see("got fast 3 true lower [1,2] two words 4711", ".log");
    await page.see("It succeeded.");
    // What is remembered is not the secret, and nothing shows it.
    const kept = await page.evaluate<string>("JSON.stringify({ ...localStorage })");
    expect(kept).toContain("two words");
    expect(kept).not.toContain("4711");
    await page.go("#/v/board/form");
    await until("the values of before", () =>
      page.evaluate<boolean>("document.querySelector('#field-text')?.value === 'two words'"),
    );
    expect(await page.evaluate("document.querySelector('#field-pin').value")).toBe("");
    await page.see("succeeded", "main section");
    await page.press("From a shell");
    await page.see("spawnbox call --url", "details");
    await page.see("curl ", "details");
    await page.screenshot("form");
  }, 60_000);

  test("a hundred thousand lines: followed, read above, filtered, downloaded, stopped", async () => {
    await open("#/v/board/many");
    await page.evaluate(`(() => {
      window.longest = 0;
      let last = performance.now();
      const frame = (now) => { window.longest = Math.max(window.longest, now - last); last = now; requestAnimationFrame(frame); };
      requestAnimationFrame(frame);
    })()`);
    await page.press("Run");
    await until("the end", async () => (await page.lastLine()) === "the end");
    await page.see("100,001 lines", ".bar");
    console.error(
      `100,000 lines: the longest frame took ${Math.round(await page.evaluate("longest"))} ms`,
    );
    expect(await page.count(".log .row")).toBeLessThanOrEqual(20_000);
    expect(await page.count(".log .block")).toBeLessThanOrEqual(102);
    const atEnd =
      "(() => { const { scrollTop, scrollHeight, clientHeight } = document.querySelector('.log'); return scrollHeight - scrollTop - clientHeight < 24; })()";
    await until("it follows", () => page.evaluate<boolean>(atEnd));
    await page.screenshot("task");
    await page.evaluate("document.querySelector('.log').scrollTop -= 3000");
    await until("the way to the end", async () => (await page.count(".to-end")) === 1);
    expect(await page.evaluate(atEnd)).toBe(false);
    await page.screenshot("task-above");
    await page.press("↓ To the end");
    await until("it follows again", () => page.evaluate<boolean>(atEnd));
    await page.evaluate(
      "(() => { const one = document.querySelector('.bar input'); one.value = '9999'; one.dispatchEvent(new Event('input', { bubbles: true })); })()",
    );
    // 9999, 19999 … 99999, and 99990 to 99998.
    await until("the filtered", async () => (await page.count(".log .row")) === 19);
    await page.evaluate(`(() => {
      URL.createObjectURL = (blob) => { blob.text().then((all) => (window.saved = all)); return "about:blank"; };
      HTMLAnchorElement.prototype.click = function () { window.savedAs = this.download; };
    })()`);
    await page.evaluate("[...document.querySelectorAll('.bar button')].at(-1).click()");
    await until("the file", () => page.evaluate<boolean>("'saved' in window"));
    expect(await page.evaluate("saved.split('\\n').length")).toBe(100_002);
    expect(await page.evaluate("savedAs")).toMatch(/^many-\w+\.txt$/);
    await page.evaluate("document.querySelector('.title .danger').click()");
    await page.see("Somebody stopped it.");
    expect(await state()).toBe("stopped");
    expect(await page.barriers()).toEqual([]);
  }, 120_000);

  test("colours, progress, a table and a curve; a denied call by name", async () => {
    await open("#/v/board/colours");
    await page.press("Run");
    await page.see("100%", ".log");
    await page.see("It succeeded.");
    expect(await page.count(".log .fc1")).toBe(1);
    expect(
      await page.evaluate(
        "getComputedStyle([...document.querySelectorAll('.log span')].at(-1)).color",
      ),
    ).toBe("rgb(255, 128, 0)");
    expect(await page.count(".log .err")).toBe(1);
    expect(await page.text(".log")).not.toContain("10%\n");
    await page.screenshot("colours");
    expect(await page.barriers()).toEqual([]);
    await page.go("#/v/board/measure");
    await page.press("Run");
    await page.see("temperature", "table");
    expect(await page.count("tbody tr")).toBe(5);
    expect(await page.evaluate("document.querySelector('progress').value")).toBe(100);
    expect(await page.count(".curve")).toBe(1);
    await page.screenshot("values");
    expect(await page.barriers()).toEqual([]);
    await page.go("#/v/board/guarded%2Fmkdir");
    await page.press("Run");
    await page.see("exit code 1");
    await page.see("denied: mkdir");
    await page.screenshot("denied");
  }, 60_000);

  test("a task is found again by its link, by two tabs, and by whoever comes back", async () => {
    await open("#/v/board/slow");
    await page.press("Run");
    await page.see("tick 5", ".log");
    const address = await page.evaluate<string>("location.href");
    const other = new Page(browser.view());
    try {
      await other.open(address);
      await other.see("tick 6", ".log");
      const lines = (await other.text(".log")).trim().split("\n");
      expect(lines.slice(0, 6)).toEqual(Array.from({ length: 6 }, (_, i) => `tick ${i + 1}`));
      await other.evaluate("document.querySelector('.title .danger').click()");
      await page.see("Somebody stopped it.");
    } finally {
      other.view.close();
    }
  }, 60_000);

  test("a server that is gone is told, and one that is back is found", async () => {
    const first = await serve(JSON.parse(text));
    const port = new URL(first.url).port;
    try {
      await page.open(`${first.url}/`);
      await page.see("a hundred thousand lines");
    } finally {
      await first.crash();
      await first[Symbol.asyncDispose]().catch(() => undefined);
    }
    await page.see("No connection to the server");
    await page.screenshot("lost");
    expect(await page.barriers()).toEqual([]);
    await using _ = await serve(JSON.parse(text), { argv: ["--port", port] });
    await until("it is back", async () => (await page.count(".banner")) === 0);
    await page.go("#/v/board/colours");
    await page.press("Run");
    await page.see("It succeeded.");
  }, 60_000);

  test("without a token a lock with its name; with one it runs; with one that is withdrawn that is told", async () => {
    const dir = mkdtempSync(join(tmpdir(), "spawnbox-console-"));
    try {
      const access = join(dir, "access.json");
      const made = Bun.spawnSync([served.program, "token", "urn:example:secret"]).stdout.toString();
      const [token = "", grant = ""] = made.trim().split("\n");
      const reload = { anyone: true, privileges: ["urn:spawnbox:reload"] };
      const write = (grants: unknown[]) =>
        writeFileSync(access, JSON.stringify({ grants: [reload, ...grants] }), { mode: 0o644 });
      write([JSON.parse(grant)]);
      await using guarded = await serve(JSON.parse(text), {
        argv: ["--access", access],
        ...(users.length > 1 && { user: "root" as const }),
      });
      await page.open(`${guarded.url}/#/v/board/secret`);
      await page.see("This takes the privilege urn:example:secret");
      await page.screenshot("locked");
      await page.press("Run");
      await page.see("insufficient-scope");
      await page.go("#/server");
      await page.fill("token", token);
      await page.press("Use");
      await until("the token is taken", async () => (await page.count(".banner")) === 0);
      await page.go("#/v/board/secret");
      await page.press("Run");
      await page.see("42", ".log");
      write([]);
      await page.go("#/server");
      await page.press("Reload");
      await page.see("The server does not accept this token.");
      await page.screenshot("withdrawn");
      await page.press("Forget");
      await until("it is forgotten", async () => (await page.count(".banner")) === 0);
      await page.press("Reload");
      await page.see("Nothing has changed.");
    } finally {
      rmSync(dir, { recursive: true });
    }
  }, 60_000);

  test("by keys alone", async () => {
    await open();
    await page.see("a hundred thousand lines");
    await page.view.press("/");
    await page.view.type("colours");
    await page.view.press("Enter");
    await page.see("as terminals show them");
    for (let i = 0; i < 30; i++) {
      if (await page.evaluate<boolean>("document.activeElement.classList.contains('primary')"))
        break;
      await page.view.press("Tab");
    }
    await page.view.press("Enter");
    await page.see("It succeeded.");
    await page.view.press("Escape");
    await page.see("Activity", "h1");
    await page.view.press("Escape");
    await page.see("a hundred thousand lines");
  }, 60_000);

  test("in German, dark, on a phone, below a path", async () => {
    await using below = await serve(JSON.parse(text), { argv: ["--base", "/box/7"] });
    await page.scheme("dark");
    await page.size(360, 740);
    try {
      await page.open(`${below.url}/`);
      await page.see("a hundred thousand lines");
      await page.evaluate(
        "(() => { const one = document.querySelector('header select'); one.value = 'de'; one.dispatchEvent(new Event('change', { bubbles: true })); })()",
      );
      await page.see("Aktivität", "nav");
      for (const [name, hash, seen] of [
        ["verbs", "#/", "a hundred thousand lines"],
        ["form", "#/v/board/form", "Starten"],
        ["sandbox", "#/s/board/free", "Was sie tut"],
        ["activity", "#/a", "Aktivität"],
        ["try", "#/try", "Eine eigene Befehlszeile"],
        ["server", "#/server", "Neu laden"],
      ] as const) {
        await page.go(hash);
        await page.see(seen);
        await page.screenshot(`phone-${name}`);
        expect([name, await page.overflow()]).toEqual([name, 0]);
        expect(await page.barriers()).toEqual([]);
      }
      await page.go("#/v/board/measure");
      await page.press("Starten");
      await page.see("Gelungen.");
      await page.screenshot("phone-task");
      expect(await page.overflow()).toBe(0);
    } finally {
      await page.evaluate("localStorage.clear()");
      await page.size(1100, 850);
      await page.scheme("light");
    }
  }, 90_000);

  test("a line of one's own, tried in the sandboxes that allow it", async () => {
    await open("#/try/board");
    await page.fill("line", "mkdir /tmp/y; id -u");
    await page.press("Run");
    await page.see("denied: mkdir", ".trials");
    await page.screenshot("try-own");
    expect(await page.barriers()).toEqual([]);
  }, 60_000);

  test("[protection] whatever is printed, given or told becomes text: no element, link, title or sequence of a terminal", async () => {
    await open();
    await page.see("<img src=x onerror=alert(1)> in its help");
    await page.evaluate("(() => { window.alert = () => (window.obeyed = true); })()");
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
    await page.go("#/v/board/evil");
    await page.fill("field-text", evil.join("\n"));
    await page.press("Run");
    await page.see("It succeeded.");
    await until("all lines", async () => (await page.count(".log .row.out")) === evil.length);
    const within = await page.evaluate<string[]>(
      `[...new Set([...document.querySelectorAll(".log *")].flatMap((one) => [one.tagName, ...one.getAttributeNames()]))].sort()`,
    );
    expect(
      within.filter((name) => !["DIV", "SPAN", "class", "data-at", "style"].includes(name)),
    ).toEqual([]);
    const shown = await page.evaluate<string>(
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
      await page.go(hash);
      await Bun.sleep(100);
      expect([
        hash,
        await page.count("main img, main script, main svg[onload], main iframe"),
      ]).toEqual([hash, 0]);
      const links = await page.evaluate<string[]>(
        "[...document.querySelectorAll('a')].map((one) => one.getAttribute('href')).filter((one) => !one.startsWith('#'))",
      );
      expect([hash, links]).toEqual([hash, []]);
    }
    expect(await page.evaluate("window.obeyed === true")).toBe(false);
    // And if something were markup, the policy of the page would not let it run.
    await page.evaluate(
      "(() => { const one = document.createElement('div'); one.innerHTML = '<img src=x onerror=alert(1)>'; document.body.append(one); const two = document.createElement('script'); two.textContent = 'alert(1)'; document.body.append(two); one.remove(); })()",
    );
    await Bun.sleep(200);
    expect(await page.evaluate("window.obeyed === true")).toBe(false);
  }, 60_000);

  test("an exercise: side by side, what differs marked, and why", async () => {
    await using learn = await serve(await Bun.file(LEARN).json());
    await page.open(`${learn.url}/#/try`);
    await page.press("What do I see?");
    await until("all have run", async () => (await page.count(".trial .end")) === 4);
    expect(await page.count(".trial mark")).toBeGreaterThan(0);
    await page.see("In this sandbox it does not exist", ".trials");
    await page.see("What is not mounted cannot be read", ".differences");
    await page.screenshot("try-exercise");
    expect(await page.barriers()).toEqual([]);
    await page.press("Can I make a sandbox within?");
    await page.see("denied: unshare", ".trials");
    await page.scheme("dark");
    await page.size(360, 740);
    try {
      expect(await page.overflow()).toBe(0);
      await page.evaluate("document.querySelector('.trials').scrollIntoView()");
      await page.screenshot("phone-exercise");
      expect(await page.barriers()).toEqual([]);
    } finally {
      await page.size(1100, 850);
      await page.scheme("light");
    }
  }, 60_000);
}
