/** What `http` of a command may say, and what it means. */
import { expect, test } from "bun:test";
import { explain } from "../../src/plan/explain.ts";
import { board } from "./board.ts";
import { compiled, planOf, refused } from "./compiling.ts";

const withHttp = (http: unknown) => ({
  acls: { user: "pilot" },
  commands: { uid: "c", exec: { cmdpath: "/bin/sh" }, http },
});

test("statuses by exit code, in explain too", () => {
  const plan = planOf(compiled(withHttp({ "2": 404, "1": 422, "255": 422, "0": 201 }), board));
  expect(plan.http).toEqual({ "0": 201, "1": 422, "2": 404, "255": 422 });
  expect(explain(plan)).toContain(
    "over REST the HTTP status tells the exit: 201 for 0; 422 for 1, 255; 404 for 2",
  );
});

test("the least and the largest", () => {
  expect(planOf(compiled(withHttp({ "0": 200, "255": 599 }), board)).http).toEqual({
    "0": 200,
    "255": 599,
  });
});

test("nothing without the key", () => {
  expect("http" in planOf(compiled(withHttp(undefined), board))).toBeFalse();
  expect("http" in planOf(compiled(withHttp({}), board))).toBeFalse();
});

test.each([
  [{ "256": 400 }, 'commands[0].http: found the key "256", expected an exit code'],
  [{ "-1": 400 }, "expected an exit code"],
  [{ "01": 400 }, "expected an exit code"],
  [{ "1.0": 400 }, "expected an exit code"],
  [{ "": 400 }, "expected an exit code"],
  [{ exit: 400 }, "expected an exit code"],
  [{ "1": 199 }, '"1": found 199, expected an HTTP status from 200 to 599'],
  [{ "1": 101 }, "from 200 to 599"],
  [{ "1": 600 }, "from 200 to 599"],
  [{ "1": 422.5 }, "from 200 to 599"],
  [{ "1": "422" }, "from 200 to 599"],
  [{ "1": null }, "from 200 to 599"],
  [{ "1": [422] }, "from 200 to 599"],
  [{ "1": 204 }, "204 is for answers without a whole body"],
  [{ "1": 205 }, "without a whole body"],
  [{ "1": 206 }, "without a whole body"],
  [{ "1": 304 }, "without a whole body"],
  ["afb", "http"],
  [[422], "http"],
  [422, "http"],
])("%j is refused", (http, message) => {
  expect(refused(withHttp(http), board).join("\n")).toContain(message);
});

test("what a file is", () => {
  const of = (opts: object) =>
    explain(
      planOf(
        compiled(
          {
            acls: { user: "pilot" },
            commands: {
              ...{ uid: "c", exec: { cmdpath: "/bin/sh" } },
              encoder: { output: "file", opts },
            },
          },
          board,
        ),
      ),
    ).join("\n");
  expect(of({ type: "image/png", name: "a.png" })).toContain("the answer itself: image/png, a.png");
  expect(of({})).toContain("the answer itself: bytes");
});
