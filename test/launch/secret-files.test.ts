/** What is read of files at a launch, and what is said of one that cannot be read: nothing of what is in it. */
import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  environmentOf,
  readSecret,
  secretNotices,
  supply,
  webhookSecret,
} from "../../src/launch/secrets.ts";
import { LaunchError } from "../../src/launch/task.ts";
import type { Plan } from "../../src/plan/plan.ts";
import { placeholder } from "../../src/plan/secrets.ts";
import { apiOf, shell } from "../api/harness.ts";

const dir = mkdtempSync(join(tmpdir(), "spawnbox-secret-files-"));
afterAll(() => rmSync(dir, { recursive: true }));
const at = (name: string): string => join(dir, name);
const write = (name: string, content: string | Uint8Array): string => {
  writeFileSync(at(name), content, { mode: 0o600 });
  return at(name);
};
const why = (work: () => unknown): string => {
  try {
    return `accepted: ${JSON.stringify(work())}`;
  } catch (error) {
    if (!(error instanceof LaunchError)) throw error;
    expect([error.step, error.errno]).toEqual(["secret", ""]);
    return error.message;
  }
};
const planOf = (secrets: Partial<Plan["secrets"]>, more: Partial<Plan> = {}): Plan =>
  shell("v", "", {
    env: { PATH: "/bin", KEPT: "config" },
    secrets: { env: {}, files: [], kept: [], ...secrets },
    ...more,
  });
const file = (path: string, optional = false) => ({ path, optional });

test("is the text without the newline that an editor has put there", () => {
  expect(readSecret("K", write("one", "a b\n"))).toBe("a b");
  expect(readSecret("K", write("two", "a\n\n"))).toBe("a\n");
  expect(readSecret("K", write("none", "é"))).toBe("é");
  expect(readSecret("K", write("empty", ""))).toBe("");
  expect(readSecret("K", write("bom", "\ufeffx"))).toBe("\ufeffx");
  expect(readSecret("K", write("most", "x".repeat(65536)))).toHaveLength(65536);
});

test("is refused with what is wrong", () => {
  const said = (path: string, words: string) => `secret ${path}: K is to be read there: ${words}`;
  const of = (name: string, content: string | Uint8Array) =>
    why(() => readSecret("K", write(name, content)));
  expect(why(() => readSecret("K", at("missing")))).toStartWith(said(at("missing"), "ENOENT"));
  expect(of("nul", "secret\0x")).toBe(said(at("nul"), "it contains a NUL byte"));
  expect(of("latin", Uint8Array.of(0x61, 0xe9))).toBe(said(at("latin"), "it is not UTF-8"));
  expect(of("long", "x".repeat(65537))).toStartWith(said(at("long"), ""));
  expect(why(() => webhookSecret(write("void", "\n")))).toBe(
    `secret ${at("void")}: webhook is to be read there: it is empty: anybody could sign with that`,
  );
  expect(webhookSecret(write("full", "s\n"))).toBe("s");
});

describe("variables", () => {
  test("are the config's, those of its files, and each of a file of its own, in that order", () => {
    const env = { PATH: "/bin" };
    expect(environmentOf({ env } as unknown as Plan)).toBe(env);
    const first = write("first", "A=1\nB=1\nKEPT=file\nOWN=file\n");
    const second = write("second", "B=2\n");
    const plan = planOf({
      files: [file(first), file(at("missing"), true), file(second)],
      env: { OWN: write("own", "own\n") },
      kept: ["KEPT"],
    });
    expect(environmentOf(plan)).toEqual({
      PATH: "/bin",
      KEPT: "config",
      A: "1",
      B: "2",
      OWN: "own",
    });
    expect(plan.env).toEqual({ PATH: "/bin", KEPT: "config" });
  });

  test("are refused where a file is missing that must not be, or is wrong", () => {
    const of = (...files: ReturnType<typeof file>[]) => why(() => environmentOf(planOf({ files })));
    expect(of(file(at("missing")))).toStartWith(
      `secret ${at("missing")}: envfile is to be read there: ENOENT`,
    );
    expect(of(file(write("wrong", "A=1\nsecret\n")))).toStartWith(
      `secret ${at("wrong")}: envfile is to be read there: line 2: `,
    );
    // It may be missing, not wrong.
    expect(of(file(write("binary", "A=\0"), true))).toContain("it contains a NUL byte");
    expect(of(file(join(write("plain", ""), "below"), true))).toContain("ENOTDIR");
  });
});

test("arguments have what is read of their files, and others are as they are", () => {
  const path = write("argument", "a\n");
  const argv = { elements: [], names: new Set<string>(), files: [path] };
  const plan = planOf({}, { argv: argv as never });
  const line = ["/x", `-p${placeholder(path)}!`, "plain"];
  expect(supply(plan, line)).toEqual({
    argv: ["/x", "-pa!", "plain"],
    env: { PATH: "/bin", KEPT: "config" },
  });
  const without = shell("v", "");
  expect(supply(without, line)).toEqual({ argv: line, env: without.env });
  rmSync(path);
  expect(why(() => supply(plan, line))).toStartWith(
    `secret ${path}: an argument is to be read there`,
  );
});

test("what is missing before anything is launched is told of each sandbox, each once", () => {
  const missing = at("not-there");
  const needy = planOf({ files: [file(missing), file(missing, true)], env: { K: missing } });
  const other = { ...needy, verb: "w", webhook: { file: missing } as never };
  const argued = planOf(
    {},
    { argv: { elements: [], names: new Set(), files: [missing] } as never },
  );
  const fine = planOf({ env: { K: write("there", "x") } });
  const plain = shell("v", "");
  const api = apiOf([], {
    file: "f.json",
    sandboxes: [
      { uid: "none", plans: [plain, fine] },
      { uid: "two", plans: [needy, other] },
      { uid: "one", plans: [argued] },
    ],
  });
  const told = secretNotices([api]);
  expect(told.map(({ file: place, path }) => [place, path])).toEqual([
    ...["sandboxes[1]", "sandboxes[1]", "sandboxes[1]", "sandboxes[2]"].map((path) => [
      "f.json",
      path,
    ]),
  ] as never);
  expect(told.map(({ message }) => /: (\w+(?: \w+)?) is to be read/.exec(message)?.[1])).toEqual([
    ...["envfile", "K", "webhook", "an argument"],
  ]);
  for (const { message } of told)
    expect(message).toEndWith(": what needs it is refused until then");
  expect(secretNotices([apiOf([plain])])).toEqual([]);
});
