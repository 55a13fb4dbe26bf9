/** Rows of output: how each looks, what is held of them, and where one is in them. */
import { afterEach, beforeEach, expect, spyOn, test } from "bun:test";
import { until } from "../served.ts";
import { type Components, components } from "./components.ts";

interface Line {
  readonly text: string;
  readonly from: "out" | "err" | "note";
  readonly at: number;
  readonly over?: boolean;
}
interface Log {
  readonly count: number;
  filter: string;
  add(line: Line): void;
  follow(): void;
  text(): string;
  close(): void;
}

let page: Components;
let log: Log;
let box: HTMLElement;
const changes: boolean[] = [];
const AT = Date.UTC(2030, 0, 2, 3, 4, 5, 678);
interface HTMLElement {
  scrollTop: number;
  readonly children: Iterable<HTMLElement> & { readonly length: number };
  readonly className: string;
  readonly textContent: string;
  readonly dataset: Readonly<Record<string, string>>;
  readonly style: Readonly<Record<string, string>>;
  readonly childNodes: Iterable<HTMLElement>;
  querySelectorAll(selector: string): Iterable<HTMLElement> & { readonly length: number };
  dispatchEvent(event: unknown): void;
}
const rows = () => [...box.querySelectorAll(".row")];
const add = (text: string, more: Partial<Line> = {}) =>
  log.add({ text, from: "out", at: AT, ...more });

beforeEach(async () => {
  page = await components("log-view.ts");
  const made = page.window.document.createElement("div");
  page.window.document.body.append(made);
  box = made as unknown as HTMLElement;
  changes.length = 0;
  const { LogView } = page.from as {
    LogView: new (box: unknown, changed: (follows: boolean) => void) => Log;
  };
  log = new LogView(made, (follows) => changes.push(follows));
});
afterEach(async () => {
  log.close();
  await page[Symbol.asyncDispose]();
});

test("a row says where it is from and when, and has the styles of its kind, which go on with the next", async () => {
  const zone = process.env["TZ"];
  process.env["TZ"] = "Asia/Kolkata";
  using _ = {
    [Symbol.dispose]: () => {
      if (zone === undefined) delete process.env["TZ"];
      else process.env["TZ"] = zone;
    },
  };
  add("plain");
  add("\u001b[1;3;31mred\u001b[0m not");
  add("\u001b[44mback", { from: "err" });
  add("other");
  add("more", { from: "err" });
  add("\u001b[0;7minverse", { from: "err" });
  add("\u001b[0;7;32;45mboth", { from: "err" });
  add("\u001b[0;38;2;1;2;3mexact", { from: "note" });
  await until("all rows", () => rows().length === 8);
  expect(rows().map(({ className, dataset }) => [className, dataset["at"]])).toEqual(
    ["out", "out", "err", "out", "err", "err", "err", "note"].map((from) => [
      `row ${from}`,
      // By the clock of who looks, as all else on the page.
      "08:34:05.678",
    ]),
  );
  const spans = rows().map((row) =>
    [...row.childNodes].map((node) => [node.textContent, node.className ?? ""]),
  );
  expect(spans).toEqual([
    [["plain", ""]],
    [
      ["red", "bold italic fc1"],
      [" not", ""],
    ],
    [["back", "bc4"]],
    [["other", ""]],
    [["more", "bc4"]],
    [["inverse", "finverse binverse"]],
    [["both", "fc5 bc2"]],
    [["exact", ""]],
  ]);
  expect([...(rows()[7]?.childNodes ?? [])][0]?.style["color"]).toMatch(/^rgb\(1, ?2, ?3\)$/);
  expect(box.children.length).toBe(1);
});

test("what is forgotten of long lines is not written again: each has one row", async () => {
  const long = "x".repeat(1 << 20);
  for (let n = 0; n < 35; n++) add(`${n} ${long}`);
  await until("all rows", () => rows().length === 35);
  expect(log.text().startsWith("0 ")).toBe(true);
  // More than is held.
  add(`35 ${long}`);
  add("last");
  await until("it is there", () => rows().at(-1)?.textContent === "last");
  expect(rows().map(({ textContent }) => textContent.split(" ")[0])).toEqual([
    ...Array.from({ length: 36 }, (_one, n) => `${n}`),
    "last",
  ]);
  expect(log.text().startsWith("0 ")).toBe(false);
});

test("a row is no wider than a frame bears; all of the line is in the file", async () => {
  const [most, over] = ["x".repeat(10_000), "y".repeat(10_001)];
  for (const text of [most, over, `${over}\rlast`]) add(text);
  await until("all rows", () => rows().length === 3);
  expect(rows().map(({ textContent }) => textContent)).toEqual([
    most,
    `${over.slice(0, 10_000)} …`,
    "last",
  ]);
  expect(log.text()).toBe(`${most}\n${over}\nlast\n`);
});

