import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { configJsonSchema, type JsonSchema } from "../../src/config/jsonschema.ts";
import { loadConfigs } from "../../src/config/load.ts";
import { PARAM_SCHEMA } from "../../src/config/param-schema.ts";
import { Config } from "../../src/config/schema.ts";
import { referenceMarkdown } from "../../src/config/reference.ts";
import { parseJson } from "../../src/config/syntax.ts";
import { isObject } from "../../src/object.ts";
import { toDoubles } from "../../src/numbers.ts";

const schema = JSON.parse(JSON.stringify(configJsonSchema()));

/** A judge of its own for the keywords that the schema uses: says where a value does not fit. */
function misfit(s: JsonSchema, value: unknown, path = ""): string | undefined {
  if (s["if"] !== undefined) {
    const { if: condition, then: fits, else: other, ...rest } = s;
    const chosen = misfit(condition as JsonSchema, value, path) === undefined ? fits : other;
    return misfit(chosen as JsonSchema, value, path) ?? misfit(rest, value, path);
  }
  if (Array.isArray(s["enum"]) && !s["enum"].includes(value))
    return `${path}: ${String(value)} is not one of ${s["enum"].join(", ")}`;
  if (Array.isArray(s["anyOf"])) {
    const faults = s["anyOf"].map((variant: JsonSchema) => misfit(variant, value, path));
    return faults.includes(undefined) ? undefined : faults.join("; ");
  }
  const kind = Array.isArray(value) ? "array" : value === null ? "null" : typeof value;
  const kinds = s["type"] === undefined ? [kind] : [s["type"]].flat();
  const integer = kinds.includes("integer") && Number.isInteger(value);
  if (!kinds.includes(kind) && !integer) return `${path}: ${kind} is not ${kinds.join("|")}`;
  if (
    typeof value === "string" &&
    typeof s["pattern"] === "string" &&
    !new RegExp(s["pattern"], "u").test(value)
  ) {
    return `${path}: ${value} is not like ${s["pattern"]}`;
  }
  const { minimum = -Infinity, maximum = Infinity } = s as Record<string, number>;
  if (typeof value === "number" && (value < minimum || value > maximum))
    return `${path}: ${value} is not from ${minimum} to ${maximum}`;
  if (Array.isArray(value)) {
    return value
      .map((item, i) => misfit((s["items"] ?? {}) as JsonSchema, item, `${path}[${i}]`))
      .find((f) => f);
  }
  const needed = (s["required"] ?? []) as string[];
  if (kind === "object" && needed.some((key) => !Object.hasOwn(value as object, key)))
    return `${path}: no ${needed.find((key) => !Object.hasOwn(value as object, key))}`;
  const others = s["additionalProperties"];
  if (kind !== "object" || (s["properties"] === undefined && others === undefined))
    return undefined;
  const properties = (s["properties"] ?? {}) as Record<string, JsonSchema>;
  const missing = ((s["required"] ?? []) as string[]).find(
    (key) => !Object.hasOwn(value as object, key),
  );
  if (missing !== undefined) return `${path}: no ${missing}`;
  return Object.entries(value as object)
    .map(([key, inner]) => {
      const property = properties[key];
      if (property === undefined && typeof others === "object")
        return misfit(others as JsonSchema, inner, `${path}.${key}`);
      if (property === undefined && others !== false) return undefined;
      return property === undefined
        ? `${path}: unknown ${key}`
        : misfit(property, inner, `${path}.${key}`);
    })
    .find((fault) => fault);
}

