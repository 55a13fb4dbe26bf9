/** `spawnbox serve`, from its sources: what it says as it begins, is told anew and ends, and why it does not begin. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { version } from "../../src/version.ts";
import { isRoot } from "../accounts.ts";
import { DatagramSocket } from "../server/datagrams.ts";
import { RawClient } from "../server/harness.ts";
import { until } from "../served.ts";

const file = join(import.meta.dir, "../../src/cli/serve.ts");
const code = `const { run } = await import(${JSON.stringify(file)});
  process.exit(await run(process.argv.slice(1)));`;

let dir: string;
beforeAll(() => (dir = mkdtempSync(join(tmpdir(), "spawnbox-serving-"))));
afterAll(() => rmSync(dir, { recursive: true }));

const acls = { ...(isRoot && { user: "nobody" }) };
/** One that leaves nothing to be noticed. */
const command = (uid: string, more: object = {}) => ({
  ...{ uid, encoder: "sync", exec: { cmdpath: "/bin/echo", args: [] }, ...more },
});
let count = 0;
function put(api: string, commands: readonly object[], more: object = {}): string {
  const path = join(dir, `${api}-${count++}.json`);
  writeFileSync(
    path,
    JSON.stringify({
      metadata: { uid: api, api },
      sandboxes: { uid: "s", acls, commands },
      ...more,
    }),
  );
  return path;
}

/** All that it has said so far; it ends with this. */
class Serving implements AsyncDisposable {
  out = "";
  err = "";
  readonly child;
  readonly #read: Promise<unknown>;
  constructor(...argv: readonly string[]) {
    this.child = Bun.spawn([process.execPath, "-e", code, "--", ...argv], {
      stdio: ["ignore", "pipe", "pipe"],
      env: { PATH: process.env["PATH"] },
    });
    const decode = async (stream: ReadableStream<Uint8Array>, add: (text: string) => void) => {
      for await (const chunk of stream) add(Buffer.from(chunk).toString());
    };
    this.#read = Promise.all([
      decode(this.child.stdout, (text) => (this.out += text)),
      decode(this.child.stderr, (text) => (this.err += text)),
    ]);
  }
  /** Once it serves. @returns its lines, the port as PORT */
  async begun(last: RegExp = /^try: /m): Promise<string[]> {
    await until("it serves", () => last.test(this.out) || this.child.exitCode !== null);
    return this.lines();
  }
  lines(): string[] {
    return this.out
      .replaceAll(/(localhost|127\.0\.0\.1|\[::1\]):\d+/g, "$1:PORT")
      .trimEnd()
      .split("\n");
  }
  async ended(signal?: "SIGTERM" | "SIGINT"): Promise<number> {
    if (signal) this.child.kill(signal);
    const exitCode = await this.child.exited;
    await this.#read;
    return exitCode;
  }
  async [Symbol.asyncDispose]() {
    this.child.kill("SIGTERM");
    await this.ended();
  }
}
/** Its first lines are notices, which depend on the machine. */
const said = (lines: readonly string[]) => lines.filter((line) => !line.startsWith("notice: "));
const MONITOR = expect.stringMatching(/^ {2}monitor: get, .*, reload, doctor, metrics$/) as string;
const ROOM = expect.stringMatching(/^at most \d+ tasks at a time/) as string;

