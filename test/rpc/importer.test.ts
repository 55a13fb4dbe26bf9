/** Both our ends against each other, over every kind of socket: one spawnbox calls the verbs of another as if they were its own. */
import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { AfbError } from "../../src/errors.ts";
import { parseClient } from "../../src/config/binder-uri.ts";
import { Dialler } from "../../src/rpc/dialler.ts";
import { isRoot, serve, until } from "../served.ts";

const dir = mkdtempSync(join(tmpdir(), "spawnbox-import-"));
afterAll(() => rmSync(dir, { recursive: true }));
let sockets = 0;

const script = (text: string) => ({ cmdpath: "/bin/sh", args: ["-c", text] });
const config = (api: string) => ({
  metadata: { uid: api, api, version: "1.0" },
  sandboxes: [
    {
      uid: "s",
      acls: { user: isRoot ? "nobody" : process.geteuid?.() },
      commands: [
        { uid: "hi", encoder: "sync", exec: { cmdpath: "/bin/echo", args: ["hi", "%name%"] } },
        { uid: "count", encoder: "line", exec: script("for i in 1 2 3; do echo $$i; done") },
        { uid: "wait", exec: script("sleep 1000") },
        { uid: "stay", encoder: "sync", exec: script("sleep 1000") },
      ],
    },
  ],
});

interface Ran {
  stdout?: string[];
}

test.each([
  ["a path", () => `unix:${join(dir, `${++sockets}`)}`],
  ["an abstract name", () => `unix:@spawnbox-import-${process.pid}`],
  ["TCP", () => `tcp:127.0.0.1:${21_000 + (process.pid % 9_000)}`],
])("over %s: calls, errors, events, and the end", async (_, place) => {
  const uri = place();
  const exporter = await serve(config("far"), { argv: ["--rpc-server", `${uri}?export=far`] });
  await using importer = await serve(config("near"), {
    argv: ["--rpc-client", `public:${uri}?import=other@far`],
  });
  const hi = await importer.call("other/hi", { name: "é" });
  expect(hi.request.status).toBe("success");
  expect((hi.response as Ran).stdout).toEqual(["hi é"]);
  expect((await importer.call("other/none")).request.status).toBe("unknown-verb");
  const seen: unknown[] = [];
  importer.client.on("event", (name, data) => void (name === "far/count" && seen.push(data)));
  await importer.call("other/count");
  await until("the last event", () =>
    seen.some((one) => (one as { type: string }).type === "final-event"),
  );
  const lines = seen.map((one) => (one as { stdout?: string }).stdout).filter(Boolean);
  expect(lines).toEqual(["1", "2", "3"]);
  const many = Array.from({ length: 200 }, (_, i) => importer.call("other/ping", { i }));
  const answers = await Promise.all(many);
  expect(answers.filter(({ request }) => request.status === "success")).toHaveLength(200);
  const long = importer.call("other/stay");
  await until("it runs", async () => {
    const { response } = await exporter.call("far/stay", { action: "subscribe" });
    return Array.isArray(response) && response.length === 1;
  });
  await exporter.crash();
  expect((await long).request.status).toBe("disconnected");
  expect((await importer.call("other/ping")).request.status).toBe("not-available");
  await exporter[Symbol.asyncDispose]();
  await using _again = await serve(config("far"), { argv: ["--rpc-server", `${uri}?export=far`] });
  expect((await importer.call("other/ping")).request.status).toBe("success");
});

test("who follows a task there hears its end by whatever name, and that nobody will tell it any more", async () => {
  const uri = `unix:${join(dir, `${++sockets}`)}`;
  const exporter = await serve(config("far"), { argv: ["--rpc-server", `${uri}?export=far`] });
  await using importer = await serve(config("near"), {
    argv: ["--rpc-client", `public:${uri}?import=other@far`],
  });
  const { client, program, url } = importer;
  const lines: unknown[] = [];
  const counted = client.start("other/count");
  for (let next = await counted.next(); ; next = await counted.next()) {
    if (next.done) break;
    lines.push(next.value.stdout);
  }
  expect(lines).toEqual(["1", "2", "3"]);
  const called = (verb: string) =>
    Bun.spawn([program, "call", "--url", url, `other/${verb}`], {
      stdin: "ignore",
      stderr: "pipe",
    });
  const count = called("count");
  expect([await count.exited, (await count.stdout.text()).match(/final-event/g)?.length]).toEqual([
    0, 1,
  ]);
  const waits = client.start("other/wait").next();
  const here = client.start("near/wait").next();
  const call = called("wait");
  const stream = fetch(`${url}/api/other/wait/events`);
  await until("they run", async () => {
    const { response } = await exporter.call("far/wait", { action: "subscribe" });
    return Array.isArray(response) && response.length === 3;
  });
  const text = (await stream).text();
  // Taken before it is told, as nobody would have it otherwise.
  const gone = waits.catch((error: unknown) => error);
  await exporter.crash();
  expect(String(await gone)).toContain("the other binder has gone");
  expect(await text).toMatch(/event: disconnected\n.*\n\n$/);
  expect([await call.exited, await call.stderr.text()]).toEqual([
    3,
    "spawnbox call: the connection was lost: the other binder has gone\n",
  ]);
  // A verb of that name runs here, too: it is another.
  const { response } = await importer.call("near/wait", { action: "subscribe" });
  const [{ pid }] = response as [{ pid: number }];
  await importer.call("near/wait", { action: "stop", args: { pid } });
  expect(await here).toMatchObject({ done: true, value: { cause: "stopped" } });
  await exporter[Symbol.asyncDispose]();
});

describe("an exporter that is none", () => {
  const asked = { api: "far", verb: "ping", args: null, session: { uuid: "s" } };

  async function against(answer: string): Promise<unknown> {
    const path = join(dir, `${++sockets}`);
    const server = createServer((socket) => {
      socket.on("error", () => undefined);
      socket.once("data", () => socket.write(Buffer.from(answer, "hex")));
    });
    await new Promise<void>((resolve) => server.listen(path, resolve));
    const dialler = new Dialler(parseClient(`public:unix:${path}?import=far`, "rpc"));
    try {
      return await dialler.call("far", asked).catch((error: unknown) => error);
    } finally {
      dialler.close();
      server.close();
    }
  }

  test("is not available, or disconnected, and no call waits for it", async () => {
    for (const [answer, status] of [
      ["7600", "not-available"],
      ["7601", "not-available"],
      ["485454502f312e31", "not-available"],
      ["76030400f0ff010008000000", "disconnected"],
      ["76030400fcff01000c0000000100020000000000", "disconnected"],
    ] as const) {
      const error = await against(answer);
      expect(error).toBeInstanceOf(AfbError);
      expect((error as AfbError).status).toBe(status);
    }
  });
});
