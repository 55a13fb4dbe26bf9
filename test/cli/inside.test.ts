/** Subcommands that look at configs, in the suite's own process: what they print, to the letter where it is theirs. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { hashOf } from "../../src/access/token.ts";
import { run as check } from "../../src/cli/check.ts";
import { run as compile } from "../../src/cli/compile.ts";
import { run as completion } from "../../src/cli/completion.ts";
import { run as doctor } from "../../src/cli/doctor.ts";
import { run as explain } from "../../src/cli/explain.ts";
import { run as help } from "../../src/cli/help.ts";
import { run as schema } from "../../src/cli/schema.ts";
import { run as token } from "../../src/cli/token.ts";
import { features } from "../../src/doctor/features.ts";
import { SUBJECTS, titleOf } from "../../src/guide/guides.ts";
import { SUBCOMMANDS } from "../../src/subcommands.ts";
import { isRoot } from "../accounts.ts";
import { saidBy, wrongOf } from "./saying.ts";

let dir: string;
const at = (name: string) => join(dir, name);
const acls = { ...(isRoot && { user: "nobody" }) };
const command = (uid: string, args: readonly string[] = []) => ({
  ...{ uid, encoder: "sync", exec: { cmdpath: "/bin/echo", args } },
});
const put = (name: string, config: object) => {
  writeFileSync(at(name), JSON.stringify(config));
  return at(name);
};
let config: string;
let other: string;
let bad: string;
let refused: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "spawnbox-inside-"));
  config = put("config.json", {
    metadata: { uid: "x", api: "x" },
    sandboxes: [
      { uid: "one", acls, commands: [command("a", ["%w%", "?v?", "%w%x"]), command("b")] },
      { uid: "Two", acls, commands: [command("c", ["?v?"])] },
    ],
  });
  other = put("other.json", {
    metadata: { uid: "y", api: "y" },
    imports: [
      { api: "far", uri: "tcp:far.example:9999" },
      { api: "near", uri: "unix:/run/near" },
    ],
    sandboxes: { uid: "three", acls, commands: command("d") },
  });
  // More descriptors than any kernel gives, where it is tried.
  refused = put("refused.json", {
    metadata: { uid: "r", api: "r" },
    imports: { api: "near", uri: "unix:/run/near" },
    sandboxes: [
      { uid: "fine", acls, commands: command("e") },
      { uid: "not", acls, limits: { nofile: "2000000000" }, commands: command("f") },
    ],
  });
  bad = put("bad.json", { metadata: { uid: "u", api: "a" }, sandboxes: { uid: 5 } });
});
afterAll(() => rmSync(dir, { recursive: true }));

/** While nothing says which configs are meant. */
async function without<Result>(work: () => Promise<Result>): Promise<Result> {
  const saved = process.env["AFB_SPAWN_CONFIG"];
  delete process.env["AFB_SPAWN_CONFIG"];
  try {
    return await work();
  } finally {
    if (saved !== undefined) process.env["AFB_SPAWN_CONFIG"] = saved;
  }
}
const lines = (text: string) => text.split("\n").filter((line) => !line.startsWith("notice: "));

describe("check", () => {
  test("counts what there is, and lists it with its arguments, each once", async () => {
    const one = await saidBy(check, "--no-try", config);
    expect([one.code, lines(one.out)]).toEqual([
      0,
      ["OK: 1 API, 3 verbs", "  x/one/a %w% ?v?", "  x/one/b", "  x/Two/c ?v?"],
    ]);
  });
  test("what is called elsewhere is told once", async () => {
    const { code, out } = await saidBy(check, "--no-try", other);
    expect([code, lines(out)]).toEqual([
      0,
      [
        "OK: 1 API, 1 verb",
        "  y/d",
        ...lines(out).filter((line) =>
          /^ {2}(far|near)\b|^ {2}.*(far\.example|\/run\/near)/.test(line),
        ),
      ],
    ]);
    expect(lines(out)).toHaveLength(4);
  });
  test("what is refused here is a problem, beside what is told of the config", async () => {
    const { code, out } = await saidBy(check, refused);
    const [problem, ...others] = out.split("\n");
    expect(code).toBe(1);
    expect(problem).toStartWith(`${refused}: sandboxes[1]: rlimit: EPERM: `);
    const near = `notice: ${refused}: imports[0]`;
    expect(others.filter((line) => line.startsWith(near))).toHaveLength(1);
    expect(others.every((line) => line.startsWith("notice: "))).toBe(true);
    // Where it is not tried, nothing of it is known.
    const untried = await saidBy(check, "--no-try", refused);
    expect([untried.code, lines(untried.out)[0]]).toEqual([0, "OK: 1 API, 2 verbs"]);
  });
  test("problems are lines, or a list for programs; then nothing is summed up", async () => {
    const { code, out } = await saidBy(check, "--no-try", bad);
    expect(code).toBe(1);
    for (const line of out.split("\n")) expect(line).toStartWith(`${bad}: sandboxes[0]`);
    const json = await saidBy(check, "--no-try", "--json", bad);
    const told = JSON.parse(json.out) as { ok: boolean; problems: object[] };
    expect([json.code, told.ok, told.problems.length]).toEqual([1, false, out.split("\n").length]);
    const good = JSON.parse((await saidBy(check, "--no-try", "--json", config)).out) as object;
    expect(good).toMatchObject({ ok: true, problems: [] });
  });
  test("wrong usage", async () => {
    const twice = "give the configs either behind --config or without, not both";
    expect(await wrongOf(check, "--config", config, config)).toBe(`spawnbox check: ${twice}`);
    expect(await without(() => wrongOf(check))).toBe("spawnbox check: no config file named");
    expect(await wrongOf(check, "--plan", config, config)).toBe(
      "spawnbox check: give either configs or --plan FILE, not both",
    );
  });
});

