/** File systems that do not answer, as far as a compile has to do with them. */
import { expect, test } from "bun:test";
import { tmpdir } from "node:os";
import { silences } from "../../src/plan/silent.ts";
import { newPipes, ownDescriptors } from "../descriptors.ts";
import { canStall, stalling } from "../sandbox/stalling.ts";
import { until } from "../served.ts";

test.skipIf(!canStall)("a mount is asked when something of it is wanted, and once", async () => {
  await using files = await stalling();
  const { source } = files;
  const first = silences(100);
  const before = ownDescriptors();
  expect(first(`${source}/a`)).toBeUndefined();
  expect(newPipes(before)).toEqual([]);
  await files.stall();
  // It has answered.
  expect(first(source)).toBeUndefined();
  const second = silences(100);
  for (const path of [`${source}x`, tmpdir(), "/"]) expect(second(path)).toBeUndefined();
  for (const path of [source, `${source}/a`])
    expect(second(path)).toBe(
      `the file system at ${source} (fuse) does not answer: bring back what serves it, or unmount it`,
    );
  // Whom it has not answered yet still waits: nobody else asks, however long there would be.
  expect(silences(1_000_000)(source)).toBeString();
  files.answer();
  await until("it has answered", () => silences(1_000)(source) === undefined);
});
