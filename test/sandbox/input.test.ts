/** `stdin` of a config: what a POST or a WebSocket gives a command to read, how much of it, and how it ends. */
import { describe, expect } from "bun:test";
import { readdirSync } from "node:fs";
import { connect } from "../../src/client.ts";
import type { Reply } from "../../src/api/reply.ts";
import { type Served, serve, shell, until, users } from "../served.ts";
import { serving } from "../serving.ts";
import { rowsOf } from "../thinned.ts";
import { acls, api, full } from "./attack.ts";

const fed = { stdin: "body" };
const sum = { encoder: "sync", exec: { cmdpath: "/usr/bin/sha256sum" } };
const commands = [
  { ...sum, ...fed, uid: "sum" },
  { ...shell, ...fed, uid: "sh" },
  { ...shell, ...fed, uid: "line", encoder: "line" },
  { ...sum, ...fed, uid: "small", maxinput: "1K" },
  { ...sum, ...fed, uid: "guarded", privilege: "urn:x" },
  { ...shell, uid: "plain" },
  { ...shell, uid: "plainline", encoder: "line" },
];
const config = api([
  { uid: "plain", acls, commands },
  { uid: "warm", acls, commands: commands.map((one) => ({ ...one, pool: 1 })) },
  { uid: "full", acls, namespace: full, commands },
]);

/** Every byte there is, in no order that a pipe could know. */
const bytes = (length: number): Buffer =>
  Buffer.from(Uint8Array.from({ length }, (_, i) => (i * 31 + (i >> 8) * 7 + (i >> 16)) & 0xff));
const sha256 = (data: Uint8Array): string =>
  new Bun.CryptoHasher("sha256").update(data).digest("hex");

interface Answer {
  readonly request: Reply["request"];
  readonly response: { readonly status: object; readonly stdout?: string[] };
}

async function post(
  { url }: Served,
  verb: string,
  body: Uint8Array | string,
  query: Record<string, string> = {},
  headers: Record<string, string> = {},
): Promise<Answer> {
  const search = new URLSearchParams(query);
  const response = await fetch(`${url}/api/a/${verb}?${search}`, { method: "POST", body, headers });
  return (await response.json()) as Answer;
}

/** Starts a verb with events; gives it pieces. */
async function begin(served: Served, verb: string, script: string) {
  const lines: string[] = [];
  const ended = Promise.withResolvers<object>();
  const client = await connect(`${served.url.replace("http", "ws")}/api`);
  client.on("event", (_, data) => {
    const { stdout, status } = data as { stdout?: string; status?: object };
    if (stdout !== undefined) lines.push(stdout);
    if (status) ended.resolve(status);
  });
  const { request, response } = await client.call(`a/${verb}`, { script });
  if (request.status !== "success") throw new Error(request.info);
  const { pid } = response as { pid: number };
  const give = async (args: object) =>
    (await client.call(`a/${verb}`, { action: "input", args: { pid, ...args } })).request;
  return { client, pid, lines, ended: ended.promise, give };
}

const success = expect.objectContaining({ status: "success" });
const isBusy = async (served: Served, most: number) => {
  const { response } = await served.call("monitor/tasks", { state: "running" });
  return (response as unknown[]).length > most;
};

