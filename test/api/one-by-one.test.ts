/** Long answers, and those that say what there is instead: one in each turn of the event loop, in turns of those who ask. */
import { describe, expect, test } from "bun:test";
import type { Request } from "../../src/api/client.ts";
import { OneByOne } from "../../src/api/one-by-one.ts";
import { registryOf, shell } from "./harness.ts";

test("in turns of those who ask", async () => {
  const long = new OneByOne();
  const order: string[] = [];
  const [greedy, modest] = ["greedy", "modest"].map((peer) => ({ peer, connection: {} }));
  if (!greedy || !modest) throw new Error("nobody asks");
  const ask = async (name: string, who: typeof greedy): Promise<void> => {
    await long.enter(who);
    order.push(name);
  };
  const all = ["g1", "g2", "g3", "g4"].map((name) => ask(name, greedy));
  all.push(ask("m1", modest));
  await Promise.all(all);
  expect(order.indexOf("m1")).toBeLessThan(3);
  expect(order.filter((name) => name !== "m1")).toEqual(["g1", "g2", "g3", "g4"]);
});

describe("of a registry", () => {
  const calls: [string, string, unknown][] = [
    ["p", "info", undefined],
    ["p", "nothing", undefined],
    ["nothing", "x", undefined],
    ["monitor", "get", { apis: true }],
    ["monitor", "apis", undefined],
    ["monitor", "info", undefined],
    ["monitor", "tasks", undefined],
    ["monitor", "explain", { api: "none" }],
  ];
  test.each(calls)("%s/%s", async (api, verb, args) => {
    const registry = registryOf([shell("v", "")]);
    let made = 0;
    let most = 0;
    let on = true;
    const turn = (): void => {
      most = Math.max(most, made);
      made = 0;
      if (on) setImmediate(turn);
    };
    const request: Request = { api, verb, args, session: { uuid: "u" } };
    setImmediate(turn);
    await Promise.all(
      Array.from({ length: 20 }, async () => {
        await registry.call(request);
        made++;
      }),
    );
    on = false;
    expect(most).toBeWithin(1, 3);
  });

  test("what is short need not wait", async () => {
    const registry = registryOf([shell("v", "")]);
    let turns = 0;
    setImmediate(() => turns++);
    for (let i = 0; i < 20; i++)
      await registry.call({ api: "p", verb: "ping", args: undefined, session: { uuid: "u" } });
    expect(turns).toBe(0);
  });
});
