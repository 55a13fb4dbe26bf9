/** The catalogue of errors, which clients rely on. */
import { expect, test } from "bun:test";
import { AfbError, isExhaustion, STATUS } from "../src/errors.ts";

test("each status has its code of AFB, and its HTTP status", () => {
  expect(Object.entries(STATUS).map(([name, { code, http }]) => `${name} ${code} ${http}`)).toEqual(
    [
      "success 0 200",
      "internal-error -1 500",
      "out-of-memory -2 500",
      "unknown-api -3 404",
      "unknown-verb -4 404",
      "not-available -5 501",
      "unauthorized -6 401",
      "invalid-token -7 401",
      "forbidden -8 403",
      "insufficient-scope -9 403",
      "bad-api-state -10 403",
      "no-reply -11 504",
      "invalid-request -12 400",
      "no-item -13 404",
      "bad-state -14 409",
      "disconnected -15 503",
      "timeout -16 504",
      "busy -100 503",
    ],
  );
});

test("what says that there is too little of something, and what does not", () => {
  for (const errno of ["EMFILE", "ENFILE", "ENOMEM", "EAGAIN", "ENOSPC", "EUSERS", "EDQUOT"])
    expect([errno, isExhaustion(errno)]).toEqual([errno, true]);
  for (const errno of ["EPERM", "EACCES", "ENOENT", "EINVAL", "", undefined, 12])
    expect([errno, isExhaustion(errno)]).toEqual([errno, false]);
  expect(new AfbError("busy", "later")).toMatchObject({
    name: "AfbError",
    status: "busy",
    message: "later",
  });
});
