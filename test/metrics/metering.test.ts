/** What is counted of a server, and who may read it. */
import { expect, test } from "bun:test";
import { Metering, metricsPrivileges } from "../../src/serve/metering.ts";

test("reloads, by whether they succeed, and how the last one ended", () => {
  const metering = new Metering();
  expect(metering.reloads).toEqual({ done: 0, failed: 0, isGood: true });
  for (const isGood of [true, true, false]) metering.reloaded(isGood);
  expect(metering.reloads).toEqual({ done: 2, failed: 1, isGood: false });
  metering.reloaded(true);
  expect(metering.reloads).toEqual({ done: 3, failed: 1, isGood: true });
});

test.each([
  [undefined, false, []],
  [undefined, true, ["urn:spawnbox:metrics"]],
  ["", true, []],
  ["", false, []],
  ["urn:own", true, ["urn:own"]],
  ["urn:own", false, ["urn:own"]],
])("an option %p, where access is guarded: %p, asks for %j", (option, guarded, privileges) => {
  expect(metricsPrivileges(option, guarded)).toEqual(privileges);
});