describe("explain", () => {
  const explained = (...argv: string[]) => saidBy(explain, "--config", config, ...argv);
  const heads = (text: string) => text.match(/^.*, in the sandbox .*$/gm);
  test("of each sandbox its first command, or what has the name", async () => {
    for (const [argv, expected] of [
      [[], ["x/one/a, in the sandbox one", "x/Two/c, in the sandbox Two"]],
      [["one"], ["x/one/a, in the sandbox one"]],
      [["Two"], ["x/Two/c, in the sandbox Two"]],
      [["x/one/b"], ["x/one/b, in the sandbox one"]],
      // Verbs are found as callers find them.
      [["X/ONE/B"], ["x/one/b, in the sandbox one"]],
    ] as const) {
      const { code, out, err } = await explained(...argv);
      expect([argv, code, err, heads(out)]).toEqual([argv, 0, "", [...expected]]);
    }
    expect((await explained()).out.split("\n\n")).toHaveLength(2);
  });
  test("steps, the score to a tenth, what is open with its weight, and what would close most", async () => {
    const [json] = JSON.parse((await explained("--json", "one")).out) as [
      {
        steps: string[];
        exposure: { score: number; findings: { what: string; weight: number }[] };
        improvements: { what: string; set: object }[];
      },
    ];
    expect(Object.keys(json)).toEqual([
      ...["api", "sandbox", "verb", "steps", "refused", "exposure", "improvements"],
    ]);
    expect(json).toMatchObject({ api: "x", sandbox: "one", verb: "one/a", refused: [] });
    expect(json.improvements).toHaveLength(3);
    for (const one of json.improvements) expect(Object.keys(one)).toEqual(["what", "set"]);
    const { out } = await explained("one");
    const all = out.split("\n");
    const { exposure, steps } = json;
    expect(all.slice(0, -4)).toEqual([
      "x/one/a, in the sandbox one",
      ...steps.map((step) => `  ${step}`),
      `exposure ${exposure.score.toFixed(1)} of 10`,
      ...exposure.findings.map(({ what, weight }) => `  ${weight.toFixed(1)}  ${what}`),
    ]);
    expect(all.at(-4)).toBe("cheapest improvements, in the sandbox:");
    for (const line of all.slice(-3)) expect(line).toMatch(/^ {2}"/);
  });
  test("what is called elsewhere comes behind, where all is told", async () => {
    const { out } = await saidBy(explain, "--config", other);
    const last = out.split("\n\n").at(-1)?.split("\n") ?? [];
    expect([last[0], last.length]).toEqual(["imports", 3]);
    for (const line of last.slice(1)) expect(line).toMatch(/^ {2}(far|near)/);
    expect((await saidBy(explain, "--config", other, "three")).out).not.toContain("imports");
    expect((await explained()).out).not.toContain("imports");
  });
  test("what its launch would be refused here, of that sandbox alone", async () => {
    // Another with as many sandboxes, of which the second is not refused.
    const { code, out } = await saidBy(explain, "--config", `${config}:${refused}`);
    const told = out.split("\n\n").map((part) => {
      const [head = "", ...rest] = part.split("\n");
      return [head, rest.filter((line) => line.startsWith("refused here: ")).length];
    });
    expect([code, told.slice(0, -1)]).toEqual([
      0,
      [
        ["x/one/a, in the sandbox one", 0],
        ["x/Two/c, in the sandbox Two", 0],
        ["r/fine/e, in the sandbox fine", 0],
        ["r/not/f, in the sandbox not", 1],
      ],
    ]);
    expect(out).toMatch(/^refused here: rlimit: EPERM: limits\.nofile is 2000000000/m);
    const json = await saidBy(explain, "--config", refused, "--json", "not");
    expect(JSON.parse(json.out)).toMatchObject([
      { refused: [expect.stringMatching(/^rlimit: EPERM/) as string] },
    ]);
  });
  test("what nothing is called, with what may be meant", async () => {
    for (const [name, meant] of [
      ["onne", "; did you mean `one`?"],
      ["x/one/d", "; did you mean `x/one/a`?"],
      ["nothing at all", ""],
    ] as const) {
      const { code, out, err } = await explained(name);
      expect([code, out]).toEqual([1, ""]);
      expect(err).toStartWith(`spawnbox explain: nothing is called ${name}${meant}`);
    }
    expect(await saidBy(explain, "--config", bad)).toMatchObject({ code: 1, out: "" });
  });
  test("wrong usage", async () => {
    expect(await wrongOf(explain, "--config", config, "a", "b")).toBe(
      "spawnbox explain: name one sandbox or one verb",
    );
    expect(await without(() => wrongOf(explain, "my.json"))).toBe(
      "spawnbox explain: name the config with an option: --config my.json",
    );
    expect(await without(() => wrongOf(explain, "mine"))).toBe(
      "spawnbox explain: no config: give --config PATH, or set AFB_SPAWN_CONFIG",
    );
    // So a sandbox may be called.
    expect((await explained("my.json")).err).toContain("nothing is called my.json");
  });
});

describe("compile", () => {
  test("a file for this machine or the other, and what is in it", async () => {
    const arch = process.arch;
    const another = arch === "x64" ? "arm64" : "x64";
    expect(await saidBy(compile, `${config}:${other}`, "-o", at("a.plan"))).toMatchObject({
      code: 0,
      out: expect.stringContaining(`${at("a.plan")}: x, y, for ${arch}`) as string,
    });
    expect(await saidBy(compile, config, "-o", at("b.plan"), "--arch", another)).toMatchObject({
      code: 0,
      out: expect.stringContaining(`${at("b.plan")}: x, for ${another}`) as string,
    });
    expect((await saidBy(explain, "--plan", at("a.plan"), "x/Two/c")).out).toStartWith(
      "x/Two/c, in",
    );
  });
  test("what cannot be compiled or written is told, and nothing is written", async () => {
    const none = await saidBy(compile, bad, "-o", at("none.plan"));
    expect([none.code, none.out, existsSync(at("none.plan"))]).toEqual([1, "", false]);
    expect(none.err).toStartWith(`${bad}: sandboxes[0]`);
    const { code, err } = await saidBy(compile, config, "-o", at("no/such/file"));
    expect([code, err.slice(0, 25)]).toEqual([1, "spawnbox compile: ENOENT:"]);
  });
  test("wrong usage", async () => {
    const wrong = (...argv: string[]) => wrongOf(compile, ...argv);
    expect(await wrong(config)).toBe("spawnbox compile: say where to write: -o FILE");
    expect(await without(() => wrong("-o", at("x")))).toBe(
      "spawnbox compile: no config file named",
    );
    expect(await wrong(config, "-o", at("x"), "--arch", "mips")).toBe(
      "spawnbox compile: --arch mips: expected x64 or arm64",
    );
    expect(await wrong("--config", config, config, "-o", at("x"))).toBe(
      "spawnbox compile: give the configs either behind --config or without, not both",
    );
    expect(existsSync(at("x"))).toBe(false);
  });
});

describe("doctor", () => {
  test("a line for each feature, its remedy below, and what of the configs will not work", async () => {
    const { code, out } = await saidBy(doctor, "--config", config);
    const told = out.split("\n");
    const all = await features();
    const expected = all.flatMap(({ name, ok, found, remedy }) => [
      `${ok ? "ok       " : "missing  "}${name.padEnd(17)} ${found}`,
      ...(remedy === undefined ? [] : [`${" ".repeat(27)}→ ${remedy}`]),
    ]);
    expect([code, told.slice(0, expected.length)]).toEqual([0, expected]);
    expect(told[expected.length]).toBe("");
    const alone = await without(() => saidBy(doctor));
    expect([alone.code, alone.out.split("\n")]).toEqual([0, expected]);
    const json = JSON.parse((await without(() => saidBy(doctor, "--json"))).out) as object;
    expect(Object.keys(json)).toEqual(["features"]);
  });
  test("nothing, or problems and notices", async () => {
    const fine = put("fine.json", {
      metadata: { uid: "z", api: "z" },
      sandboxes: { uid: "s", acls, commands: command("a") },
    });
    const { out, code } = await saidBy(doctor, "--config", fine, "--json");
    const { notices, problems } = JSON.parse(out) as { notices: object[]; problems: object[] };
    expect([code, problems]).toEqual([0, []]);
    const text = (await saidBy(doctor, "--config", fine)).out;
    const last = text.slice(text.indexOf("\n\n") + 2).split("\n");
    expect(last).toEqual(
      notices.length === 0
        ? ["the configs get everything that they ask for"]
        : last.filter((line) => line.startsWith("notice: ")),
    );
    const none = put("none.json", {
      metadata: { uid: "z", api: "z" },
      sandboxes: {
        ...{ uid: "s", acls },
        commands: { uid: "a", encoder: "sync", exec: { cmdpath: "/no/such/program" } },
      },
    });
    const one = (await saidBy(doctor, "--config", none)).out;
    expect(one.slice(one.indexOf("\n\n") + 2).split("\n")).toEqual([
      expect.stringMatching(/^problem: .*\/no\/such\/program does not exist/) as string,
    ]);
    const wrong = await saidBy(doctor, "--config", bad);
    expect(wrong.code).toBe(1);
    expect(wrong.out).toContain(`\n\nproblem: ${bad}: sandboxes[0]`);
    const told = JSON.parse((await saidBy(doctor, "--config", bad, "--json")).out) as object;
    expect(Object.keys(told)).toEqual(["features", "problems", "notices"]);
  });
});

test("token: on the first line it, then its grant by its hash; without privileges that is said", async () => {
  const made = await saidBy(token, "--info", "ann", "a", "b");
  const [secret = "", grant = "", ...more] = made.out.split("\n");
  expect([made.code, made.err, more]).toEqual([0, "", []]);
  expect(JSON.parse(grant)).toEqual({ info: "ann", token: hashOf(secret), privileges: ["a", "b"] });
  const none = await saidBy(token);
  const [other = "", granted = ""] = none.out.split("\n");
  expect(other).not.toBe(secret);
  expect(JSON.parse(granted)).toEqual({ token: hashOf(other), privileges: [] });
  expect(none).toMatchObject({
    code: 0,
    err: "spawnbox token: it grants nothing yet: add privileges",
  });
  expect(await wrongOf(token, "a", "")).toBe("spawnbox token: a privilege is not empty");
});

test("schema: of configs or of access files, for programs or for readers", async () => {
  const titles = [];
  for (const argv of [[], ["--access"]])
    titles.push((JSON.parse((await saidBy(schema, ...argv)).out) as { title: string }).title);
  expect(titles).toEqual(["spawnbox config", "spawnbox access"]);
  const tables = [];
  for (const argv of [["--markdown"], ["--markdown", "--access"]])
    tables.push((await saidBy(schema, ...argv)).out);
  for (const table of tables) {
    expect(table).toStartWith("| Key | Type |");
    expect(table).not.toEndWith("\n");
  }
  expect([tables[0]?.includes("cmdpath"), tables[1]?.includes("cmdpath")]).toEqual([true, false]);
});

describe("help", () => {
  const helped = (...argv: string[]) => saidBy((all) => help(all, SUBCOMMANDS), ...argv);
  const list = SUBJECTS.map((one) => `  ${one.padEnd(11)} ${titleOf(one)}`).join("\n");
  test("all guides, each with its title", async () => {
    expect(await helped()).toEqual({
      ...{ code: 0, err: "" },
      out: `Guides, each shown by spawnbox help SUBJECT:\n\n${list}\n\nspawnbox --help lists the subcommands.`,
    });
  });
  test("the options of a subcommand", async () => {
    expect((await helped("token")).out).toBe((await saidBy(token, "--help")).out);
  });
  test("what there is not, and what may be meant", async () => {
    expect(await helped("nothing of the kind")).toEqual({
      ...{ code: 2, out: "" },
      err: `spawnbox help: there is no guide "nothing of the kind"\n\n${list}`,
    });
    const [first] = (await helped("sandboxin")).err.split("\n");
    expect(first).toBe(
      'spawnbox help: there is no guide "sandboxin"; perhaps spawnbox help sandboxing, spawnbox help config, spawnbox help services',
    );
    expect((await helped("constructor")).code).toBe(2);
    expect(await wrongOf((all) => help(all, SUBCOMMANDS), "a", "b")).toBe(
      "spawnbox help: name one subject",
    );
  });
});

test("completion is for one shell", async () => {
  const wrong = (...argv: string[]) => wrongOf((all) => completion(all, SUBCOMMANDS), ...argv);
  const one = "spawnbox completion: name one shell: bash, zsh, fish";
  expect([await wrong(), await wrong("bash", "zsh")]).toEqual([one, one]);
  expect(await wrong("bas")).toBe(
    "spawnbox completion: no completion for bas; did you mean `bash`?: bash, zsh, fish",
  );
  expect(await wrong("powershell")).toBe(
    "spawnbox completion: no completion for powershell: bash, zsh, fish",
  );
});
