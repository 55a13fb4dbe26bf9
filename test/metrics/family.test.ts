/** Metrics as text, read by a strict reader. */
import { describe, expect, test } from "bun:test";
import { type Family, formatFor, FORMATS, textOf } from "../../src/metrics/family.ts";
import { parse, valueOf } from "./strict.ts";

const hostile = 'a"b\\c\nd{}=,\u2028é';

const families: Family[] = [
  {
    ...{ name: "x_launches", type: "counter", help: 'Of "all"\nkinds \\ here.' },
    samples: [
      { labels: { api: hostile, mode: "" }, value: 3 },
      { labels: { api: "b", mode: "m" }, value: 1e21 },
    ],
  },
  {
    ...{ name: "x_size_bytes", type: "gauge", unit: "bytes", help: "h" },
    samples: [{ value: -0.5 }],
  },
  { ...{ name: "x_most", type: "gauge", help: "h" }, samples: [{ value: Infinity }] },
  { ...{ name: "x_least", type: "gauge", help: "h" }, samples: [{ value: -Infinity }] },
  { ...{ name: "x_unknown", type: "gauge", help: "h" }, samples: [{ value: NaN }] },
  { ...{ name: "x_none", type: "counter", help: "h" }, samples: [] },
  { ...{ name: "x_build", type: "info", help: "h" }, samples: [{ labels: { v: "1" }, value: 1 }] },
  {
    ...{ name: "x_seconds", type: "histogram", unit: "seconds", help: "h" },
    samples: ["a", "b"].map((mode) => ({
      labels: { mode },
      value: { bounds: [0.001, 0.5, 1], counts: [1, 0, 2, 4], sum: 9.25 },
    })),
  },
];

for (const format of ["openmetrics", "prometheus"] as const)
  describe(format, () => {
    const text = textOf(families, format);

    test("is what a strict reader takes, and gets what was given", () => {
      const read = parse(text, format);
      expect(read.size).toBe(families.length);
      expect(valueOf(read, "x_launches_total", { api: hostile, mode: "" })).toBe(3);
      expect(valueOf(read, "x_launches_total", { api: "b", mode: "m" })).toBe(1e21);
      expect(valueOf(read, "x_size_bytes")).toBe(-0.5);
      expect(valueOf(read, "x_most")).toBe(Infinity);
      expect(valueOf(read, "x_least")).toBe(-Infinity);
      expect(valueOf(read, "x_unknown")).toBeNaN();
      expect(valueOf(read, "x_build_info", { v: "1" })).toBe(1);
      expect(valueOf(read, "x_seconds_bucket", { mode: "a", le: "0.5" })).toBe(1);
      expect(valueOf(read, "x_seconds_bucket", { mode: "a", le: "1.0" })).toBe(3);
      expect(valueOf(read, "x_seconds_bucket", { mode: "b", le: "+Inf" })).toBe(7);
      expect(valueOf(read, "x_seconds_count", { mode: "b" })).toBe(7);
      expect(valueOf(read, "x_seconds_sum", { mode: "b" })).toBe(9.25);
    });

    test("the reader is strict", () => {
      for (const [good, bad] of [
        ["x_size_bytes -0.5", "x_size_bytes -0.5 "],
        ["x_most +Inf", "x_most Infinity"],
        ['le="+Inf"', 'le="9.0"'],
        ["# HELP x_most h\n", ""],
        ['v="1"', 'v="1",'],
        ['mode=""', 'mode="\\x"'],
      ] as const) {
        expect(text).toContain(good);
        expect(() => parse(text.replace(good, bad), format), bad).toThrow();
      }
    });
  });

test("a request gets the format that it rather has", () => {
  const cases: [string | undefined, keyof typeof FORMATS][] = [
    [undefined, "prometheus"],
    ["", "prometheus"],
    ["*/*", "prometheus"],
    ["text/plain", "prometheus"],
    ["application/openmetrics-text", "openmetrics"],
    ["Application/OpenMetrics-Text; Version=1.0.0; charset=utf-8", "openmetrics"],
    ['application/openmetrics-text; version="1.0.0"', "openmetrics"],
    ["application/openmetrics-text; version=0.0.1", "prometheus"],
    ["application/openmetrics-text;q=0, */*", "prometheus"],
    ...["0.000", "x", "", "2", "1.001", "Infinity", "-1", "-0.5"].map(
      (q): [string, "prometheus"] => [`application/openmetrics-text;q=${q}`, "prometheus"],
    ),
    ["application/openmetrics-text;q=1", "openmetrics"],
    ["application/openmetrics-text;q=1.000", "openmetrics"],
    ["application/openmetrics-text;q=0.001", "openmetrics"],
    ["application/openmetrics-text, text/plain", "openmetrics"],
    ["text/plain;q=0.5, application/openmetrics-text;q=0.5", "openmetrics"],
    ["text/*;q=0.501, application/openmetrics-text;q=0.5", "prometheus"],
    ["application/openmetrics-text;q=0.3, text/plain;version=0.0.4;q=0.5", "prometheus"],
    // That of Prometheus 2.
    [
      "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
      "openmetrics",
    ],
    [`${",".repeat(9000)}`, "prometheus"],
  ];
  for (const [accept, format] of cases) expect(formatFor(accept), accept).toBe(format);
});
