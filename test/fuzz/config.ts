/** The config loader: a text becomes plans or a list of problems, and nothing else. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { normalize } from "../../src/config/normalize.ts";
import { ConfigError, type Problem } from "../../src/config/problem.ts";
import { parseJson } from "../../src/config/syntax.ts";
import { compile } from "../../src/plan/compile.ts";
import { type Machine, thisMachine } from "../../src/plan/machine.ts";
import { SCHEMA_WORDS } from "./words.ts";
import { spoil } from "./random.ts";
import { demand, type Json, type Random, type Target } from "./target.ts";

/** This machine, but for what would change it, or would run what a text says. */
const machine: Machine = {
  ...thisMachine(),
  mkdir: () => undefined,
  output: () => new Uint8Array(),
};
const samples = join(import.meta.dir, "../../config");
const texts = readdirSync(samples)
  .filter((name) => name.endsWith(".json"))
  .map((name) => readFileSync(join(samples, name), "utf8"));
const VALUES = [
  ...[
    "",
    "$HOME",
    "$NOPE",
    "%a%",
    "?a?",
    "%%",
    "/",
    "/bin/sh",
    "../x",
    "/etc/passwd/x",
    "/dev/zero",
    "nobody",
    "root",
    "\0",
    "\ud800",
  ],
  ...[
    "@mount",
    "SCMP_ACT_ERRNO(EPERM)",
    "SCMP_ACT_ERRNO(99999)",
    "CAP_NET_ADMIN",
    "8M",
    "1e9",
    "-1",
    "text",
    "minimal",
    "admin",
  ],
  ...[0, -1, 1, 1.5, 1e21, 2 ** 31, 4096, true, false, null],
] as const;

function value(random: Random, depth: number): Json {
  if (depth === 0 || !random.once(3)) return random.pick([VALUES[0], ...VALUES]);
  if (random.once(2)) return random.list(4, () => value(random, depth - 1));
  return Object.fromEntries(
    random.list(4, () => [random.pick(SCHEMA_WORDS), value(random, depth - 1)] as const),
  );
}

function isList(node: Json): node is readonly Json[] {
  return Array.isArray(node);
}

/** The config with one value replaced, one key renamed, or one item put in. */
function mutate(random: Random, node: Json): Json {
  if (typeof node !== "object" || node === null || random.once(12)) return value(random, 3);
  if (isList(node)) {
    if (node.length === 0 || random.once(6)) return [...node, value(random, 3)];
    const at = random.below(node.length);
    if (random.once(8)) return [...node, node[at] ?? null];
    return node.with(at, mutate(random, node[at] ?? null));
  }
  const entries = Object.entries(node);
  if (entries.length === 0 || random.once(5)) {
    return Object.fromEntries([...entries, [random.pick(SCHEMA_WORDS), value(random, 3)]]);
  }
  const at = random.below(entries.length);
  const [key = "", inner = null] = entries[at] ?? [];
  if (random.once(10)) return Object.fromEntries(entries.toSpliced(at, 1));
  return Object.fromEntries(entries.with(at, [key, mutate(random, inner)]));
}

function make(random: Random): string {
  const [first = "", ...rest] = texts;
  const text = random.pick([first, ...rest]);
  if (random.once(4)) return Buffer.from(spoil(random, Buffer.from(text), 6)).toString();
  let node = JSON.parse(text) as Json;
  for (let i = random.below(4); i >= 0; i--) node = mutate(random, node);
  return JSON.stringify(node);
}

export const config: Target = {
  name: "config",
  make,
  check(input: Json) {
    if (typeof input !== "string") return;
    const problems: Problem[] = [];
    const raw = parseJson(input, (path, message) => problems.push({ file: "f", path, message }));
    if (raw === undefined) return demand(problems.length > 0, "neither a value nor a problem");
    const normal = normalize(raw, "f");
    demand(
      (normal.config === undefined) === normal.problems.length > 0,
      "a config exactly when there is no problem",
      normal.problems,
    );
    if (!normal.config) return;
    try {
      compile([{ file: "f", config: normal.config }], {
        machine,
        checkEncoder: (_name, _plugin, opts) => ({ problems: [], notices: [], opts }),
      });
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      demand(error.problems.length > 0, "refused without a problem");
      for (const { message } of error.problems) {
        // What a bug says, caught on its way.
        demand(!/is not a function|undefined is not|of undefined|of null/.test(message), message);
      }
    }
  },
};
