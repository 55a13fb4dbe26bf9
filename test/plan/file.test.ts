import { describe, expect, test } from "bun:test";
import { AfbError } from "../../src/errors.ts";
import { decodePlans, encodePlans } from "../../src/plan/file.ts";
import { pack, unpack } from "../../src/plan/pack.ts";
import { asUser, compiled, planOf } from "./compiling.ts";

const here = {
  arch: "x64",
  uid: 0,
  gid: 0,
  groups: [] as number[],
  groupName: (gid: number) => (gid === 4 ? "adm" : undefined),
  cannotTell: () => undefined,
} as const;
const sandbox = {
  profile: "minimal",
  limits: { as: "unlimited" },
  commands: [
    {
      uid: "a",
      usage: { $: "any", __proto__: null },
      params: { n: { type: "integer", minimum: 3 }, o: { allowDash: true } },
      exec: { cmdpath: "/bin/echo", args: ["%n%", "?o?"] },
    },
    { uid: "b", timeout: 2.5, exec: { cmdpath: "/bin/true" } },
  ],
};
const api = compiled(sandbox);
const text = encodePlans([api], here);

test("its header says what it is of, and what its body is", () => {
  const [first = "", body = "", end] = text.split("\n");
  expect(first).toStartWith("spawnbox-plan {");
  const header = JSON.parse(first.slice("spawnbox-plan ".length)) as object;
  expect(header).toEqual({
    ...{ format: 5, layout: expect.anything(), arch: "x64", uid: 0, gid: 0 },
    spawnbox: expect.stringMatching(/^\d+\.\d+/),
    sha256: new Bun.CryptoHasher("sha256").update(body).digest("hex"),
  });
  expect(end).toBe("");
  expect(api.sandboxes[0]).not.toHaveProperty("unavailable");
});

test("plans come back as they were", () => {
  const [back] = decodePlans(text, here);
  const strip = (plan: object) => ({ ...plan, params: undefined });
  if (!back) throw new Error("nothing");
  expect(back.sandboxes[0]?.plans.map(strip)).toEqual(api.sandboxes[0]?.plans.map(strip) ?? []);
  expect(planOf(back).policy.rlimits).toContainEqual([9, -1n]);
  expect({ ...back, sandboxes: [] }).toEqual({ ...api, sandboxes: [] });
});

test("what was one object is one object: a sandbox's commands share their ops", () => {
  const [back] = decodePlans(text, here);
  const [a, b] = back?.sandboxes[0]?.plans ?? [];
  expect(a?.ops).toBe(b?.ops as Uint8Array);
  expect(a?.ops.length).toBeGreaterThan(1000);
});

test("the checks of arguments survive", () => {
  const [back] = decodePlans(text, here);
  const { params } = planOf(back ?? api);
  expect(params?.allowDash).toEqual(new Set(["o"]));
  expect(() => params?.check({ n: 3 })).not.toThrow();
  expect(() => params?.check({ n: 2 })).toThrow(AfbError);
});

test("calls that cannot be told here are found before anything is launched", () => {
  const seccomp = { report: true, default: "allow", rules: { syscall: "umask", action: "log" } };
  const telling = encodePlans([compiled({ ...sandbox, uid: "telling", seccomp })], here);
  const old = { ...here, cannotTell: () => "it needs Linux 5.6" };
  expect(decodePlans(telling, here)).toHaveLength(1);
  expect(decodePlans(text, old)).toHaveLength(1);
  expect(() => decodePlans(telling, old)).toThrow(
    "telling: its calls cannot be told here: it needs Linux 5.6: compile it without report and NOTIFY",
  );
});

test("groups of this server that the compiling one had not are told", () => {
  const notices = (compiledIn: number[], servedIn: number[]) => {
    const api = compiled({ acls: {} }, { ...asUser, groups: compiledIn });
    const mine = { ...here, uid: 65534, gid: 65534 };
    const text = encodePlans([api], mine);
    const [back] = decodePlans(text, { ...mine, groups: servedIn });
    return (back?.notices ?? []).flatMap(
      ({ message }) => /groups (.*?), and/.exec(message)?.[1] ?? [],
    );
  };
  expect(notices([65534], [65534, 4, 5000])).toEqual(["adm (4), 5000"]);
  expect(notices([5000], [4, 5000])).toEqual(["5000", "adm (4)"]);
  expect(notices([5000], [5000])).toEqual(["5000"]);
  expect(notices([], [65534])).toEqual([]);
  // Root gives each command the groups that the config says.
  const [ofRoot] = decodePlans(text, { ...here, groups: [0, 4, 5000] });
  expect(ofRoot?.notices).toEqual(api.notices);
});

