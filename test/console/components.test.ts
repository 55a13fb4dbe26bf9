import { expect, test } from "bun:test";
import { until } from "../served.ts";
import { components, componentsAmid, type HTMLElementLike } from "./components.ts";

const texts = (place: HTMLElementLike, selector: string): string[] =>
  [...place.querySelectorAll(selector)].map(({ textContent }) => textContent);

test("a field: its control, its range, its fault, and who reads it aloud knows what belongs to it", async () => {
  await using page = await components("field.tsx");
  const given: string[] = [];
  const field = (schema: object, more: object = {}) =>
    page.draw("Field", {
      param: { name: "a", required: false, help: undefined, schema },
      ...{ value: "", fault: undefined, onChange: (value: string) => given.push(value), ...more },
    });
  const number = field({ type: "integer", minimum: 1, maximum: 9 }, { fault: "too much" });
  const input = number.querySelector("input");
  expect(["type", "min", "max", "step"].map((name) => input?.getAttribute(name))).toEqual([
    ...["number", "1", "9", "1"],
  ]);
  expect(input?.getAttribute("aria-invalid")).toBe("true");
  expect(input?.getAttribute("aria-describedby")).toBe("field-a-hint field-a-fault");
  expect(number.querySelector("#field-a-hint")?.textContent).toBe("1 – 9");
  expect(number.querySelector("#field-a-fault")?.textContent).toBe("too much");
  expect(number.querySelector("label")?.getAttribute("for")).toBe("field-a");
  // A choice that need not be made has one for that.
  expect(texts(field({ enum: [1, "two"] }), "option")).toEqual(["–", "1", "two"]);
  const must = { param: { name: "a", required: true, help: "help", schema: { enum: [1] } } };
  expect(texts(field({}, { ...must, value: "1" }), "option")).toEqual(["1"]);
  expect(texts(field({ type: "boolean" }), "option")).toEqual(["–", "true", "false"]);
  const secret = field({ type: "string", writeOnly: true }).querySelector("input");
  expect([secret?.getAttribute("type"), secret?.getAttribute("autocomplete")]).toEqual([
    ...["password", "off"],
  ]);
  const text = field({ pattern: "^x" }).querySelector("input");
  if (text) text.value = "xyz";
  text?.dispatchEvent(new page.window.Event("input", { bubbles: true }));
  expect(given).toEqual(["xyz"]);
});

test("values: a table of what has names, a bar of what is progress, a curve of what is a number more than twice", async () => {
  await using page = await components("values.tsx");
  const none = page.draw("Values", { values: [1, "two", [3], null] });
  expect(none.textContent).toBe("");
  const values = [1, 2, 3].map((n) => ({ progress: n * 50, n, name: `x${n}` }));
  const some = page.draw("Values", { values });
  expect(some.querySelector("progress")?.getAttribute("value")).toBe("100");
  expect(texts(some, "th")).toEqual(["progress", "n", "name"]);
  expect(some.querySelectorAll("tbody tr").length).toBe(3);
  expect(texts(some, "figcaption")).toEqual(["n 3"]);
  // No more columns than a screen has.
  const wide = Object.fromEntries(Array.from({ length: 50 }, (_, i) => [`c${i}`, "\u001b[31m<b>"]));
  const many = page.draw("Values", { values: [wide] });
  expect(many.querySelectorAll("th").length).toBe(12);
  expect(many.querySelectorAll("b").length).toBe(0);
  expect(many.querySelector("td")?.textContent).toBe("<b>");
});

interface Log {
  readonly count: number;
  filter: string;
  add(line: object): void;
  text(): string;
  close(): void;
}

