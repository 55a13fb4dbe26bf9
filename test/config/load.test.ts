import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { loadConfigs } from "../../src/config/load.ts";
import { ConfigError } from "../../src/config/problem.ts";

const fixtures = join(import.meta.dir, "fixtures");
/** The sources may belong to somebody else than who runs the tests, whom root would not obey. */
const ORDINARY = 65534;
let dir: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "config-"));
});
afterAll(() => rmSync(dir, { recursive: true }));

function put(name: string, text: string | Uint8Array): string {
  const file = join(dir, name);
  writeFileSync(file, text);
  return file;
}

const minimal = (api: string) => JSON.stringify({ metadata: { uid: api, api }, sandboxes: [] });

function problemsOf(spec: string) {
  try {
    loadConfigs(spec);
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
  throw new Error("it loaded");
}

test("what is given twice is a problem, also where all else is right", () => {
  const text = minimal("a").replace('"api":"a"', '"api":"b","api":"a"');
  const file = put("spawn-twice.json", text);
  expect(problemsOf(file)).toEqual([
    {
      ...{ file, path: "metadata.api" },
      message: "key `api` is given twice, at lines 1 and 1",
    },
  ]);
});

describe("existing configs load", () => {
  test("a directory gives its spawn-*.json files, sorted", () => {
    const loaded = loadConfigs(fixtures, ORDINARY);
    expect(loaded.map(({ config }) => config.metadata.api)).toEqual(["board", "lab", "watch"]);
    expect(loaded.map(({ file }) => file)).toEqual(
      ["spawn-board.json", "spawn-lab.json", "spawn-watch.json"].map((name) =>
        join(fixtures, name),
      ),
    );
  });

  test("in their normal form", () => {
    const [board, lab, watch] = loadConfigs(fixtures, ORDINARY).map(({ config }) => config);
    expect(board?.metadata.version).toBe("1.0");
    expect(board?.sandboxes[0]?.acls).toMatchObject({ umask: "27", user: "1", runmod: "admin" });
    expect(board?.sandboxes[0]?.caps).toEqual([{ cap: "NET_ADMIN", mode: "set" }]);
    expect(board?.sandboxes[0]?.commands[0]?.exec.args).toEqual(["80"]);
    expect(lab?.sandboxes[0]?.cgroups?.mem).toEqual({ max: "256M", high: "200M", min: "4096" });
    expect(lab?.sandboxes[0]?.namespace?.shares).toEqual({
      all: "disable",
      users: "enable",
      net: "default",
      cgroup: "disable",
    });
    expect(watch?.sandboxes[0]?.commands[0]).toMatchObject({
      single: true,
      encoder: { output: "log" },
    });
    expect(watch?.onload?.[0]?.args).toBe("disconnected");
  });
});

describe("files", () => {
  test("a list of paths, with a byte order mark", () => {
    const one = put("one.json", `\ufeff${minimal("one")}`);
    const two = put("two.json", minimal("two"));
    expect(loadConfigs(`${one}:${two}`).map(({ file }) => file)).toEqual([one, two]);
  });

  test("problems of all files come together", () => {
    const bad = put("bad.json", "{}");
    const gone = join(dir, "gone.json");
    const found = problemsOf(`${bad}:${gone}`);
    expect(found.map(({ file, path }) => `${file} ${path}`)).toEqual([
      `${gone} `,
      `${bad} metadata`,
      `${bad} sandboxes`,
    ]);
    expect(found[0]?.message).toContain("ENOENT");
  });

  test("two files may not register the same API", () => {
    const first = put("first.json", minimal("same"));
    expect(loadConfigs(`${first}:${put("other.json", minimal("Same"))}`).length).toBe(2);
    const second = put("second.json", minimal("same"));
    expect(problemsOf(`${first}:${second}`)).toEqual([
      {
        file: second,
        path: "metadata.api",
        message: `the API \`same\` is already registered by ${first}`,
      },
    ]);
  });

  test("a file may not be given twice, by whatever name", () => {
    mkdirSync(join(dir, "once"));
    const first = put("once/spawn-first.json", minimal("once"));
    const link = join(dirname(first), "link.json");
    symlinkSync(first, link);
    for (const again of [first, dirname(first), link])
      expect(problemsOf(`${first}:${again}`)).toEqual([
        {
          ...{ file: again === dirname(first) ? first : again, path: "" },
          message: `it is given twice, the first time as ${first}: a directory brings all of its spawn-*.json`,
        },
      ]);
  });

  test("a name with a colon, which would be two", () => {
    const file = put("a:b.json", minimal("colon"));
    expect(problemsOf(file)[0]).toEqual({
      ...{ file, path: "" },
      message: "a colon stands between paths: give what has one in its name a link without",
    });
  });

  test("an empty directory, an empty spec", () => {
    const empty = join(dir, "empty");
    mkdirSync(empty);
    expect(problemsOf(empty)[0]?.message).toContain("no spawn-*.json");
    expect(problemsOf("")[0]?.message).toContain("no config file named");
  });

  test("what is not a reasonable text file is refused, a FIFO without hanging", () => {
    const fifo = join(dir, "fifo");
    expect(Bun.spawnSync(["mkfifo", fifo]).exitCode).toBe(0);
    expect(problemsOf(fifo)[0]?.message).toContain("not a regular file");
    expect(problemsOf("/dev/null")[0]?.message).toContain("not a regular file");
    const large = put("large.json", "");
    truncateSync(large, 8 * 1024 * 1024 + 1);
    expect(problemsOf(large)[0]?.message).toContain("too large");
    expect(problemsOf(put("latin.json", new Uint8Array([0x22, 0xe9, 0x22])))[0]?.message).toContain(
      "not UTF-8",
    );
  });
});
