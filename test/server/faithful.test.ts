/** What is sent reaches the command, and what it prints reaches the client, as it was, or what is lost is told: over REST, WebSocket and the command line. */
import { describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { random } from "../encoders/feed.ts";
import { serve, users } from "../served.ts";
import { serving } from "../serving.ts";
import { isTried, rowsOf } from "../thinned.ts";
import { connect } from "../../src/client.ts";

const sh = (uid: string, script: string, more: object = {}) => ({
  uid,
  encoder: "sync",
  exec: { cmdpath: "/bin/sh", args: ["-c", script, "sh", "?n?"] },
  ...more,
});
const echo = (uid: string, args: unknown, more: object = {}) => ({
  uid,
  encoder: "sync",
  exec: { cmdpath: "/bin/echo", args },
  ...more,
});

/** Prints the bytes that its argument is the base64 of, in pieces that begin anywhere. */
const PRINT = 'printf %%s "$1" | base64 -d | dd bs=7 status=none';
const printing = ["raw", "sync", "line"].flatMap((encoder) => [
  sh(`${encoder}-cold`, PRINT, { encoder }),
  sh(`${encoder}-warm`, PRINT, { encoder, pool: 1 }),
]);

const config = {
  metadata: { uid: "f", api: "f" },
  sandboxes: {
    uid: "s",
    acls: { user: "nobody", timeout: 30 },
    commands: [
      echo("v", ["%v%"]),
      echo("warm", ["%v%"], { pool: 1 }),
      echo("int", ["%n%"], { params: { n: { type: "integer", minimum: 0, maximum: 9 } } }),
      echo("big", ["%n%"], { params: { n: { type: "integer" } } }),
      echo("number", ["%n%"], { params: { n: { type: "number" } } }),
      echo("texts", ["%n%"], {
        params: { n: { type: "array", items: { type: "string" }, maxItems: 2 } },
      }),
      echo("either", ["%n%"], {
        params: {
          n: { anyOf: [{ type: "integer" }, { type: "array", items: { enum: ["a", "b"] } }] },
        },
      }),
      echo("list", ["%n%"], { params: { n: { type: "array", items: { type: "integer" } } } }),
      echo("light", ["light ?v?"], { params: { v: { type: "string", default: "warm" } } }),
      echo("omit", ["a", { arg: "--level=?level?", omit: true }, "b"]),
      { uid: "date", encoder: "sync", exec: { cmdpath: "/bin/date", args: ["+%Y-%m-%d"] } },
      {
        uid: "printf",
        encoder: "sync",
        exec: { cmdpath: "/usr/bin/printf", args: ["%s-%s", "a", "b"] },
      },
      echo("numbers", ["[9007199254740993,1.50,1e21,-0,12345678901234567890]"], {
        encoder: "json",
      }),
      sh("lines", 'seq "$1"'),
      sh("textlines", 'seq "$1"', { encoder: "text" }),
      sh("x", 'head -c "$1" /dev/zero | tr "\\0" x', { buffer: 65536 }),
      sh("xline", 'head -c "$1" /dev/zero | tr "\\0" x; echo; echo end', {
        encoder: "line",
        buffer: 65536,
      }),
      sh("jpeg", "printf '\\377\\330\\377\\340JFIF'; printf e >&2", { encoder: "raw" }),
      sh("bad", "printf 'a\\377b\\n'"),
      sh(
        "progress",
        "for i in 25 50; do printf \"%%s%%%%\\r\" $$i; sleep 0.6; done; printf 'a\\r\\nb\\n'",
        {
          encoder: "line",
        },
      ),
      sh("prompt", "printf 'name? '; sleep 0.6; echo x", {
        encoder: { output: "line", opts: { partial: true } },
      }),
      {
        uid: "sleep",
        encoder: "sync",
        detach: false,
        exec: { cmdpath: "/bin/sleep", args: ["60"] },
      },
      { uid: "long", encoder: "sync", exec: { cmdpath: "/bin/sleep", args: ["60"] } },
      sh("short", "sleep 1.5; echo done"),
      ...printing,
      sh("crowd", "sleep 60 & sleep 60 & wait", { timeout: 1 }),
    ],
  },
};

const json = (body: string) => ({
  method: "POST",
  body,
  headers: { "content-type": "application/json" },
});

describe.each(users)("served by %s", (user) => {
  const row = rowsOf(user, users);
  const served = serving(() => serve(config, { user }));
  const get = async (path: string, init?: RequestInit) => {
    const response = await fetch(`${served.url}/api/f/${path}`, init);
    const text = await response.text();
    return { status: response.status, text, headers: response.headers };
  };
  const rest = async (path: string, init?: RequestInit) => {
    const reply = JSON.parse((await get(path, init)).text) as {
      request: { info: string };
      response: Record<string, unknown> & { status: Record<string, unknown>; stdout: unknown };
    };
    return { ...reply.response, info: reply.request.info };
  };
  const events = async (path: string): Promise<Record<string, unknown>[]> =>
    (await get(path)).text
      .split("\n")
      .filter((one) => one.startsWith("data:") && one.includes('"afb-event"'))
      .map((one) => (JSON.parse(one.slice(5)) as { data: Record<string, unknown> }).data);

  const NUMBERS = [
    "9007199254740993",
    "12345678901234567890",
    "1.50",
    "1.0",
    "1e21",
    "-0",
    "0.0000001",
  ];
  test.each(NUMBERS.filter((_, at) => isTried(at, user, users)))(
    "the number %s",
    async (number) => {
      const seen = await Promise.all([
        rest("v", json(`{"v":${number}}`)),
        rest("warm", json(`{"v":${number}}`)),
        rest(`v?query=${encodeURIComponent(`{"v":${number}}`)}`),
        rest(`v?v=${number}`),
      ]);
      // A value that begins with a dash could be an option.
      const wanted = number.startsWith("-") ? undefined : [number];
      expect(seen.map(({ stdout }) => stdout)).toEqual([wanted, wanted, wanted, wanted]);
      if (!wanted) return;
      const inList = await rest("v", json(`{"v":[${number},{"a":${number}}]}`));
      expect(inList.stdout).toEqual([`[${number},{"a":${number}}]`]);
      const typed = await served.call("f/v", { v: JSON.rawJSON(number) });
      expect(typed).toMatchObject({ response: { stdout: wanted } });
    },
  );

  row("a bigint of the typed client, and exact numbers on the way out", async () => {
    expect(await served.call("f/v", { v: 2n ** 64n })).toMatchObject({
      response: { stdout: ["18446744073709551616"] },
    });
    const printed = "[9007199254740993,1.50,1e21,-0,12345678901234567890]";
    expect((await get("numbers/events")).text).toContain(`"stdout":${printed}`);
    await using client = Object.assign(
      await connect(`${served.url.replace("http", "ws")}/api`, { exactNumbers: true }),
      {
        [Symbol.asyncDispose]() {
          return client.close();
        },
      },
    );
    for await (const { stdout } of client.start("f/numbers")) {
      expect(JSON.stringify(stdout)).toBe(printed);
    }
  });

  row("params compare numbers that no double holds", async () => {
    const fits = async (verb: string, n: string) => (await rest(verb, json(`{"n":${n}}`))).stdout;
    expect(await fits("big", "9007199254740993")).toEqual(["9007199254740993"]);
    expect(await fits("int", "9.0")).toEqual(["9.0"]);
    const range = "expected an integer from 0 to 9";
    for (const n of ["10", "9.00000000000000000001", "1e400", "8.5"]) {
      const { info } = await rest("int", json(`{"n":${n}}`));
      expect(info).toBe(`argument \`n\`: found ${n}: ${range}`);
      expect((await rest(`int?n=${n}`)).info).toContain(range);
    }
    expect((await rest("big", json('{"n":9007199254740993.5}'))).info).toContain("as a string");
    for (const n of ["1e400", "1e9999", "9e307"]) {
      expect(await fits("number", n)).toEqual([n]);
      expect((await rest(`number?n=${n}`)).stdout).toEqual([n]);
      expect((await rest("list", json(`{"n":[${n}]}`))).stdout).toEqual([`[${n}]`]);
    }
  });

  row("what a URL gives several times", async () => {
    expect((await rest("int?n=5&n=6")).info).toBe(
      "argument `n` is given 2 times, and takes one value",
    );
    expect((await rest("v?v=5&v=6")).info).toBe(
      "argument `v` is given 2 times, and takes one value",
    );
    expect((await rest("list?n=5&n=6")).stdout).toEqual(["[5,6]"]);
    expect((await rest("list?n=5&n=x")).info).toContain("argument `n`");
    expect((await rest("texts?n=a&n=b&n=c")).info).toBe(
      "argument `n`: found a list of 3: expected a list of at most 2 elements",
    );
  });

  row("a list of which a URL or a form gives one", async () => {
    const form = { "content-type": "application/x-www-form-urlencoded" };
    expect((await rest("list?n=5")).stdout).toEqual(["[5]"]);
    expect((await rest("list?n=1.0")).stdout).toEqual(["[1.0]"]);
    expect((await rest("list?n=[5]")).stdout).toEqual(["[5]"]);
    expect((await rest("list", { method: "POST", body: "n=5", headers: form })).stdout).toEqual([
      "[5]",
    ]);
    expect((await rest("texts?n=5")).stdout).toEqual(['["5"]']);
    expect((await rest("texts?n=")).stdout).toEqual(['[""]']);
    expect((await rest("either?n=5")).stdout).toEqual(["5"]);
    expect((await rest("either?n=a")).stdout).toEqual(['["a"]']);
    expect((await rest("list?n=x")).info).toContain('found "x" at /0: expected an integer');
    expect((await rest("list?n=[1,%22x%22]")).info).toContain("at /1: expected an integer");
    // In JSON a number is no list.
    expect((await rest("list", json('{"n":5}'))).info).toContain("expected a list");
    expect((await rest("v?wait=1&wait=0&v=1")).info).toBe("`wait` is given 2 times: give it once");
  });

  row("defaults, omitted arguments, and what is no placeholder", async () => {
    expect((await rest("light")).stdout).toEqual(["light warm"]);
    expect((await rest("light?v=")).stdout).toEqual(["light "]);
    expect((await rest("omit")).stdout).toEqual(["a b"]);
    expect((await rest("omit?level=")).stdout).toEqual(["a --level= b"]);
    expect((await rest("date")).stdout).toEqual([expect.stringMatching(/^\d{4}-\d\d-\d\d$/)]);
    expect((await rest("printf")).stdout).toEqual(["a-b"]);
    const openapi = await (await fetch(`${served.url}/openapi.json`)).text();
    expect(openapi).toContain('"default": "warm"');
  });

  row("no silent limit of lines, and one in bytes that is told", async () => {
    for (const path of ["lines?n=5000", "textlines?n=5000&wait=true"]) {
      expect((await rest(path)).stdout).toHaveLength(5000);
    }
    for (const n of [65535, 65536, 65537, 70000]) {
      const { stdout, status } = await rest(`x?n=${n}`);
      expect(String((stdout as string[])[0]).length).toBe(Math.min(n, 65536));
      expect(status["overflow"]).toEqual(n > 65536 ? { bytes: n - 65536 } : undefined);
      expect(status["exit"]).toBe(0);
    }
    const [first, second, last] = await events("xline/events?n=70000");
    expect(String(first?.["stdout"]).length).toBe(65536);
    expect(first?.["overflow"]).toEqual({ bytes: 4464 });
    expect(second?.["stdout"]).toBe("end");
    expect(last?.["status"]).toMatchObject({ exit: 0, overflow: { bytes: 4464 } });
  });

  row("what is no text", async () => {
    const { stdout, stderr, encoding } = (await rest("jpeg")) as Record<string, unknown>;
    expect({ stdout, stderr, encoding }).toEqual({
      stdout: Buffer.from([255, 216, 255, 224, 74, 70, 73, 70]).toString("base64"),
      stderr: "ZQ==",
      encoding: "base64",
    });
    const { status } = await rest("bad");
    expect(status).toMatchObject({ exit: 0, replaced: { bytes: 1 } });
  });

  row("what is printed is what arrives, whatever the bytes", async () => {
    const next = random(7);
    const pieces = ["\n", "\r", "\r\n", "é", "\u{1f600}", "a", "\ufeff", "\ufffd", "\0", '"', "\\"];
    for (let round = 0; round < 8; round++) {
      const text = Array.from({ length: next(60) }, () => pieces[next(pieces.length)]).join("");
      const bytes = Buffer.from(text);
      if (round % 2 === 1)
        for (let n = 0; n < 3 && bytes.length > 0; n++) bytes[next(bytes.length)] = next(256);
      const args = { n: bytes.toString("base64") };
      const isText = Buffer.from(bytes.toString()).equals(bytes);
      const ended =
        bytes.length === 0 || bytes.at(-1) === 10 ? bytes.toString() : `${bytes.toString()}\n`;
      for (const how of ["cold", "warm"]) {
        const replies: Record<string, unknown>[] = [
          await rest(`raw-${how}`, json(JSON.stringify(args))),
          (await served.call(`f/raw-${how}`, args)).response as Record<string, unknown>,
        ];
        for (const { stdout, encoding } of replies) {
          expect(encoding).toBe(isText ? undefined : "base64");
          expect(Buffer.from(String(stdout), isText ? "utf8" : "base64")).toEqual(bytes);
        }
        const { stdout = [], status } = await rest(`sync-${how}`, json(JSON.stringify(args)));
        expect((stdout as string[]).map((one) => `${one}\n`).join("")).toBe(ended);
        expect(status["replaced"] !== undefined).toBe(!isText);
        let built = "";
        for await (const event of served.client.start(`f/line-${how}`, args))
          built += String(event.stdout) + (event["cr"] ? "\r" : "\n");
        expect(built).toBe(bytes.at(-1) === 13 ? bytes.toString() : ended);
      }
    }
  });

  row("progress and prompts", async () => {
    const data = (list: Record<string, unknown>[]) =>
      list.flatMap(({ type, pid: _, ...rest }) => (type === "data" ? [rest] : []));
    expect(data(await events("progress/events"))).toEqual([
      { stdout: "25%", cr: true },
      { stdout: "50%", cr: true },
      { stdout: "a\r" },
      { stdout: "b" },
    ]);
    expect(data(await events("prompt/events"))).toEqual([
      { stdout: "name? ", partial: true },
      { stdout: "name? x" },
    ]);
  });

  row("detach false: a waiting client that leaves ends its task", async () => {
    const leaving = new AbortController();
    const waiting = fetch(`${served.url}/api/f/sleep`, { signal: leaving.signal });
    await Bun.sleep(500);
    leaving.abort();
    expect(await waiting.catch(() => "left")).toBe("left");
    for (;;) {
      const { response } = await served.call("f/sleep", { action: "subscribe" });
      if (Array.isArray(response) && response.length === 0) break;
      await Bun.sleep(50);
    }
  });

  row("Prefer: wait=N answers 202 after N seconds, and says where to follow", async () => {
    const prefer = (seconds: number) => ({ headers: { prefer: `respond-async, wait=${seconds}` } });
    const whole = await get("short", prefer(20));
    expect(whole.status).toBe(200);
    expect(whole.text).toContain('"stdout":["done"]');
    expect((await get("short", prefer(1e12))).text).toContain('"stdout":["done"]');
    const early = await get("short", prefer(0));
    expect(early.status).toBe(202);
    const { pid } = (JSON.parse(early.text) as { response: { pid: number } }).response;
    const followed = await fetch(served.url + String(early.headers.get("location")));
    const text = await followed.text();
    expect(text).toContain(`"type":"data","pid":${pid},"stdout":["done"]`);
    expect(text).toContain("final-event");
  });

  row("?action=stop&pid=N", async () => {
    const started = await get("long", { headers: { prefer: "wait=0" } });
    const { pid } = (JSON.parse(started.text) as { response: { pid: number } }).response;
    expect((await get(`long?action=stop&pid=${pid}`)).text).toContain(`"s/long@${pid}"`);
    expect((await get("long?action=stop&pid=1")).text).toContain("invalid pid 1");
  });

  row("a time-out tells what else has ended with it", async () => {
    const { status } = await rest("crowd");
    expect(status).toMatchObject({ cause: "timeout", others: 2 });
  });

  row("JSON in a form gets a hint, and a form none", async () => {
    const form = (body: string) => ({
      method: "POST",
      body,
      headers: { "content-type": "application/x-www-form-urlencoded" },
    });
    const hinted = await get("v", form('{"v":"hello"}'));
    expect(hinted.status).toBe(415);
    expect(hinted.text).toContain("application/json");
    for (const body of ["[1,2]", "{'v':1}", '{"v":1,}', ' {"v":', '"start"', "true", "5"]) {
      const like = await get("v", form(body));
      expect([body, like.status, like.text.includes("application/json")]).toEqual([
        body,
        415,
        true,
      ]);
    }
    expect((await rest("v", form("v=%7B"))).stdout).toEqual(["{"]);
    expect((await rest("v", form('v={"a":1}'))).stdout).toEqual(['{"a":1}']);
  });

  row("the command line: call and run", async () => {
    const dir = mkdtempSync(join(tmpdir(), "spawnbox-faithful-"));
    try {
      const file = join(dir, "c.json");
      writeFileSync(file, JSON.stringify(config));
      const url = served.url.replace("http", "ws");
      for (const how of [
        ["call", "--url", url],
        ["run", "--config", file],
      ]) {
        const [name = "", ...options] = how;
        const cli = (...args: string[]) =>
          Bun.spawnSync([served.program, name, ...args, "--raw", ...options]).stdout.toString();
        expect(cli("f/v", '{"v":1.50}')).toContain('"stdout":["1.50"]');
        expect(cli("f/numbers")).toContain("[9007199254740993,1.50,1e21,-0,12345678901234567890]");
        // More than a pipe holds.
        const reply = cli("f/lines", '{"n":50000}').trim().split("\n").at(-1) ?? "";
        expect(
          (JSON.parse(reply) as { response: { stdout: string[] } }).response.stdout,
        ).toHaveLength(50000);
      }
    } finally {
      rmSync(dir, { recursive: true });
    }
  });

  row("a WebSocket that asks for no sub-protocol is answered none, and speaks it", async () => {
    const socket = new WebSocket(`${served.url.replace("http", "ws")}/api`);
    const answer = new Promise<string>((resolve, reject) => {
      socket.onmessage = ({ data }) => resolve(String(data));
      socket.onclose = () => reject(new Error("closed"));
    });
    socket.onopen = () => socket.send('[2,"1","f/v",{"v":1.50}]');
    while (socket.readyState === WebSocket.CONNECTING) await Bun.sleep(10);
    expect(socket.protocol).toBe("");
    expect(await answer).toContain('"f"');
    socket.onclose = null;
    socket.close();
  });
});