describe("refused", () => {
  const [header = "", body = ""] = text.split("\n");
  const changed = (key: string, value: unknown) => {
    const fields = JSON.parse(header.slice("spawnbox-plan ".length)) as object;
    return `spawnbox-plan ${JSON.stringify({ ...fields, [key]: value })}\n${body}\n`;
  };
  test.each([
    ["a config", '{"metadata": {}}\n', "not a plan file"],
    ["nothing", "", "not a plan file"],
    ["its first word alone", "spawnbox-plan ", "not a plan file"],
    ["no header", "spawnbox-plan \n{}\n", "damaged"],
    ["a broken header", "spawnbox-plan {\n{}\n", "damaged"],
    ["a header that is a list", "spawnbox-plan []\n{}\n", "it is damaged: compile it again"],
    ["a header that is nothing", "spawnbox-plan null\n{}\n", "it is damaged: compile it again"],
    ["a changed body", text.replace("/bin/echo", "/bin/evil"), "does not match its hash"],
    ["half of it", text.slice(0, text.length / 2), "does not match its hash"],
    ["another format", changed("format", 99), "whose plans are of version 99."],
    ["from before there was a filter for ports", changed("format", 4), "compile it again"],
    ["other ops", changed("layout", 99), ".99; this one reads"],
    [
      "another architecture",
      changed("arch", "arm64"),
      "it is for arm64, and this is x64: compile it with --arch x64",
    ],
    ["another user", changed("uid", 1000), "compiled for a server of uid 1000"],
  ])("%s", (_, content, message) => {
    expect(() => decodePlans(content, here)).toThrow(message);
  });
  test("an ordinary user's plans are for that user and group only", () => {
    const mine = encodePlans([api], { ...here, uid: 5, gid: 5 });
    expect(() => decodePlans(mine, { ...here, uid: 5, gid: 5 })).not.toThrow();
    for (const other of [here, { ...here, uid: 5, gid: 6 }, { ...here, uid: 6, gid: 5 }])
      expect(() => decodePlans(mine, other)).toThrow("compile it as that user");
  });
});

describe("values", () => {
  const round = (value: unknown) => unpack(JSON.parse(JSON.stringify(pack(value))));
  test.each([
    ["bigint", { a: [1n << 60n, -1n] }],
    ["bytes", new Uint8Array([0, 255, 10])],
    ["sets", new Set(["a", 2n])],
    ["an object with the tag's key", { $: "bytes", v: "x" }],
    ["a key __proto__", JSON.parse('{"__proto__": {"x": 1}}')],
    ["null and false", [null, false, 0, ""]],
  ])("%s", (_, value: unknown) => {
    expect(round(value)).toEqual(value);
  });
  test("a number as it is written, of which a double is another", () => {
    const written = "123456789012345678901234567890";
    expect(JSON.stringify(round({ a: JSON.rawJSON(written) }))).toBe(`{"a":${written}}`);
  });
  test("shared objects in shared objects", () => {
    const inner = { x: 1n };
    const outer = { inner, again: inner };
    const back = round([outer, outer, inner]) as (typeof outer)[];
    expect(back[0]).toBe(back[1] as typeof outer);
    expect(back[2] as unknown).toBe(back[0]?.inner);
  });
  test.each([
    ["a function", { a: [{ b: () => 1 }] }, "a[0].b: a function"],
    ["a map", { a: new Map() }, "a: a Map"],
    ["a date", [new Date(0)], "[0]: a Date"],
    ["infinity", { a: Infinity }, "a: Infinity"],
    [
      "checks without schema",
      { p: { allowDash: new Set(), check: () => {} } },
      "p: argument checks",
    ],
  ])("%s cannot be kept, and the place is told", (_, value, message) => {
    expect(() => pack(value)).toThrow(`${message}`);
  });
});

test("what is shared comes before who shares it: anything else is refused", () => {
  const shared = (v: unknown) => ({ value: { $: "shared", v }, shared: [{ a: 1 }] });
  expect(unpack(shared(0))).toEqual({ a: 1 });
  for (const v of [1, 2, "0", null])
    expect(() => unpack(shared(v))).toThrow('unknown value of kind "shared"');
});
