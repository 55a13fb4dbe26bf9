import { describe, expect, test } from "bun:test";
import { explain } from "../../src/plan/explain.ts";
import { exposure, fixLine, improvements } from "../../src/plan/exposure.ts";
import { asUser, compiled, planOf } from "./compiling.ts";

const found = (sandbox: object) => exposure(planOf(compiled(sandbox)));
const nobody = { acls: { user: "nobody" } };
const root = { acls: { user: "root" } };

/** What a user does who adds the proposed keys to a sandbox. */
function merged(base: unknown, added: unknown): unknown {
  if (Array.isArray(base) && Array.isArray(added)) return [...base, ...added];
  if (typeof base !== "object" || typeof added !== "object" || !base || !added) return added;
  const result: Record<string, unknown> = { ...base };
  for (const [key, value] of Object.entries(added))
    result[key] = key in result ? merged(result[key], value) : value;
  return result;
}

test("from nothing protected to everything", () => {
  const scores = [
    root,
    nobody,
    { ...nobody, namespace: { shares: { all: "disable" } } },
    { profile: "minimal" },
    { profile: "minimal", acls: { timeout: 5 } },
  ].map((sandbox) => found(sandbox).score);
  expect(scores).toEqual([...scores].sort((a, b) => b - a));
  expect(new Set(scores).size).toBe(scores.length);
  expect(scores.at(0)).toBeGreaterThan(8);
  expect(scores.at(-1)).toBe(0);
});

test("each loss of protection weighs", () => {
  const base = found({ profile: "minimal" }).score;
  const losses: object[] = [
    { caps: { cap: "SYS_ADMIN" } },
    { namespace: { shares: { net: "enable" } } },
    { namespace: { shares: { pid: "enable" } } },
    { namespace: { mounts: { target: "/var/log", mode: "rw" } } },
    { namespace: { mounts: { target: "/etc", mode: "rw" } } },
    { acls: { user: "root" } },
    { acls: { groups: ["daemon"] } },
  ];
  for (const loss of losses) {
    const more = found({ profile: "minimal", ...loss });
    expect({ loss, more: more.score > base }).toEqual({ loss, more: true });
  }
  expect(found({ ...nobody, acls: { user: "nobody", newPrivs: true } }).score).toBeGreaterThan(
    found(nobody).score,
  );
});

describe("improvements", () => {
  test("say the numbers that they mean", () => {
    const fixes = found(root).findings.map(({ fix }) => fix);
    expect(fixes).toContainEqual({ acls: { timeout: 60 } });
    const gains = found({ acls: { user: "nobody", newPrivs: true } }).findings;
    expect(gains.map(({ fix }) => fix)).toContainEqual({ acls: { newPrivs: false } });
    expect(fixes).toContainEqual({ limits: { nofile: "1024", nproc: "512", core: "0" } });
  });
  test("are three at most, and none without need", () => {
    expect(improvements(found(root))).toHaveLength(3);
    expect(improvements(found({ profile: "minimal", acls: { timeout: 5 } }))).toEqual([]);
  });
  test("followed one after the other they are valid, and each lowers the score to the end", () => {
    let sandbox: object = { acls: { user: "root", newPrivs: false } };
    for (let steps = 0; ; steps++) {
      expect(steps).toBeLessThan(20);
      const before = found(sandbox);
      const [best] = improvements(before, 1);
      if (!best?.fix) break;
      const line: unknown = JSON.parse(`{${fixLine(best.fix)}}`);
      sandbox = merged(sandbox, line) as object;
      const after = found(sandbox);
      const sum = (one: typeof after) =>
        one.findings.reduce((total, { weight }) => total + weight, 0);
      expect({ line, lower: sum(after) < sum(before) }).toEqual({ line, lower: true });
    }
    expect(found(sandbox).score).toBeLessThan(1);
  });
});

describe("in words", () => {
  const lines = (sandbox: object, machine?: object) => explain(planOf(compiled(sandbox, machine)));
  test("capabilities, namespaces and limits by their meaning", () => {
    const text = lines({
      ...nobody,
      caps: { cap: "NET_ADMIN" },
      limits: { nofile: 10 },
      namespace: { shares: { net: "disable" } },
    });
    expect(text).toContain("has its own network");
    expect(text).toContain("capabilities NET_ADMIN (configure the network), no others");
    expect(text).toContain("at most 10 open files");
    expect(text).toContain("see the whole file system of the host");
    expect(text.at(-1)).toBe('execute "/bin/sh"');
  });
  test("what is not protected is said too", () => {
    expect(lines(root)).toContain("every capability of root");
    expect(lines(root)).toContain("every system call: no seccomp filter");
    expect(lines({}, asUser)).toContain(
      "run as the server's own user, uid 65534, gid 65534, no supplementary groups",
    );
  });
});
