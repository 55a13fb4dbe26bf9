/** Requests made to cost: nobody else is held up. The real server over its WebSocket and REST, as root and as an ordinary user. */
import { describe, expect, test } from "bun:test";
import { serve, users } from "../served.ts";
import { serving } from "../serving.ts";

const param = (schema: object) => ({
  encoder: "sync",
  exec: { cmdpath: "/bin/echo", args: ["%to%"] },
  params: { to: schema },
});
const mail = { type: "string", pattern: "^([a-zA-Z0-9._-]+)*@([a-zA-Z0-9-]+[.])+[a-z]+$" };
const config = {
  metadata: { uid: "h", api: "h" },
  sandboxes: {
    uid: "s",
    acls: { user: "daemon" },
    commands: [
      { uid: "mail", ...param(mail) },
      { uid: "list", ...param({ type: "array", items: mail, uniqueItems: true }) },
      { uid: "any", ...param({ type: ["string", "array"] }) },
    ],
  },
};
const json = "application/json";
const form = "application/x-www-form-urlencoded";
const nested = (depth: number) => "[".repeat(depth) + "]".repeat(depth);

/** Backtracking would take minutes, and looking for cycles 3 s each time: far from what a slow machine needs. */
const PATIENCE = 2000;

describe.each(users)("served by %s", (user) => {
  const served = serving(() => serve(config, { user }));

  /** Calls ten times and asks for an answer to something else meanwhile. */
  async function held(ask: () => Promise<unknown>): Promise<number> {
    await served.call("h/ping");
    const asked = Array.from({ length: 10 }, ask);
    const since = performance.now();
    await served.call("h/ping");
    const held = performance.now() - since;
    await Promise.all(asked);
    return held;
  }

  test("a text that makes a pattern backtrack", async () => {
    const call = async () => {
      const { request } = await served.call("h/mail", { to: "a".repeat(60) });
      expect(request.info).toContain("expected a string like /");
    };
    expect(await held(call)).toBeLessThan(PATIENCE);
    const to = ["a@b.c", ...Array.from({ length: 100 }, () => "a".repeat(60))];
    const list = async () => {
      const { request } = await served.call("h/list", { to });
      expect(request.info).toContain("at /1: expected a string like /");
    };
    expect(await held(list)).toBeLessThan(PATIENCE);
    const { request } = await served.call("h/mail", { to: "first.last@example.org" });
    expect(request.status).toBe("success");
  });

  test.each([
    ["an argument", json, `{"to":${nested(60_000)}}`, 400],
    ["the whole", json, nested(60_000), 400],
    ["a query in a form", form, `query=${nested(60_000)}`, 400],
    ["args in a form", form, `action=start&args={"to":${nested(60_000)}}`, 400],
    // As a text it is one.
    ["a text", form, `to=${nested(60_000)}`, 200],
  ])("JSON that is nested deep: %s", async (_, type, body, status) => {
    const post = async () => {
      const response = await fetch(`${served.url}/api/h/any?wait=1`, {
        method: "POST",
        headers: { "content-type": type },
        body,
      });
      await response.text();
      return response.status;
    };
    expect(await post()).toBe(status);
    expect(await held(post)).toBeLessThan(PATIENCE);
  });
});