test("rows are in blocks of a hundred; a filter is of any case, of what is seen, and takes the styles anew", async () => {
  for (let i = 0; i < 201; i++) add(`${i === 7 ? "\u001b[31mSeven" : `row ${i}`}`);
  await until("all rows", () => rows().length === 201);
  expect([...box.children].map(({ children }) => children.length)).toEqual([100, 100, 1]);
  expect([...box.children].map(({ className }) => className)).toEqual(Array(3).fill("block"));
  log.filter = "SEVEN";
  await until("one row", () => rows().length === 1);
  expect(rows()[0]?.textContent).toBe("Seven");
  log.filter = "[31m";
  await until("none", () => rows().length === 0);
  log.filter = "";
  await until("all rows again", () => rows().length === 201);
  expect([...(rows()[6]?.childNodes ?? [])][0]?.className ?? "").toBe("");
});

/** How many rows each frame makes. Last in each, the browser finds their places: that takes what `place` makes of it. */
function watched(place: (frame: number) => void = () => {}) {
  const frames = { made: [] as number[], rows: 0 };
  const set = () => {
    const all = rows().length;
    frames.made.push(all - frames.rows);
    frames.rows = all;
    place(frames.made.length);
  };
  Object.defineProperty(box, "scrollTop", { get: () => 0, set, configurable: true });
  return frames;
}

test("a frame makes as many rows as the last ones bore: half of those of a slow one, twice those of a quick one", async () => {
  const SLOW = 5;
  let clock = 0;
  using _ = spyOn(performance, "now").mockImplementation(() => clock);
  const frames = watched((frame) => {
    if (frame <= SLOW) clock += 17;
  });
  for (let i = 0; i < 3000; i++) add(`${i}`);
  await until("all rows", () => frames.rows === 3000);
  expect(frames.made).toEqual([
    ...[200, 100, 50, 25, 25],
    ...[25, 50, 100, 200, 400, 800, 800, 225],
  ]);
});

test.each([
  [1, [1, 200, 299]],
  [199, [199, 200, 101]],
  [200, [200, 300]],
])(
  "%d rows in a frame that bears 200: only one that is full tells that more may do",
  async (first, expected) => {
    using _ = spyOn(performance, "now").mockImplementation(() => 0);
    const frames = watched();
    for (let i = 0; i < first; i++) add(`${i}`);
    await until("the first", () => frames.rows === first);
    for (let i = first; i < 500; i++) add(`${i}`);
    await until("all rows", () => frames.rows === 500);
    expect(frames.made).toEqual(expected);
  },
);

test("a frame makes no more rows than there is time for", async () => {
  // A millisecond goes by whenever somebody asks for the time, once before each row.
  let clock = 0;
  using _ = spyOn(performance, "now").mockImplementation(() => clock++);
  const frames = watched();
  for (let i = 0; i < 20; i++) add(`${i}`);
  await until("all rows", () => frames.rows === 20);
  expect(frames.made).toEqual([7, 7, 6]);
});

test("what is held is bounded by its lines and by its characters, the oldest forgotten", () => {
  for (let i = 0; i < 220_001; i++) add(`${i}`);
  const lines = log.text().split("\n");
  expect([lines.length - 1, lines[0], log.count]).toEqual([200_000, "20001", 220_001]);
});

test("long lines are held as far as their characters go", () => {
  const large = "z".repeat(1 << 20);
  for (let i = 0; i < 35; i++) add(large);
  expect(log.text().length).toBe(35 * (large.length + 1));
  add(large);
  expect(log.text().length).toBe(32 * (large.length + 1));
});

test("it follows its end until its reader goes up, and again where that comes near to it", async () => {
  const sizes = { scrollHeight: 1000, clientHeight: 100 };
  for (const [name, value] of Object.entries(sizes))
    Object.defineProperty(box, name, { get: () => value, configurable: true });
  const scroll = (to: number) => {
    box.scrollTop = to;
    box.dispatchEvent(new page.window.Event("scroll"));
    return changes.splice(0);
  };
  add("one");
  await until("at the end", () => box.scrollTop === 1000);
  expect([scroll(900), scroll(877), scroll(876), scroll(874)]).toEqual([[], [], [], [false]]);
  expect([scroll(800), scroll(850)]).toEqual([[], []]);
  add("two");
  await until("two rows", () => rows().length === 2);
  expect(box.scrollTop).toBe(850);
  expect([scroll(876), scroll(877)]).toEqual([[], [true]]);
  scroll(10);
  log.follow();
  expect([box.scrollTop, changes.splice(0)]).toEqual([1000, [true]]);
  log.close();
  expect(scroll(0)).toEqual([]);
});
