/** The tables on spawn-binding in the migration guide: each row is so. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { check } from "../../src/cli/check.ts";
import { isObject } from "../../src/object.ts";
import { frame, RawClient } from "../server/harness.ts";
import { type Served, serve } from "../served.ts";
import { CALLS, KEYS, MESSAGES } from "./migration.ts";

const dir = mkdtempSync(join(tmpdir(), "spawnbox-migration-"));
afterAll(() => rmSync(dir, { recursive: true }));

const command = (uid: string, script: string, more: object = {}) => ({
  uid,
  encoder: "sync",
  exec: { cmdpath: "/bin/sh", args: ["-c", script] },
  ...more,
});

describe("keys", () => {
  for (const { what, verdict, shows } of KEYS) {
    test(what, async () => {
      if (!("sandbox" in shows || "config" in shows)) throw new Error("it is about a config");
      const own = { uid: "s", acls: { user: "nobody" }, commands: command("x", "true") };
      const raw = {
        metadata: { uid: "c", api: "c" },
        sandboxes: { ...own, ...shows.sandbox },
        ...shows.config,
      };
      const file = join(dir, "config.json");
      writeFileSync(file, JSON.stringify(raw));
      const { exitCode, output } = await check(file, { json: false, access: "none", trial: false });
      expect([exitCode, output]).toEqual([verdict === "refused" ? 1 : 0, expect.any(String)]);
      const lines = output
        .split("\n")
        .filter((line) => line.startsWith("notice:") || exitCode === 1);
      if (shows.says !== undefined) expect(lines.join("\n")).toContain(shows.says);
      if (verdict === "notice") expect(shows.says).toBeString();
      expect(existsSync("/run/spawnbox-not-made")).toBe(false);
    });
  }
});

describe("calls and messages", () => {
  let served: Served;
  beforeAll(async () => {
    served = await serve({
      metadata: { uid: "m", api: "m" },
      sandboxes: {
        uid: "s",
        acls: { user: "nobody" },
        commands: [
          command("hello", "echo 'hello %name%'"),
          command("none", "echo none"),
          { uid: "bare", encoder: "sync", exec: { cmdpath: "/bin/echo", args: ["%name%"] } },
          command("single", "exec sleep 1000", { single: true, encoder: "text" }),
        ],
      },
    });
  });
  afterAll(() => served?.[Symbol.asyncDispose]());

  for (const { what, shows } of CALLS) {
    test(what, async () => {
      if (!("calls" in shows)) throw new Error("it is about calls");
      let reply: unknown;
      for (const [verb, args] of shows.calls) reply = await served.call(`m/${verb}`, args);
      expect(reply).toMatchObject(expected(shows.reply) as object);
    });
  }

  for (const { what, shows } of MESSAGES) {
    test(what, async () => {
      if (!("frame" in shows)) throw new Error("it is about a message");
      using client = await RawClient.webSocket(Number(new URL(served.url).port));
      client.write(frame(shows.frame));
      let last = await client.frame();
      // Events of a synchronous encoder come before its reply.
      while (last?.text?.startsWith("[5,")) last = await client.frame();
      if (shows.answer[0] === 1008) expect(last).toMatchObject({ code: 1008 });
      else expect(JSON.parse(last?.text ?? "")).toMatchObject(shows.answer as unknown[]);
    });
  }
});

/** With the texts of which only the beginning is told. */
function expected(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(expected);
  if (!isObject(value)) return value;
  const { begins } = value;
  if (typeof begins === "string") return expect.stringContaining(begins) as unknown;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, expected(inner)]));
}
