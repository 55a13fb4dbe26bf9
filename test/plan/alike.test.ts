/** Which plans one trial stands for. */
import { describe, expect, test } from "bun:test";
import { alike } from "../../src/plan/alike.ts";
import { compiled, planOf } from "./compiling.ts";
import { assembled, type WrittenOp } from "./ops.ts";

const NEWUTS = 0x04000000;

const equal = (a: readonly WrittenOp[], b: readonly WrittenOp[], flags = [0, 0]): boolean =>
  alike(assembled(a, flags[0])) === alike(assembled(b, flags[1]));

describe("plans are alike", () => {
  const umask: WrittenOp = ["UMASK", 0o22];
  const name = (text: string): WrittenOp => ["HOSTNAME", text];
  test("where they have other host names, of other lengths", () => {
    expect(equal([name("a"), umask], [name("a-longer-name"), umask])).toBe(true);
    expect(equal([umask, name("a")], [umask, name("b")])).toBe(true);
  });
  test("and not where anything else differs", () => {
    expect(equal([name("a"), umask], [umask])).toBe(false);
    expect(equal([name("a"), umask], [umask, name("a")])).toBe(false);
    expect(equal([name("a"), umask], [name("a"), ["UMASK", 0o77]])).toBe(false);
    expect(equal([name("a"), umask], [name("a"), umask, umask])).toBe(false);
    expect(equal([umask], [umask], [0, NEWUTS])).toBe(false);
    expect(equal([["CHDIR", "/a"]], [["CHDIR", "/b"]])).toBe(false);
  });
  test("of two sandboxes as they are compiled", () => {
    const ops = (hostname: string, umask = "022") =>
      planOf(
        compiled({
          acls: { user: "65534", group: "65534", umask },
          namespace: { shares: { all: "disable" }, opts: { hostname } },
        }),
      ).ops;
    expect(alike(ops("one"))).toBe(alike(ops("another")));
    expect(alike(ops("one"))).not.toBe(alike(ops("one", "077")));
    expect(Buffer.from(ops("one")).includes("one")).toBe(true);
  });
});