describe.each(users)("served by %s", (user) => {
  const row = rowsOf(user, users);
  const served = serving(() => serve(config, { user }));

  describe.each(["plain", "warm", "full"])("sandbox %s", (sandbox) => {
    row("the body of a POST, to its last byte, whatever it says it is", async () => {
      for (const [length, type] of [
        [1 << 20, "application/octet-stream"],
        [70_000, "application/json"],
        [1, "application/x-www-form-urlencoded"],
        [0, "text/plain"],
      ] as const) {
        const body = bytes(length);
        const { response } = await post(
          served,
          `${sandbox}/sum`,
          body,
          {},
          { "content-type": type },
        );
        expect(response).toMatchObject({ status: { exit: 0 }, stdout: [`${sha256(body)}  -`] });
      }
    });

    row("arguments come from the query string, and /dev/stdin can be opened", async () => {
      const script = "cat /dev/stdin; ls /proc/self/fd | wc -l";
      const { response } = await post(served, `${sandbox}/sh`, '{"script":"exit 9"}\n', { script });
      // ls has its own directory open.
      expect(response.stdout).toEqual(['{"script":"exit 9"}', "4"]);
    });

    row("a start without a body has the end at once", async () => {
      const { url } = served;
      const found = (await (await fetch(`${url}/api/a/${sandbox}/sum`)).json()) as Answer;
      expect(found.response.stdout).toEqual([`${sha256(new Uint8Array())}  -`]);
    });

    row("who does not read, or closes it, is no error", async () => {
      for (const script of [
        "exit 3",
        "exec <&-; sleep 0.2; exit 3",
        "head -c 5 >/dev/null; exit 3",
      ])
        expect(
          (await post(served, `${sandbox}/sh`, bytes(1 << 20), { script })).response,
        ).toMatchObject({ status: { exit: 3 } });
      expect((await served.call("a/ping")).request.status).toBe("success");
    });

    row("more than maxinput is refused before anything runs", async () => {
      const { request, response } = await post(served, `${sandbox}/small`, bytes(1025));
      expect(request).toMatchObject({ status: "invalid-request" });
      expect(request.info).toContain("1025 bytes");
      expect(response).toBeUndefined();
      const most = bytes(1024);
      expect((await post(served, `${sandbox}/small`, most)).response.stdout).toEqual([
        `${sha256(most)}  -`,
      ]);
    });

    row("pieces over a WebSocket, in their order, until the end", async () => {
      const { client, lines, ended, give } = await begin(
        served,
        `${sandbox}/line`,
        "exec sha256sum",
      );
      const all = bytes(5_000_000);
      for (let at = 0; at < all.length; at += 700_000) {
        const base64 = all.subarray(at, at + 700_000).toString("base64");
        expect(await give({ base64 })).toEqual(success);
      }
      expect(await give({ data: "über", end: true })).toEqual(success);
      expect(await ended).toMatchObject({ exit: 0 });
      expect(lines).toEqual([`${sha256(Buffer.concat([all, Buffer.from("über")]))}  -`]);
      await client.close();
    });

    row(
      "a piece is taken when the command has room, and a stop does not wait for that",
      async () => {
        const script =
          "trap 'cat >/dev/null; echo read; exit 0' USR1; echo up; while :; do sleep 0.1; done";
        const { client, pid, lines, ended, give } = await begin(served, `${sandbox}/line`, script);
        await until("up", () => lines.includes("up"));
        let taken = false;
        const given = give({ data: "x".repeat(500_000), end: true }).then((reply) => {
          taken = true;
          return reply;
        });
        await Bun.sleep(200);
        expect(taken).toBe(false);
        await client.call(`a/${sandbox}/line`, { action: "stop", args: { pid, signal: "USR1" } });
        expect(await given).toEqual(success);
        expect(await ended).toMatchObject({ exit: 0 });
        expect(lines).toEqual(["up", "read"]);
        await client.close();
      },
    );

    row("what is given to one that ends, or has closed it, is refused", async () => {
      const closed = await begin(served, `${sandbox}/line`, "exec <&-; echo up; exec sleep 60");
      await until("up", () => closed.lines.includes("up"));
      expect(await closed.give({ data: "x".repeat(200_000) })).toMatchObject({
        status: "bad-state",
        info: expect.stringContaining("has closed its stdin"),
      });
      expect(await closed.give({ data: "x" })).toMatchObject({ status: "bad-state" });
      const over = closed.client.call(`a/${sandbox}/line`, { action: "stop", args: { signal: 9 } });
      await over;
      await closed.client.close();
      const { client, give, pid } = await begin(served, `${sandbox}/line`, "exec sleep 60");
      const given = give({ data: "x".repeat(500_000) });
      await client.call(`a/${sandbox}/line`, { action: "stop", args: { pid, signal: 9 } });
      expect(await given).toMatchObject({ status: "bad-state" });
      await client.close();
    });

    row("a client that goes ends it; what it has given is read", async () => {
      const script = "echo up; wc -c; sleep 0.2; echo over";
      const { client, pid, lines, give } = await begin(served, `${sandbox}/line`, script);
      await until("up", () => lines.includes("up"));
      await give({ data: "12345" });
      const heard: string[] = [];
      const off = served.client.on("event", (_, data) => {
        const { stdout, pid: of } = data as { stdout?: string; pid: number };
        if (of === pid && stdout !== undefined) heard.push(stdout);
      });
      await served.call(`a/${sandbox}/line`, { action: "subscribe", args: { pid } });
      await client.close();
      await until("over", () => heard.includes("over"));
      expect(heard).toEqual(["5", "over"]);
      off();
    });
  });

  row("beyond maxinput a piece is refused, and stdin ends with what came before", async () => {
    const client = await connect(`${served.url.replace("http", "ws")}/api`);
    const reply = client.call("a/plain/small");
    let pid = 0;
    await until("it runs", async () => {
      const { response } = await served.call("monitor/tasks", {
        state: "running",
        verb: "plain/small",
      });
      pid = (response as { pid: number }[])[0]?.pid ?? 0;
      return pid > 0;
    });
    // Somebody else who may stop it.
    const give = async (args: object) =>
      (await served.call("a/plain/small", { action: "input", args: { pid, ...args } })).request;
    expect(await give({ data: "x".repeat(1000) })).toEqual(success);
    expect(await give({ data: "x".repeat(25) })).toMatchObject({
      status: "invalid-request",
      info: expect.stringContaining("maxinput of 1024 bytes"),
    });
    expect((await reply).response).toMatchObject({
      stdout: [`${sha256(Buffer.alloc(1000, "x"))}  -`],
    });
    await client.close();
  });

  row(
    "who does not wait for replies is not held in memory without end, and leaves no gap",
    async () => {
      const { client, pid, give } = await begin(served, "plain/line", "exec sleep 60");
      const given = Array.from({ length: 8 }, () => give({ data: "x".repeat(700_000) }));
      const last = await given.at(-1);
      expect(last).toMatchObject({ status: "bad-state" });
      await client.call("a/plain/line", { action: "stop", args: { pid, signal: 9 } });
      const statuses = (await Promise.all(given)).map(({ status }) => status);
      expect(statuses).not.toContain("success");
      expect(statuses).toContain("invalid-request");
      await client.close();
    },
  );

  row("a body gives a piece, too", async () => {
    const { client, pid, lines, ended } = await begin(served, "plain/line", "exec cat");
    const query = { action: "input", pid: String(pid), end: "true" };
    expect((await post(served, "plain/line", "a line\n", query)).request).toEqual(success);
    expect(await ended).toMatchObject({ exit: 0 });
    expect(lines).toEqual(["a line"]);
    await client.close();
  });

  row(
    "only for who may stop it, only where the config says so, and only what is right",
    async () => {
      expect(
        (await served.call("a/plain/guarded", { action: "input", args: { pid: 1 } })).request,
      ).toMatchObject({ status: "insufficient-scope" });
      const plain = await begin(
        served,
        "plain/plainline",
        "echo up; readlink /proc/self/fd/0; exec sleep 60",
      );
      await until("up", () => plain.lines.length === 2);
      expect(plain.lines).toEqual(["up", "/dev/null"]);
      expect(await plain.give({ data: "x" })).toMatchObject({
        status: "invalid-request",
        info: expect.stringContaining("reads no input"),
      });
      await plain.client.call("a/plain/plainline", { action: "stop", args: { signal: 9 } });
      await plain.client.close();
      const { client, pid, ended, give, lines } = await begin(served, "plain/line", "exec wc -c");
      for (const wrong of [
        {},
        { data: 7 },
        { data: "\ud800" },
        { data: "x", base64: "eA==" },
        { base64: "eA=" },
        { base64: "e A=" },
        { base64: ["eA=="] },
        { data: "x", end: "perhaps" },
        { data: "x", signal: 9, more: 1 },
        { data: "x", pid: pid + 1 },
        { data: "x", pid: undefined },
      ])
        expect([wrong, await give(wrong)]).toEqual([
          wrong,
          expect.objectContaining({ status: "invalid-request" }),
        ]);
      expect(await give({ data: "x", end: true })).toEqual(success);
      expect(await give({ data: "x" })).not.toEqual(success);
      await ended;
      expect(lines).toEqual(["1"]);
      await client.close();
      // As before, without the key.
      const body = JSON.stringify({ script: "cat; exit 4" });
      const { response } = await post(
        served,
        "plain/plain",
        body,
        {},
        { "content-type": "application/json" },
      );
      expect(response).toMatchObject({ status: { exit: 4 } });
    },
  );

  row("the server keeps no descriptor", async () => {
    const pipes = () => readdirSync(`/proc/${served.pid}/fd`).length;
    await until("nothing runs", async () => !(await isBusy(served, 0)));
    await Bun.sleep(300);
    const before = pipes();
    for (let i = 0; i < 20; i++) {
      await post(served, "plain/sh", bytes(200_000), { script: "exit 0" });
      await post(served, "full/sum", bytes(10));
    }
    await until("as before", () => pipes() <= before + 2);
  });
});
