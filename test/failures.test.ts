/** What `.ci/run` ends with: what the tests of this Bun say of a failure is found in their output. */
import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { failuresIn, told } from "./failures.ts";

const dir = mkdtempSync(join(tmpdir(), "spawnbox-failures-"));
afterAll(() => rmSync(dir, { recursive: true }));

/** The output of suites as `npm test` runs them. */
function outputOf(suites: Readonly<Record<string, string>>): string {
  const names = Object.entries(suites).map(([name, text]) => {
    writeFileSync(
      join(dir, `${name}.test.ts`),
      `import { expect, test } from "bun:test";\n${text}`,
    );
    return `./${name}.test.ts`;
  });
  const how = ["--only-failures", "--timeout", "30000"];
  const ran = Bun.spawnSync([process.execPath, "test", ...how, ...names], {
    cwd: dir,
    // Colours and annotations are for others.
    env: { PATH: process.env["PATH"] ?? "", NO_COLOR: "1" },
    stdio: ["ignore", "pipe", "pipe"],
  });
  return `\n── suites\n${ran.stderr}\nfailed, or ended before its end: ${names.join(" ")}\n`;
}

const byName = (output: string) =>
  new Map(
    failuresIn(output).map(({ name, reason }) => [
      name.replace(/ \[[\d.]+m?s\]/, ""),
      reason.join("\n"),
    ]),
  );

describe("of tests", () => {
  const output = outputOf({
    a: `test("good", () => {});
test("bad", () => { expect([1, 2]).toEqual([1, 3]); });
test("thrown", () => { throw new TypeError("first line\\nsecond line"); });
test("late", async () => { await Bun.sleep(5000); }, 20);
test("long", () => { expect("x\\n".repeat(99)).toBe("y"); });`,
    b: `test("fine", () => {});\nthrow new Error("between");`,
  });
  const found = byName(output);

  test("each has its reason and its file, and what succeeds is not there", () => {
    expect([...found.keys()]).toEqual([
      ...["(fail) bad  a.test.ts", "(fail) thrown  a.test.ts", "(fail) late  a.test.ts"],
      ...["(fail) long  a.test.ts", "an error between the tests of b.test.ts"],
    ]);
    const bad = found.get("(fail) bad  a.test.ts");
    expect(bad).toContain("error: expect(received).toEqual(expected)");
    expect(bad).toMatch(/-\s+3,\n\+\s+2,/);
    expect(bad).toMatch(/at .*a\.test\.ts:3:/);
    const thrown = found.get("(fail) thrown  a.test.ts");
    expect(thrown).toMatch(/TypeError: first line\nsecond line\n/);
    expect(thrown).not.toContain("toEqual(expected)\n");
    expect(found.get("(fail) late  a.test.ts")).toContain("timed out after 20ms");
    expect(found.get("an error between the tests of b.test.ts")).toContain("error: between\n");
  });

  test("a long reason is cut: what is wrong and where it is are left", () => {
    const lines = found.get("(fail) long  a.test.ts")?.split("\n") ?? [];
    expect(lines).toHaveLength(15);
    expect(lines.filter((line) => line.startsWith("error: expect("))).toHaveLength(1);
    expect(lines.at(-1)).toMatch(/at .*a\.test\.ts:6:/);
  });
});

test("of checks in a machine the reason is in their line; told twice, it is one failure", () => {
  const line = "not ok systemd: the socket is there: ENOENT: no such file";
  expect(byName(`ok systemd: it starts\n${line}\nskipped systemd: x: y\n${line}\n`)).toEqual(
    new Map([[line, ""]]),
  );
});

test("a step, a fuzzer and suites that die are failures with their last words", () => {
  const step = "\n── types\na.ts(1,2): error: no such name\ntypes: failed\n\n── format\nall fine\n";
  const suites =
    "\n── suites\nrun one\npanic: it died\nfailed, or ended before its end: ./x.test.ts";
  const fuzz = "\nframes: 12 inputs\nbytes 00ff\nframes: failed; again with: --seed 7";
  expect(byName(`${step}${suites}${fuzz}`)).toEqual(
    new Map([
      ["types: failed", "a.ts(1,2): error: no such name"],
      ["failed, or ended before its end: ./x.test.ts", "run one\npanic: it died"],
      ["frames: failed; again with: --seed 7", "frames: 12 inputs\nbytes 00ff"],
    ]),
  );
});

test("ten have reasons, the others a name; without a failure nothing is told", () => {
  const one = (n: number) => `error: reason ${n}\n(fail) test ${n} [1.00ms]`;
  const text = told(Array.from({ length: 13 }, (_, n) => one(n)).join("\n"));
  expect(text.match(/reason \d+/g)).toHaveLength(10);
  expect(text).toContain("and 3 more:\n(fail) test 10 [1.00ms]\n(fail) test 11");
  expect(told("ok a\n(pass) b [1ms]\n 1 pass\n")).toBe("");
});
