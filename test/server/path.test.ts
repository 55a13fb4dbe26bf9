/** Of a path in a URL the names: each is one of a file below, and no way out of it. */
import { expect, test } from "bun:test";
import { namesOf } from "../../src/server/path.ts";

test.each([
  ["/", []],
  ["", []],
  ["/a", ["a"]],
  ["a/b", ["a", "b"]],
  ["/a/b/", ["a", "b"]],
  ["/a%20b/%C3%A9", ["a b", "é"]],
  ["/a..b/c.", ["a..b", "c."]],
  // Decoded once.
  ["/%252e%252e", ["%2e%2e"]],
  ["/a?b", ["a?b"]],
] as const)("%j", (path, names) => {
  expect(namesOf(path)).toEqual([...names]);
});

test.each([
  ...["/..", "/../a", "/a/..", "/a/../b", "/.", "/./a", "/.hidden", "/a/.hidden/b"],
  ...["/%2e%2e", "/%2E%2e/a", "/a/.%2e", "/%2ehidden", "//", "//a", "/a//b", "/a//"],
  ...["/a%2fb", "/a%2Fb", "/%2f", "/a%5cb", "/a\\b", "/\\a", "/a%00", "/%00a", "/%00"],
  ...["/%", "/%zz", "/%ff", "/%c0%ae%c0%ae", "/%e0%80%ae", "/%ed%a0%80"],
])("%j is none", (path) => {
  expect(namesOf(path)).toBeUndefined();
});