test("the log: lines over lines, a filter, no more rows than are kept, no row wider than a frame bears, all of it in a file", async () => {
  await using page = await components("log-view.ts");
  const box = page.window.document.createElement("div");
  page.window.document.body.append(box);
  const { LogView, KEPT } = page.from as {
    LogView: new (box: unknown, changed: () => void) => Log;
    KEPT: number;
  };
  const place = box as unknown as HTMLElementLike;
  const log = new LogView(box, () => undefined);
  const rows = (): string[] => texts(place, ".row");
  const at = Date.now();
  log.add({ text: "10 %", from: "out", at, over: true });
  await until("a row", () => rows().length === 1);
  log.add({ text: "wrong", from: "err", at });
  log.add({ text: "20 %", from: "out", at, over: true });
  log.add({ text: "30 %", from: "out", at });
  // What is on the screen already, and has another line behind it, stays.
  await until("three rows", () => rows().length === 3);
  expect(rows()).toEqual(["10 %", "wrong", "30 %"]);
  expect(log.count).toBe(3);
  log.add({ text: `${"#\r".repeat(20_000)}done`, from: "err", at });
  await until("what was written last", () => rows().at(-1) === "done");
  log.filter = "nothing";
  log.filter = "";
  const long = "x".repeat(3_000_000);
  log.add({ text: long, from: "out", at });
  await until("a long row", () => rows().length === 5);
  expect(rows().at(-1)?.length).toBeLessThan(11_000);
  expect(log.text()).toBe(`10 %\nwrong\n30 %\ndone\n${long}\n`);
  log.filter = "WRON";
  await until("one row", () => rows().length === 1);
  expect(rows()).toEqual(["wrong"]);
  log.filter = "";
  for (let i = 0; i < KEPT + 5_000; i++) log.add({ text: `line ${i}`, from: "out", at });
  const last = () => place.lastElementChild?.lastElementChild?.textContent;
  await until("the last row", () => last() === `line ${KEPT + 4_999}`);
  expect(place.querySelectorAll(".row").length).toBe(KEPT);
  // From then on the oldest go by the hundred.
  for (let i = 5_000; i < 5_150; i++) log.add({ text: `line ${KEPT + i}`, from: "out", at });
  await until("the last row", () => last() === `line ${KEPT + 5_149}`);
  const left = place.querySelectorAll(".row").length;
  expect([left, place.querySelector(".row")?.textContent]).toEqual([KEPT - 50, "line 5200"]);
  expect(log.count).toBe(KEPT + 5_155);
  log.close();
});

test("turns: two who work long work by turns", async () => {
  await using page = await components("turns.ts");
  const { isTurnOver, nextTurn } = page.from as {
    isTurnOver(): boolean;
    nextTurn(): Promise<void>;
  };
  const order: string[] = [];
  const work = async (name: string): Promise<void> => {
    const end = Date.now() + 300;
    while (Date.now() < end) {
      if (!isTurnOver()) continue;
      await nextTurn();
      order.push(name);
    }
  };
  await Promise.all([work("one"), work("two")]);
  expect(order.slice(0, 4)).toEqual(["one", "two", "one", "two"]);
});

test("how long a task has run is told alike, however often and whenever it is told of or shown", async () => {
  let at = 5_000;
  const performance = { now: () => at };
  const files = ["task-record.ts", "task-list.tsx"];
  await using page = await componentsAmid({ performance }, "http://localhost/", ...files);
  const { readRecord } = page.from as { readRecord(value: unknown): object };
  const told = (more: object) =>
    readRecord({ id: "7", api: "a", verb: "v", state: "running", started: 1, ...more });
  const shown = (task: object) => page.draw("Elapsed", { task }).textContent;
  const [waits, first] = [told({ state: "waiting" }), told({ wall: 1_000 })];
  expect([shown(waits), shown(first)]).toEqual(["", "1.0 s"]);
  at += 60_000;
  // As after another search; after a loss of the connection; and once it has waited.
  const [again, begins] = [told({ wall: 61_000 }), told({ wall: 0 })];
  expect([first, again, begins].map(shown)).toEqual(["1 min 1 s", "1 min 1 s", "0 ms"]);
  const { h, render } = page.from as {
    h(type: unknown, props: object): unknown;
    render(what: unknown, where: unknown): void;
  };
  const place = page.window.document.createElement("p");
  const Elapsed = page.from["Elapsed"];
  for (const [task, after, words] of [
    [begins, 0, "0 ms"],
    [again, 60_000, "2 min 1 s"],
    [begins, 0, "1 min 0 s"],
  ] as const) {
    at += after;
    render(h(Elapsed, { task }), place);
    expect(place.textContent).toBe(words);
  }
  const seen = told({ wall: 500 });
  render(h(Elapsed, { task: seen }), place);
  expect(place.textContent).toBe("500 ms");
  render(null, place);
});
