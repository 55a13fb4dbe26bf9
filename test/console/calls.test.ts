/** Verbs are found, called, and what comes of it is shown. */
import { expect, test } from "bun:test";
import { until } from "../served.ts";
import { inBrowser } from "./board.ts";

inBrowser("calls", (board) => {
  test("a verb is found, its form filled, a fault told at its field, and its output shown", async () => {
    await board.open();
    await board.page.see("a hundred thousand lines");
    await board.page.screenshot("verbs");
    expect(await board.page.barriers()).toEqual([]);
    await board.page.evaluate("document.querySelector('[data-search]').focus()");
    await board.page.view.type("each kind");
    await until("one verb", async () => (await board.page.count("main li")) === 1);
    await board.page.view.press("Enter");
    await board.page.see("one of each kind of argument");
    // The list says that, too.
    await until("the form", async () => (await board.page.count("#field-level")) === 1);

    expect(await board.page.evaluate("document.querySelector('#field-level').type")).toBe("number");
    expect(await board.page.evaluate("document.querySelector('#field-pin').type")).toBe("password");
    expect(await board.page.evaluate("document.querySelector('#field-mode').tagName")).toBe(
      "SELECT",
    );
    for (const [name, value] of Object.entries({
      ...{ mode: "fast", level: "3", force: "true", pin: "4711", name: "UPPER" },
      ...{ list: "[9007199254740993,2]", text: "two words" },
    }))
      await board.page.fill(`field-${name}`, value);
    await board.page.press("Run");
    await board.page.see("name", ".wrong");
    expect(await board.page.count(".wrong")).toBe(1);
    expect(await board.page.evaluate("document.querySelector('.wrong input').id")).toBe(
      "field-name",
    );
    await board.page.screenshot("form-fault");
    expect(await board.page.barriers()).toEqual([]);
    await board.page.fill("field-name", "lower");
    await board.page.press("Run");
    await board.page.see("got fast 3 true lower [9007199254740993,2] two words 4711", ".log");
    await board.page.see("It succeeded.");
    // What is remembered is not the secret, and nothing shows it.
    const kept = await board.page.evaluate<string>("JSON.stringify({ ...localStorage })");
    expect(kept).toContain("two words");
    expect(kept).not.toContain("4711");
    await board.page.go("#/v/board/form");
    await until("the values of before", () =>
      board.page.evaluate<boolean>("document.querySelector('#field-text')?.value === 'two words'"),
    );
    expect(await board.page.evaluate("document.querySelector('#field-pin').value")).toBe("");
    // Nor does it get lost where the arguments are seen as JSON.
    await board.page.fill("field-pin", "4711");
    await board.page.press("JSON");
    await until("JSON", async () => (await board.page.count("#raw")) === 1);
    const written = await board.page.evaluate<string>("document.querySelector('#raw').value");
    expect(written).not.toContain("4711");
    await board.page.fill("raw", written.replace("two words", "other words"));
    await board.page.press("Run");
    await board.page.see("got fast 3 true lower [9007199254740993,2] other words 4711", ".log");
    await board.page.go("#/v/board/form");
    await board.page.fill("field-pin", "4711");
    await board.page.press("JSON");
    await board.page.press("JSON");
    expect(await board.page.evaluate("document.querySelector('#field-pin').value")).toBe("4711");
    await board.page.see("succeeded", "main section");
    await board.page.press("From a shell");
    await board.page.see("spawnbox call --url", "details");
    await board.page.see("curl ", "details");
    // In a frame of another page the clipboard may be refused.
    await board.page.evaluate(`Object.defineProperty(navigator, "clipboard", {
      value: { writeText: () => Promise.reject(new DOMException("refused", "NotAllowedError")) },
    })`);
    await board.page.evaluate(
      `document.addEventListener("copy", () => (window.copied = document.activeElement.value))`,
    );
    await board.page.press("Copy");
    await board.page.see("Copied", "details");
    const copied = await board.page.evaluate<string>("window.copied");
    expect(copied).toStartWith("curl ");
    expect(copied).toContain("9007199254740993");
    await board.page.screenshot("form");
  }, 60_000);

  test("colours, progress, a table and a curve; a denied call by name", async () => {
    await board.open("#/v/board/colours");
    await board.page.press("Run");
    await board.page.see("100%", ".log");
    await board.page.see("It succeeded.");
    expect(await board.page.count(".log .fc1")).toBe(1);
    expect(
      await board.page.evaluate(
        "getComputedStyle([...document.querySelectorAll('.log span')].at(-1)).color",
      ),
    ).toBe("rgb(255, 128, 0)");
    expect(await board.page.count(".log .err")).toBe(1);
    expect(await board.page.text(".log")).not.toContain("10%\n");
    await board.page.see("3 lines", ".bar");
    await board.page.screenshot("colours");
    expect(await board.page.barriers()).toEqual([]);
    await board.page.go("#/v/board/measure");
    await board.page.press("Run");
    await board.page.see("temperature", "table");
    expect(await board.page.count("tbody tr")).toBe(5);
    expect(await board.page.evaluate("document.querySelector('progress').value")).toBe(100);
    expect(await board.page.count(".curve")).toBe(1);
    await board.page.see("5 lines", ".bar");
    await board.page.screenshot("values");
    expect(await board.page.barriers()).toEqual([]);
    await board.page.go("#/v/board/guarded%2Fmkdir");
    await board.page.press("Run");
    await board.page.see("exit code 1");
    await board.page.see("denied: mkdir");
    await board.page.see("1 line", ".bar");
    await board.page.screenshot("denied");
  }, 60_000);

  test("what says so starts once a person has said yes", async () => {
    const asked = (): Promise<number> => board.page.count("dialog");
    const runs = async (): Promise<number> => {
      const { response } = await board.served.call("monitor/tasks", {
        verb: "reset",
        state: "all",
      });
      return (response as unknown[]).length;
    };
    await board.open("#/v/board/reset");
    await board.page.fill("field-what", "everything");
    await board.page.fill("field-pin", "4711");
    await board.page.press("Run");
    await board.page.see("Really start reset?", "dialog");
    await board.page.see("everything", "dialog");
    expect(await board.page.text("dialog")).not.toContain("4711");
    await board.page.screenshot("confirm");
    expect(await board.page.barriers()).toEqual([]);
    // Neither Enter once more nor Esc is a yes, and Esc leaves the form where it is.
    await board.page.view.press("Enter");
    await until("no question", async () => (await asked()) === 0);
    await board.page.press("Run");
    await until("a question", async () => (await asked()) === 1);
    await board.page.view.press("Escape");
    await until("no question", async () => (await asked()) === 0);
    expect(await board.page.evaluate("location.hash")).toBe("#/v/board/reset");
    expect(await runs()).toBe(0);
    await board.page.press("Run");
    await until("a question", async () => (await asked()) === 1);
    await board.page.evaluate("document.querySelector('dialog .danger').click()");
    await board.page.see("reset everything 4711", ".log");
    expect(await runs()).toBe(1);
    // Again asks again: it leads to the form.
    await board.page.see("It succeeded.");
    await board.page.press("Run again");
    await board.page.see("not to be undone");
    expect(await runs()).toBe(1);
  }, 60_000);

  test("who scrolls over a number changes the page, not the number", async () => {
    await board.open("#/v/board/form");
    await until("the form", async () => (await board.page.count("#field-level")) === 1);
    await board.page.fill("field-level", "3");
    const [x = 0, y = 0] = await board.page.evaluate<number[]>(`(() => {
      window.wheels = 0;
      addEventListener("wheel", () => wheels++);
      const field = document.querySelector("#field-level");
      field.focus();
      const { x, y, width, height } = field.getBoundingClientRect();
      return [x + width / 2, y + height / 2];
    })()`);
    const wheel = { type: "mouseWheel", x, y, deltaX: 0, deltaY: 120 };
    for (let times = 0; times < 3; times++)
      await board.page.view.cdp("Input.dispatchMouseEvent", wheel);
    await until("the wheel", () => board.page.evaluate<boolean>("wheels > 0"));
    expect(await board.page.evaluate("document.querySelector('#field-level').value")).toBe("3");
  }, 60_000);

  test("by keys alone", async () => {
    await board.open();
    await board.page.see("a hundred thousand lines");
    await board.page.view.press("/");
    await board.page.view.type("colours");
    await board.page.view.press("Enter");
    await board.page.see("as terminals show them");
    await board.page.tabTo("Run");
    await board.page.view.press("Enter");
    await board.page.see("It succeeded.");
    await board.page.view.press("Escape");
    await board.page.see("Activity", "h1");
    await board.page.view.press("Escape");
    await board.page.see("a hundred thousand lines");
    // What runs is stopped.
    await board.page.go("#/v/board/slow");
    await board.page.see("a line now and then");
    await board.page.tabTo("Run");
    await board.page.view.press("Enter");
    await board.page.see("tick 2", ".log");
    await board.page.tabTo("Stop");
    await board.page.view.press("Enter");
    await board.page.see("Somebody stopped it.");
    // Another view, by the bar above, and a line of one's own.
    await board.page.evaluate("document.activeElement.blur()");
    await board.page.tabTo("Try it");
    await board.page.view.press("Enter");
    await board.page.see("Try it", "h1");
    await board.page.view.press("/");
    await board.page.view.type("echo by keys");
    await board.page.view.press("Enter");
    await board.page.see("by keys", ".trials");
  }, 60_000);
});