describe("as it begins", () => {
  test.each(["SIGTERM", "SIGINT"] as const)(
    "it says where it serves what, and how to try it; nothing on stderr; it ends by %s",
    async (signal) => {
      const config = put("one", [command("a"), command("b")]);
      await using serving = new Serving("--port", "0", "--config", config);
      expect(said(await serving.begun())).toEqual([
        `spawnbox ${version} serves on http://127.0.0.1:PORT`,
        "  one: ping, info, a, b",
        MONITOR,
        ROOM,
        "try: curl http://127.0.0.1:PORT/api/one/a",
      ]);
      expect([await serving.ended(signal), serving.err]).toEqual([0, ""]);
    },
  );
  test("it says where else, who is told of calls, and that verbs are tools", async () => {
    const config = put("two", [command("a")]);
    const [socket, audit] = [join(dir, "socket"), join(dir, "audit")];
    await using serving = new Serving(
      ...["--unix", socket, "--port", "0", "--config", config, "--audit", audit, "--mcp"],
      ...["--access", "open"],
    );
    const begun = await serving.begun();
    expect(begun[0]).toStartWith("notice: --access open: whoever can connect has every privilege");
    const lines = said(begun);
    expect(lines.filter((line) => !line.startsWith("  "))).toEqual([
      expect.stringContaining("serves on ") as string,
      expect.stringMatching(/^and on (http|unix)/) as string,
      ROOM,
      "verbs are tools at /mcp",
      `audited to ${audit}`,
      expect.stringMatching(/^try: curl /) as string,
    ]);
    expect(await serving.ended("SIGTERM")).toBe(0);
    expect(existsSync(audit)).toBe(true);
  });
  test("what is to be known of a config is told of its API, too", async () => {
    const config = put("told", [command("a", { privilege: "p" })]);
    await using serving = new Serving("--port", "0", "--config", config, "--access", "none");
    const begun = await serving.begun();
    const about = `notice: ${config}: sandboxes[0].commands[0]: `;
    const message = begun.find((line) => line.startsWith(about))?.slice(about.length);
    const [port] = /(?<=127\.0\.0\.1:)\d+/.exec(serving.out) ?? [];
    const info = await (await fetch(`http://127.0.0.1:${port}/api/told/info`)).text();
    expect(info).toContain(JSON.stringify({ path: "sandboxes[0].commands[0]", message }));
  });
  test("of a socket of files it is tried by that", async () => {
    const socket = join(dir, "only");
    const config = put("three", [command("a")]);
    await using serving = new Serving("--unix", socket, "--config", config);
    expect(said(await serving.begun()).at(-1)).toBe(
      `try: curl --unix-socket ${socket} http://localhost/api/three/a`,
    );
  });
  test("of one that a shell would take apart, too", async () => {
    const config = put("four", [command("a")]);
    await using odd = new Serving("--unix", join(dir, "it's odd"), "--config", config);
    expect(said(await odd.begun()).at(-1)).toBe(
      `try: curl --unix-socket '${dir}/it'\\''s odd' http://localhost/api/four/a`,
    );
  });
  test("of an API whose name a URL would read otherwise, too", async () => {
    const config = put(`a#{"b"}'c?`, [command("a")]);
    await using odd = new Serving("--port", "0", "--config", config);
    expect(said(await odd.begun()).at(-1)).toBe(
      "try: curl 'http://127.0.0.1:PORT/api/a%23%7B%22b%22%7D%27c%3F/a'",
    );
  });
  const needs = { exec: { cmdpath: "/bin/echo", args: ["%w%"] } };
  test.each<[string, object[], string]>([
    [
      "one without arguments that answers at once",
      [command("x", { encoder: "text" }), command("y")],
      "y",
    ],
    ["one that is waited for", [command("x", { encoder: "text" })], "'x?wait=true"],
    ["what a shell takes for one word", [command("a#'*/b")], "'a%23%27*/b"],
    [
      "none with arguments or privileges",
      [
        command("x", needs),
        command("y", { privilege: "p" }),
        command("z", { ...needs, privilege: "p" }),
      ],
      "ping",
    ],
  ])("what is tried is %s", async (_, commands, verb) => {
    await using serving = new Serving("--port", "0", "--config", put("four", commands));
    const [, quote = "", path] = /^('?)(.*)$/.exec(verb) ?? [];
    expect(said(await serving.begun()).at(-1)).toBe(
      `try: curl ${quote}http://127.0.0.1:PORT/api/four/${path}${quote}`,
    );
  });
  test("forty verbs of an API are named, and the others counted", async () => {
    // With those that every API has.
    const many = (n: number) => Array.from({ length: n - 2 }, (_, i) => command(`v${i}`));
    const configs = [put("forty", many(40)), put("more", many(41))].join(":");
    await using serving = new Serving("--port", "0", "--config", configs);
    const lines = said(await serving.begun());
    const line = (api: string) => lines.find((one) => one.startsWith(`  ${api}: `)) ?? "";
    expect([line("forty").split(", ").length, line("forty").endsWith("v37")]).toEqual([40, true]);
    expect(line("more")).toEndWith("v37 and 1 more");
  });
});

describe("told anew", () => {
  test("it says what there is now, or what is wrong, and goes on", async () => {
    const config = put("again", [command("a")]);
    await using serving = new Serving("--port", "0", "--config", config);
    await serving.begun();
    const [port] = /(?<=127\.0\.0\.1:)\d+/.exec(serving.out) ?? [];
    const metrics = async () =>
      await (await fetch(`http://127.0.0.1:${port}/api/monitor/metrics`)).text();
    // Of what has not been called yet, too.
    expect(await metrics()).toContain('spawnbox_launches_total{api=\\"again\\",sandbox=\\"s\\"');
    const before = serving.lines().length;
    const change = (content: object) => writeFileSync(config, JSON.stringify(content));
    const metadata = { uid: "again", api: "again" };
    change({ metadata, sandboxes: { uid: "s", acls, commands: [command("a"), command("b")] } });
    serving.child.kill("SIGHUP");
    await until("it is reloaded", () => /^reloaded\n[^]*monitor: .*$/m.test(serving.out));
    expect(said(serving.lines().slice(before))).toEqual([
      "reloaded",
      "  again: ping, info, a, b",
      MONITOR,
    ]);
    expect(serving.err).toBe("");
    const reloads = async () =>
      /"success\\"} (\d+)\\nspawnbox_reloads_total{result=\\"failure\\"} (\d+)/
        .exec(await metrics())
        ?.slice(1);
    expect(await reloads()).toEqual(["1", "0"]);
    change({ metadata, sandboxes: { uid: 5, commands: [] } });
    serving.child.kill("SIGHUP");
    await until("it is refused", () => serving.err.includes(" above\n"));
    const lines = serving.err.trimEnd().split("\n");
    expect(lines.at(-1)).toBe(
      `spawnbox serve: reload failed, nothing changed: ${lines.length - 1} problem(s) above`,
    );
    for (const line of lines.slice(0, -1)) expect(line).toStartWith(`${config}: sandboxes[0]`);
    expect(await reloads()).toEqual(["1", "1"]);
    expect(await serving.ended("SIGTERM")).toBe(0);
  });
});

