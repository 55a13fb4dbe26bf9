/** Output for a caller who takes bytes. */
import { expect, test } from "bun:test";
import { into } from "../../src/encoders/file.ts";
import { about, utf8 } from "./feed.ts";

// What the server itself says is its stderr, where this is told, too.
test.each([
  [["err:a\n", "err:b\n"], { stderr: ["a", "b"] }],
  [["err:a\n", "out:x", "err:b\n", "out:y", "err:c\n"], { stderr: ["a"] }],
  [["out:x", "err:a\n"], {}],
  [["out:x"], {}],
  [[], {}],
])("of %j the reply has what stderr said before the first byte: %j", async (steps, expected) => {
  const whole = about();
  const got: string[] = [];
  const bytes = { write: (chunk: Uint8Array) => void got.push(`${Buffer.from(chunk)}`), drop() {} };
  const encoding = await into(bytes).begin({}, () => {}, whole);
  for (const step of steps) {
    const text = utf8(step.slice(4));
    await (step.startsWith("out:") ? encoding.stdout(text) : encoding.stderr(text));
  }
  const { stderr } = await encoding.end();
  expect(stderr ?? []).toEqual(("stderr" in expected && expected.stderr) || []);
  expect(got).toEqual(steps.filter((step) => step.startsWith("out:")).map((step) => step.slice(4)));
});