describe("the JSON Schema", () => {
  test("says what it is", () => {
    expect(schema).toMatchObject({
      $schema: "https://json-schema.org/draft/2020-12/schema",
      $id: "urn:spawnbox:config",
      title: "spawnbox config",
      // A config with both loads, so editors are not to mark them.
      ...{ allowComments: true, allowTrailingCommas: true },
      description: "a spawnbox config file",
      additionalProperties: false,
      required: ["metadata", "sandboxes"],
    });
  });

  test("says of each key what the schema says", () => {
    const said = (node: unknown): string[] =>
      isObject(node)
        ? Object.entries(node).flatMap(([key, value]) =>
            key === "description" && typeof value === "string" ? [value] : said(value),
          )
        : Array.isArray(node)
          ? node.flatMap(said)
          : [];
    const told = new Set(said(schema));
    expect(said(Config).filter((one) => !told.has(one))).toEqual([]);
    expect(told.size).toBeGreaterThan(100);
  });

  test("of the keywords that give an argument's shape says what each takes", () => {
    expect(PARAM_SCHEMA["properties"]).toMatchObject({
      minLength: { type: "integer", minimum: 0 },
      maxItems: { type: "integer", minimum: 0 },
      minimum: { type: "number" },
      exclusiveMaximum: { type: "number" },
      multipleOf: { type: "number", exclusiveMinimum: 0 },
      pattern: { type: "string" },
      uniqueItems: { type: "boolean" },
      items: { type: ["object", "boolean"] },
      properties: { type: "object" },
      required: { type: "array", items: { type: "string" } },
      additionalProperties: { type: ["object", "boolean"] },
      enum: { type: "array" },
      anyOf: { type: "array" },
      const: {},
      title: {},
      allowDash: { type: "boolean" },
      writeOnly: { type: "boolean" },
    });
    expect(PARAM_SCHEMA).toMatchObject({ type: "object", additionalProperties: false });
  });

  test("contains nothing of our own annotations", () => {
    const keys = new Set<string>();
    // Keys of `properties` are names of the config, not keywords.
    const walk = (node: JsonSchema) => {
      for (const [key, value] of Object.entries(node)) {
        keys.add(key);
        if (key === "properties") for (const inner of Object.values(value as object)) walk(inner);
        else if (key === "items") walk(value as JsonSchema);
        else if (["if", "then", "else"].includes(key)) walk(value as JsonSchema);
        else if (key === "anyOf") for (const inner of value as JsonSchema[]) walk(inner);
      }
    };
    walk(schema);
    for (const own of ["list", "text", "words", "shorthand", "like", "named", "values", "choice"])
      expect(keys).not.toContain(own);
  });

  test("accepts what the loader accepts, in the user's form and in the normal form", async () => {
    for (const { file, config } of loadConfigs(join(import.meta.dir, "fixtures"), 65534)) {
      const raw = parseJson(await Bun.file(file).text(), () => expect.unreachable());
      expect(misfit(schema, toDoubles(raw))).toBeUndefined();
      expect(misfit(schema, config)).toBeUndefined();
    }
  });

  test("refuses what the loader refuses", () => {
    const command = { uid: "c", exec: { cmdpath: "/c" } };
    const judge = (sandbox: object) =>
      misfit(schema, {
        metadata: { uid: "u", api: "a" },
        sandboxes: { uid: "s", commands: command, ...sandbox },
      });
    expect(judge({})).toBeUndefined();
    expect(judge({ acls: { runmod: "Admin" } })).toBeUndefined();
    expect(judge({ acls: { runmod: "adminx" } })).toContain("adminx is not one of default");
    expect(judge({ verbos: 1 })).toContain("unknown verbos");
    expect(judge({ commands: [{ uid: "c" }] })).toContain("no exec");
    expect(judge({ commands: { ...command, encoder: "line" } })).toBeUndefined();
    expect(judge({ commands: { ...command, encoder: 5 } })).toContain("encoder");
    expect(judge({ commands: { ...command, http: { "1": 200, "2": 599 } } })).toBeUndefined();
    // What is wrong is told where it is, however a list or an object may be written.
    const faults: [object, string][] = [
      [{ encoder: "lin" }, ".sandboxes.commands.encoder: lin is not one of text, sync"],
      [{ encoder: { output: "lin" } }, ".encoder.output: lin is not one of text, sync"],
      [{ http: { "1": 199 } }, ".http.1: 199 is not from 200 to 599"],
      [{ http: { "1": 600 } }, ".http.1: 600 is not from 200 to 599"],
      [{ timeout: "x" }, ".commands.timeout: string is not number"],
      [{ exec: { cmdpath: "/c", args: { arg: "a", omti: true } } }, ".exec.args: unknown omti"],
      [{ exec: { cmdpath: "/c", args: ["a", [1]] } }, ".exec.args[1]: array is not"],
    ];
    for (const [more, fault] of faults)
      expect(judge({ commands: { ...command, ...more } })).toContain(fault);
    // Of options, those of the encoder.
    const fitting: object[] = [
      { output: "line", opts: { cr: false, partial: true, maxlen: 9, maxline: 9 } },
      { output: "RAW", opts: { encoding: "base64" } },
      { output: "log", opts: { stdout: "a.log", maxlen: 1024 } },
      { plugin: "p", output: "line", opts: { any: 1 } },
    ];
    for (const encoder of fitting)
      expect(judge({ commands: { ...command, encoder } })).toBeUndefined();
    const unfitting: [object, string][] = [
      [{ output: "line", opts: { strict: true } }, ".encoder.opts: unknown strict"],
      [{ output: "Line", opts: { cr: "yes" } }, ".encoder.opts.cr: string is not boolean"],
      [{ output: "raw", opts: { encoding: "b64" } }, ".encoding: b64 is not one of auto, utf8"],
      [{ output: "json", opts: { strict: 1 } }, ".encoder.opts.strict: number is not boolean"],
    ];
    for (const [encoder, fault] of unfitting)
      expect(judge({ commands: { ...command, encoder } })).toContain(fault);
    const arg = (schema: unknown) => judge({ commands: { ...command, params: { a: schema } } });
    expect(arg({ type: ["string", "null"], maxLength: 3, allowDash: true })).toBeUndefined();
    expect(arg({ enum: [1, "x"], default: 1, description: "which" })).toBeUndefined();
    expect(arg({ type: "strin" })).toContain(".params.a.type: strin is not one of string, number");
    expect(arg({ type: ["string", "nul"] })).toContain(".params.a.type[1]: nul is not one of");
    expect(arg({ typ: "string" })).toContain(".params.a: unknown typ");
    expect(arg({ type: "integer", minimum: "1" })).toContain(".minimum: string is not number");
    expect(arg("string")).toContain(".params.a: string is not object");
    const plugin = { plugin: "p", output: "own" };
    expect(judge({ commands: { ...command, encoder: plugin } })).toBeUndefined();
    expect(judge({ commands: { ...command, encoder: "LINE" } })).toBeUndefined();
    for (const cap of ["NET_ADMIN", "CAP_KILL", "cap_checkpoint_restore", "Sys_Time"]) {
      expect(judge({ caps: cap })).toBeUndefined();
      expect(judge({ caps: [cap, { cap, mode: "unset" }] })).toBeUndefined();
    }
    for (const cap of ["NETADMIN", "CAP_", "CAP_CAP_KILL", "KILL "]) {
      expect(judge({ caps: cap })).toContain(".caps: ");
      expect(judge({ caps: { cap } })).toContain(`.caps.cap: ${cap} is not one of CHOWN, `);
      expect(judge({ caps: ["KILL", cap] })).toContain(".caps[1]: ");
    }
    expect(judge({ commands: { ...command, pty: { cols: 80 } } })).toBeUndefined();
    expect(judge({ commands: { ...command, pty: true } })).toBeUndefined();
    // Not besides that it is no object.
    expect(judge({ commands: { ...command, pty: "on" } })).toBe(
      ".sandboxes.commands.pty: string is not boolean",
    );
    expect(judge({ commands: { ...command, pty: { columns: 80 } } })).toContain(
      ".pty: unknown columns",
    );
    expect(judge({ seccomp: { default: "scmp_act_errno(EPERM)" } })).toBeUndefined();
    expect(judge({ seccomp: { default: "SCMP_ACT_ALOW" } })).toContain(
      "is not one of SCMP_ACT_ALLOW",
    );
  });
});

describe("the reference", () => {
  const lines = referenceMarkdown().trimEnd().split("\n");
  test("has one well-formed row per key", () => {
    for (const line of lines) expect(line.replaceAll("\\|", "").match(/\|/g)).toHaveLength(5);
    expect(lines).toContain(
      "| `sandboxes[].commands[].exec.cmdpath` | string, required |  | absolute path of the program |",
    );
  });

  test("shows alternatives, words and defaults", () => {
    const row = (key: string) => lines.find((line) => line.startsWith(`| \`${key}\` |`));
    expect(row("sandboxes[].commands[].exec.args")).toContain(
      "| string or number or object, or list of them |",
    );
    expect(row("sandboxes[].caps[].mode")).toContain('| `set`, `unset` | `"set"` |');
    expect(row("sandboxes[].commands[].encoder")).toContain("string (its `output`) or object");
    expect(row("sandboxes[].cgroups.mem.high")).toContain("throttling limit");
  });
});