describe("it does not begin", () => {
  const refused = async (...argv: string[]) => {
    await using serving = new Serving("--port", "0", ...argv);
    return { code: await serving.ended(), out: serving.out, err: serving.err };
  };
  test("with a config that has problems", async () => {
    const config = put("bad", [{ uid: 5 }]);
    const { code, out, err } = await refused("--config", config);
    const lines = err.trimEnd().split("\n");
    expect([code, out]).toEqual([1, ""]);
    expect(lines.at(-1)).toBe(`spawnbox serve: not started: ${lines.length - 1} problem(s) above`);
    expect(lines[0]).toStartWith(`${config}: sandboxes[0].commands[0]`);
  });
  test("what was asked before that was known is refused, and does not run", async () => {
    const place = join(dir, "early");
    const listening = DatagramSocket.listenStream(place);
    using client = await RawClient.open(place);
    client.write("GET /api/early/fine/a HTTP/1.1\r\nHost: localhost\r\n\r\n");
    const broken = { uid: "t", acls: { ...acls, chdir: "/none-such" }, commands: [command("b")] };
    const fine = { uid: "fine", acls, commands: [command("a")] };
    const config = put("early", [], { sandboxes: [fine, broken] });
    const script = 'export LISTEN_FDS=1 LISTEN_PID=$$; exec "$@"';
    const argv = [process.execPath, "-e", code, "--", "--config", config, "--access", "open"];
    const child = Bun.spawn(["/bin/sh", "-c", script, "sh", ...argv], {
      stdio: ["ignore", "ignore", "pipe", listening.fd],
      env: { PATH: process.env["PATH"] },
    });
    listening.close();
    expect(await client.rest()).toContain("this server does not start: it has told why");
    expect([await child.exited, await child.stderr.text()]).toEqual([
      ...[1, expect.stringContaining("/none-such")],
    ] as never);
  });
  test("where its calls cannot be told, or its place is taken", async () => {
    const config = put("fine", [command("a")]);
    const audit = await refused("--config", config, "--audit", join(dir, "none/audit"));
    expect([audit.code, audit.out]).toEqual([1, ""]);
    expect(audit.err).toMatch(/^spawnbox serve: .*ENOENT/);
    using other = Bun.serve({ port: 0, hostname: "127.0.0.1", fetch: () => new Response() });
    await using serving = new Serving(
      ...["--host", "127.0.0.1", "--port", `${other.port}`, "--config", config],
    );
    expect(await serving.ended()).toBe(1);
    expect(serving.err).toMatch(/^spawnbox serve: .*\n$/);
    expect(serving.out).toBe("");
  });
});
