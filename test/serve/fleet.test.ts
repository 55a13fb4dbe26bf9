/** A server that is of a fleet, or not: by which file, as whom, and what becomes of a change. Its broker is not there. */
import { afterAll, afterEach, beforeEach, describe, expect, spyOn, test } from "bun:test";
import { chmodSync, existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Access, type Rule } from "../../src/access/access.ts";
import { ConfigError } from "../../src/config/problem.ts";
import type { AfbError } from "../../src/errors.ts";
import { Board } from "../../src/fleet/board.ts";
import { Desk } from "../../src/fleet/desk.ts";
import { FLEET_FILE, type FleetDeps, Fleeting } from "../../src/serve/fleet.ts";
import { registryOf, shell } from "../api/harness.ts";

const dir = mkdtempSync(join(tmpdir(), "spawnbox-fleeting-"));
afterAll(() => rmSync(dir, { recursive: true }));

/** Nobody listens on that port. */
const BROKER = "mqtt://127.0.0.1:1";
let files = 0;
function written(content: object, name = `fleet-${++files}.json`): string {
  const file = join(dir, name);
  writeFileSync(file, JSON.stringify({ broker: BROKER, ...content }));
  chmodSync(file, 0o600);
  return file;
}

let told: string[];
let spy: ReturnType<typeof spyOn>;
beforeEach(() => {
  told = [];
  spy = spyOn(console, "error").mockImplementation((text: string) => void told.push(text));
});
afterEach(() => spy.mockRestore());

const deps = (...rules: Rule[]): FleetDeps => ({
  registry: registryOf([shell("v", "")]),
  access: () => new Access(rules, 1),
  refused: () => {},
  relayed: () => {},
});
const EVERYBODY: Rule = { who: { kind: "anyone" }, privileges: "all" };
const OPERATOR: Rule = { who: { kind: "operator", name: "ann" }, privileges: new Set(["x"]) };

/** With what `of` names. */
async function joined(of: object, name: string | undefined = undefined, ...rules: Rule[]) {
  const fleeting = new Fleeting();
  const file = written(of, name);
  const joining = await fleeting.read(file);
  await fleeting.offer(joining);
  await fleeting.join(joining, deps(...rules));
  return { fleeting, file, joining };
}
const notices = () => told.filter((line) => line.includes("notice: "));
/** Why there is no desk, by the first of its verbs. */
const why = async ({ verbs }: Fleeting) => {
  try {
    await verbs[0]?.call({ api: "monitor", verb: "x", args: {}, session: { uuid: "u" } });
    return undefined;
  } catch (error) {
    return `${(error as AfbError).status}: ${(error as Error).message}`;
  }
};
const NAMES = ["fleet/boards", "fleet/board", "fleet/call", "fleet/stop"];
const namesOf = ({ verbs }: Fleeting) => verbs.map(({ name }) => name);

describe("a file", () => {
  test("is none, that of the command line, or the usual one for a board alone", async () => {
    const fleeting = new Fleeting();
    expect(await fleeting.read("none")).toBeUndefined();
    if (!existsSync(FLEET_FILE)) expect(await fleeting.read(undefined)).toBeUndefined();
    const file = written({ board: "b1", operator: "ann" });
    expect(await fleeting.read(file)).toMatchObject({
      ...{ file, isNamed: true, board: "b1", operator: "ann" },
    });
    expect(await fleeting.reread()).toBeUndefined();
  });

  test("that names nobody, or is not there, is told", async () => {
    const file = written({});
    const problems = async (path: string) => {
      try {
        return await new Fleeting().read(path);
      } catch (error) {
        if (!(error instanceof ConfigError)) throw error;
        return error.problems;
      }
    };
    expect(await problems(file)).toEqual([
      {
        ...{ file, path: "board" },
        message:
          "missing key `board`: expected what this board is called; or `operator`, as whom this server calls",
      },
    ] as never);
    expect(await problems(join(dir, "none.json"))).toHaveLength(1);
  });
});

describe("verbs", () => {
  test("are there for an operator, until that is taken back", async () => {
    const fleeting = new Fleeting();
    const operator = await fleeting.read(written({ operator: "ann" }));
    const board = await fleeting.read(written({ board: "b1" }));
    expect(fleeting.verbs).toEqual([]);
    const undo = await fleeting.offer(operator);
    expect(namesOf(fleeting)).toEqual(NAMES);
    const back = await fleeting.offer(board);
    expect(fleeting.verbs).toEqual([]);
    back();
    expect(namesOf(fleeting)).toEqual(NAMES);
    (await fleeting.offer(undefined))();
    expect(namesOf(fleeting)).toEqual(NAMES);
    undo();
    expect(fleeting.verbs).toEqual([]);
  });

  test("answer once the server runs, and not any more once it does not", async () => {
    const OVER = "not-available: this server is not running yet, or not any more";
    const fleeting = new Fleeting();
    const joining = await fleeting.read(written({ operator: "ann" }));
    await fleeting.offer(joining);
    expect(await why(fleeting)).toBe(OVER);
    await fleeting.join(joining, deps());
    // The broker is not reached, which its desk tells.
    expect(await why(fleeting)).not.toBe(OVER);
    await fleeting.close();
    expect(await why(fleeting)).toBe(OVER);
  });
});

