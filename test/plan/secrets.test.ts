/** What a plan says of files that a launch reads: their names, and nothing else. */
import { expect, test } from "bun:test";
import { fill } from "../../src/plan/argv.ts";
import { explain } from "../../src/plan/explain.ts";
import { decodePlans, encodePlans } from "../../src/plan/file.ts";
import { thisMachine } from "../../src/plan/machine.ts";
import { filledArgument, pathIn, shownArgument } from "../../src/plan/secrets.ts";
import { board } from "./board.ts";
import { compiled, planOf, refused } from "./compiling.ts";

const of = (sandbox: object) => planOf(compiled({ acls: { user: "pilot" }, ...sandbox }, board));

test("the last word of a name counts, and a file leaves no value behind", () => {
  const { env, secrets } = of({
    envs: [
      { name: "A", value: "1" },
      { name: "A", file: "/s/a" },
      { name: "B", file: "/s/b" },
      { name: "B", value: "2" },
      { name: "C", file: "/s/c" },
      { name: "C", mode: "unset" },
      { name: "D", mode: "unset" },
      { name: "D", file: "/s/$SANDBOX_UID" },
    ],
    envfile: ["/s/env", "-/s/other"],
  });
  expect([env["A"], env["B"], env["C"]]).toEqual([undefined, "2", undefined]);
  expect(secrets).toEqual({
    env: { A: "/s/a", D: "/s/s" },
    files: [
      { path: "/s/env", optional: false },
      { path: "/s/other", optional: true },
    ],
    kept: ["C"],
  });
  expect(of({}).secrets).toBeUndefined();
});

test("in a command line there is a placeholder, which no argument of a request can be", () => {
  const plan = of({
    commands: {
      uid: "c",
      exec: { cmdpath: "/bin/sh", args: [{ arg: "-p%x%=", file: "/s/p" }, { file: "/s/q" }, "z"] },
    },
  });
  const argv = fill(plan.argv, { x: "v" });
  expect(argv.map(shownArgument)).toEqual(["/bin/sh", "-pv=</s/p>", "</s/q>", "z"]);
  expect(argv.map((one) => filledArgument(one, (file) => `[${file}]$1$&`))).toEqual([
    "/bin/sh",
    "-pv=[/s/p]$1$&",
    "[/s/q]$1$&",
    "z",
  ]);
  expect(() => fill(plan.argv, { x: "\0/etc/shadow\0" })).toThrow("NUL");
  expect(explain(plan).at(-1)).toBe('execute "/bin/sh" "-p%x%=</s/p>" "</s/q>" "z"');
});

test("a plan file names them", () => {
  const api = compiled({ acls: { user: "pilot" }, envs: [{ name: "A", file: "/s/a" }] }, board);
  const machine = thisMachine();
  const [read] = decodePlans(encodePlans([api], machine), machine);
  expect(read && planOf(read).secrets).toEqual({ env: { A: "/s/a" }, files: [], kept: [] });
});

test.each([
  [{ envs: { name: "A", file: "/a", value: "x" } }, "exclude each other"],
  [{ envs: { name: "A", file: "/a", mode: "unset" } }, "what is unset"],
  [{ envs: { name: "A", file: "a" } }, "absolute path"],
  [{ envs: { name: "A", file: "$NOWHERE/a" } }, "$NOWHERE"],
  [{ envs: { name: "*", file: "/a" } }, "can only be unset"],
  [{ envs: { name: "A", file: "" } }, "envs"],
  [{ envfile: "env" }, "absolute path"],
  [{ envfile: "-" }, "absolute path"],
  [
    { commands: { uid: "c", exec: { cmdpath: "/bin/sh", args: [{ file: "x" }] } } },
    "absolute path",
  ],
  [{ commands: { uid: "c", exec: { cmdpath: "/bin/sh", args: [{}] } } }, "`arg` or `file`"],
  [
    { commands: { uid: "c", exec: { cmdpath: "/bin/sh", args: [{ omit: true }] } } },
    "`arg` or `file`",
  ],
])("%j is refused", (sandbox, message) => {
  expect(refused({ acls: { user: "pilot" }, ...sandbox }, board).join("\n")).toContain(message);
});

test("a path is absolute, and has no NUL", () => {
  expect(pathIn("/a", "what")).toBe("/a");
  expect(() => pathIn("/a\0", "what")).toThrow(new Error("what: a path cannot contain a NUL byte"));
  expect(() => pathIn("a", "what")).toThrow(
    new Error("what: expected an absolute path, found `a`"),
  );
});
