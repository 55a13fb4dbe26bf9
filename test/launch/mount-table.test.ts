/** Whether the table of mounts has changed. */
import { expect, test } from "bun:test";
import { mountTable } from "../../src/launch/mount-table.ts";

test("as long as nothing is mounted it is the same", () => {
  const table = mountTable();
  expect(table?.changes).toBeGreaterThan(0);
  expect(mountTable()).toBe(table);
});