describe("a server", () => {
  test("of none has no place, and goes on without", async () => {
    const fleeting = new Fleeting();
    await fleeting.join(undefined, deps());
    fleeting.change(undefined, deps());
    expect([fleeting.places, await fleeting.reread()]).toEqual([[], undefined] as never);
    await fleeting.close();
    expect(told).toEqual([]);
  });

  test("is told as what it is, and where its broker is", async () => {
    const both = await joined({ board: "b1", operator: "ann" }, undefined, OPERATOR);
    expect(both.fleeting.places).toEqual([
      "a board of a fleet: b1, by the broker at 127.0.0.1:1",
      "calls boards of a fleet as ann, by the broker at 127.0.0.1:1",
    ]);
    const wide = await joined({ operator: "ann", broker: "mqtt://[::1]:2" });
    expect(wide.fleeting.places).toEqual([
      "calls boards of a fleet as ann, by the broker at [::1]:2",
    ]);
    expect(notices()).toEqual([]);
    for (const { fleeting } of [both, wide]) await fleeting.close();
  });

  test("says who may call too much, or that nobody may", async () => {
    const open = await joined({ operator: "ann" }, undefined, EVERYBODY);
    expect(notices()).toEqual([
      `spawnbox serve: notice: ${open.file}: whoever can connect here may call the boards as ann`,
    ]);
    told.length = 0;
    const board = await joined({ board: "b1" }, undefined, EVERYBODY);
    expect(notices()).toEqual([
      `spawnbox serve: notice: ${board.file}: nobody may call by the broker: grant by "mqtt" in the access file`,
    ]);
    for (const { fleeting } of [open, board]) await fleeting.close();
  });

  test("stays with the first, and follows what its file says", async () => {
    const { fleeting, file, joining } = await joined({ operator: "ann" });
    await fleeting.join(await fleeting.read(written({ operator: "bob" })), deps());
    const as = () => fleeting.places.map((place) => place.split(",")[0]);
    expect(as()).toEqual(["calls boards of a fleet as ann"]);
    fleeting.change(undefined, deps());
    expect(await fleeting.reread()).toEqual(joining as never);
    written({ operator: "eve", board: "b1" }, file.split("/").at(-1));
    const changed = await fleeting.reread();
    expect(changed).toMatchObject({ operator: "eve", board: "b1", isNamed: true });
    fleeting.change(changed, deps(OPERATOR));
    while (as().length < 2) await new Promise((resolve) => setImmediate(resolve));
    expect(as()).toEqual(["a board of a fleet: b1", "calls boards of a fleet as eve"]);
    written({ board: "b1" }, file.split("/").at(-1));
    fleeting.change(await fleeting.reread(), deps(OPERATOR));
    while (as().length > 1) await new Promise((resolve) => setImmediate(resolve));
    // The verbs of before are there until the next start.
    expect(await why(fleeting)).toBe(`not-available: ${file} names no operator any more`);
    await fleeting.close();
  });

  test("tells its board of a change at once, and Home Assistant only where it is another home", async () => {
    const [refreshed, closed] = [
      spyOn(Board.prototype, "refresh"),
      spyOn(Board.prototype, "close"),
    ];
    try {
      const home = { board: "b1", homeassistant: { operator: "ha" } };
      const { fleeting, file, joining } = await joined(home, undefined, OPERATOR);
      const name = file.split("/").at(-1);
      fleeting.change(joining, deps(OPERATOR));
      expect(refreshed).toHaveBeenCalledTimes(1);
      for (const [content, forgets] of [
        [{ ...home, groups: ["g"] }, false],
        [{ ...home, homeassistant: { operator: "other" } }, false],
        [{ ...home, prefix: "p" }, true],
        [{ ...home, prefix: "p", board: "b2" }, true],
        [{ board: "b2", prefix: "p", homeassistant: { operator: "ha", prefix: "h" } }, true],
        [{ board: "b2", prefix: "p" }, true],
      ] as const) {
        written(content, name);
        fleeting.change(await fleeting.reread(), deps(OPERATOR));
        while (closed.mock.calls.length === 0) await new Promise((done) => setImmediate(done));
        expect([content, closed.mock.calls.splice(0)]).toEqual([content, [[forgets]]]);
      }
      await fleeting.close();
      expect(closed.mock.calls).toEqual([[false]]);
    } finally {
      refreshed.mockRestore();
      closed.mockRestore();
    }
  });

  test("that ends amid a change is of no fleet afterwards", async () => {
    const spies = [
      ...(["start", "close"] as const).map((name) => spyOn(Board.prototype, name)),
      spyOn(Desk.prototype, "close"),
    ];
    const calls = () => spies.map((one) => one.mock.calls.length);
    try {
      const both = { board: "b1", operator: "ann" };
      const { fleeting, file } = await joined(both, undefined, OPERATOR);
      await why(fleeting);
      expect(calls()).toEqual([1, 0, 0]);
      written({ ...both, groups: ["g"] }, file.split("/").at(-1));
      fleeting.change(await fleeting.reread(), deps(OPERATOR));
      await fleeting.close();
      expect(calls()).toEqual([1, 1, 1]);
    } finally {
      for (const one of spies) one.mockRestore();
    }
  });

  test("looks anew at who watches by its desk where verbs or callers change", async () => {
    const rechecked = spyOn(Desk.prototype, "recheck");
    try {
      let changed = (): void => {};
      const own = deps();
      const registry: FleetDeps["registry"] = Object.create(own.registry, {
        onChange: { value: (how: () => void) => ((changed = how), () => {}) },
      });
      const fleeting = new Fleeting();
      const joining = await fleeting.read(written({ operator: "ann" }));
      await fleeting.offer(joining);
      await fleeting.join(joining, { ...own, registry });
      changed();
      await why(fleeting);
      expect(rechecked).not.toHaveBeenCalled();
      changed();
      while (rechecked.mock.calls.length === 0) await new Promise((done) => setImmediate(done));
      await fleeting.close();
    } finally {
      rechecked.mockRestore();
    }
  });
});
