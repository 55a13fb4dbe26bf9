import { expect, test } from "bun:test";
import { failure, success } from "../../src/api/reply.ts";
import { AfbError, type FailureStatus } from "../../src/errors.ts";

test("success, with and without a response", () => {
  const head = '{"jtype":"afb-reply","request":{"status":"success","code":0}';
  expect(JSON.stringify(success())).toBe(`${head}}`);
  expect(JSON.stringify(success(null))).toBe(`${head},"response":null}`);
  expect(JSON.stringify(success([1]))).toBe(`${head},"response":[1]}`);
});

test.each<[FailureStatus, number]>([
  ["internal-error", -1],
  ["out-of-memory", -2],
  ["unknown-api", -3],
  ["unknown-verb", -4],
  ["not-available", -5],
  ["unauthorized", -6],
  ["invalid-token", -7],
  ["forbidden", -8],
  ["insufficient-scope", -9],
  ["bad-api-state", -10],
  ["no-reply", -11],
  ["invalid-request", -12],
  ["no-item", -13],
  ["bad-state", -14],
  ["disconnected", -15],
  ["timeout", -16],
])("%s", (status, code) => {
  expect(JSON.stringify(failure(new AfbError(status, "why")))).toBe(
    `{"jtype":"afb-reply","request":{"status":"${status}","info":"why","code":${code}}}`,
  );
  expect(JSON.stringify(failure(new AfbError(status, "")))).toBe(
    `{"jtype":"afb-reply","request":{"status":"${status}","code":${code}}}`,
  );
});

test("an error of a plugin has its own status and code; one that pretends to be ours has not", () => {
  const own = (more: object) => JSON.stringify(failure(Object.assign(new Error("hot"), more)));
  expect(own({ status: "overheated", code: -1000 })).toBe(
    '{"jtype":"afb-reply","request":{"status":"overheated","info":"hot","code":-1000}}',
  );
  const bug = '{"jtype":"afb-reply","request":{"status":"internal-error","info":"hot","code":-1}}';
  for (const more of [
    { status: "success", code: 0 },
    { status: "success", code: -1001 },
    { status: "overheated", code: -999 },
    { status: "two words", code: -1001 },
    { status: "overheated", code: "-1001" },
    { code: "ENOENT" },
  ]) {
    expect(own(more)).toBe(bug);
  }
});
