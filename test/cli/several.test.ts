/** Several APIs from several files, served together; and what a client of them is told when it asks for what is not there. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { check } from "../../src/cli/check.ts";
import { connect } from "../../src/client.ts";
import { isRoot, serve, users } from "../served.ts";

let dir: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "spawnbox-several-"));
  chmodSync(dir, 0o755);
  mkdirSync(join(dir, "more"));
});
afterAll(() => rmSync(dir, { recursive: true }));

const config = (api: string, metadata: object = {}, more: object = {}) => ({
  metadata: { uid: api, api, ...metadata },
  sandboxes: {
    uid: "s",
    acls: { user: isRoot ? "nobody" : process.geteuid?.() },
    commands: [
      { uid: "say", encoder: "sync", exec: { cmdpath: "/bin/echo", args: [api, "?text?"] } },
      { uid: "later", exec: { cmdpath: "/bin/echo", args: "%text%" } },
    ],
  },
  ...more,
});

function write(name: string, content: object): string {
  const file = join(dir, name);
  writeFileSync(file, JSON.stringify(content));
  return file;
}

describe("require", () => {
  const problems = async (...files: string[]) => {
    const { output } = await check(files.join(":"), { json: true, access: "none" });
    return (JSON.parse(output) as { problems: object[] }).problems;
  };
  test("an API of another file, of the same, or the built-in one, in any order", async () => {
    const a = write("a.json", config("alpha", { require: ["beta", "Alpha", "monitor"] }));
    const b = write("b.json", config("beta", { require: "ALPHA" }));
    expect(await problems(a, b)).toEqual([]);
    expect(await problems(b, a)).toEqual([]);
    expect(await problems(a)).toEqual([
      {
        file: a,
        path: "metadata.require[0]",
        message: 'no API "beta" is loaded',
      },
    ]);
  });
  test("what is missing is told for each file, with all else", async () => {
    const a = write("a.json", config("alpha", { require: ["gamma", "alfa", "delta"] }));
    const b = write(
      "b.json",
      config("beta", { require: "gamma" }, { onload: { uid: "1", action: "api://gamma#x" } }),
    );
    const told = (await problems(a, b)).map((one) => {
      const { file, path } = one as { file: string; path: string };
      return `${file.at(-6)} ${path}`;
    });
    expect(told).toEqual([
      "b onload[0].action",
      "a metadata.require[0]",
      "a metadata.require[1]",
      "a metadata.require[2]",
      "b metadata.require[0]",
    ]);
  });
});

describe.each(users)("as %s", (user) => {
  test("each has its verbs, info and events, and they call each other", async () => {
    const across = {
      extra: { uid: "across", action: "api://two#say", args: { text: "$API_NAME" } },
    };
    write("more/spawn-1.json", config("one", { require: "two" }, across));
    write("more/spawn-2.json", config("two"));
    write("more/ignored.json", config("nine"));
    const three = write("three.json", config("three"));
    const named = ["--config", `${join(dir, "more")}:${three}`];
    await using server = await serve(config("unused"), { user, argv: named });
    const { response } = await server.call("monitor/get", { apis: "*" });
    // With what stands behind a --config before.
    const apis = { monitor: true, one: true, three: true, two: true, unused: true };
    expect(response).toEqual({ apis });
    for (const api of ["one", "two", "three"]) {
      expect((await server.run(`${api}/say`)).stdout).toEqual([`${api} `]);
      expect((await server.call(`${api}/info`)).response).toMatchObject({ metadata: { api } });
    }
    expect((await server.run("one/across")).stdout).toEqual(["two one"]);
    const names = new Set<string>();
    const ended = new Promise<void>((resolve) => {
      server.client.on("event", (name, data) => {
        names.add(name);
        if (JSON.stringify(data).includes("final-event")) resolve();
      });
    });
    await server.call("three/later", { text: "x" });
    await ended;
    expect(names.has("three/later")).toBe(true);
  });

  test("what is not there: the same words over REST, events and WebSocket, TCP and unix", async () => {
    await using server = await serve(config("one"), { user });
    const api = { status: "unknown-api", code: -3 };
    const verb = { status: "unknown-verb", code: -4 };
    const wrong = { status: "invalid-request", code: -12 };
    for (const [method, args, expected, info, http] of [
      ["onne/say", null, api, "no API `onne`; did you mean `one`? (there is one, monitor)", 404],
      [
        "one/sya",
        null,
        verb,
        "no verb `sya`; did you mean `say`? (there is ping, info, say, later)",
        404,
      ],
      ["one/exec", null, verb, "no verb `exec` (there is ping, info, say, later)", 404],
      ["monitor/gte", null, verb, /^no verb `gte`; did you mean `get`\?/, 404],
      ["one/later", null, wrong, /`text`/, 400],
      [
        "one/say",
        { action: "strat" },
        wrong,
        /^unknown action "strat"; did you mean `start`\?/,
        400,
      ],
      [
        "one/say",
        { action: "stop", args: { pid: 1 } },
        wrong,
        "invalid pid 1: no running task of one/say",
        400,
      ],
    ] as const) {
      const reply = await server.call(method, args);
      expect(reply.request).toMatchObject(expected);
      if (typeof info === "string") expect(reply.request.info).toStartWith(info);
      else expect(reply.request.info).toMatch(info);
      for (const suffix of ["", "/events"]) {
        const body = args === null ? "" : `?query=${encodeURIComponent(JSON.stringify(args))}`;
        const response = await fetch(`${server.url}/api/${method}${suffix}${body}`);
        expect({ method, suffix, status: response.status }).toEqual({
          method,
          suffix,
          status: http,
        });
        expect(await response.json()).toEqual(JSON.parse(JSON.stringify(reply)));
      }
    }
  });

  test("verbose: the plan, in words, on every transport", async () => {
    await using server = await serve(config("one"), { user });
    const plain = await server.run("one/say", { action: "start" });
    expect(plain).not.toHaveProperty("plan");
    const loud = (await server.call("one/say", { args: { text: "x" }, verbose: 1 })).response;
    const plan = (loud as { plan: string[] }).plan;
    expect(plan.at(-1)).toBe('execute "/bin/echo" "one" "?text?"');
    expect(plan).toContain("no new privileges");
    expect(loud).toMatchObject({ stdout: ["one x"] });
    // An asynchronous one tells it at once.
    const later = (await server.call("one/later", { args: { text: "x" }, verbose: 4 })).response;
    expect(later).toHaveProperty("plan");
    const rest = await fetch(`${server.url}/api/one/say?verbose=1`);
    expect(await rest.json()).toMatchObject({ response: { plan } });
    expect((await server.call("one/say", { verbose: 5 })).request.status).toBe("invalid-request");
    const url = `${server.url.replace("http", "ws")}/api`;
    const second = await connect(url);
    expect((await second.call("one/say", { verbose: 2 })).response).toMatchObject({ plan });
    await second.close();
  });
});
