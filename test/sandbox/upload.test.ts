/** The body of a POST as the stdin of a command: as it comes, no faster than it is read, to its end or not at all. */
import { describe, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Reply } from "../../src/api/reply.ts";
import { type Served, serve, shell, until, users } from "../served.ts";
import { RawClient } from "../server/harness.ts";
import { serving } from "../serving.ts";
import { isTried, rowsOf } from "../thinned.ts";
import { acls, api, full } from "./attack.ts";

const fed = { stdin: "body", maxinput: "64M" };
const commands = [
  { ...fed, uid: "sum", encoder: "sync", exec: { cmdpath: "/usr/bin/b2sum" } },
  { ...fed, uid: "count", encoder: "sync", exec: { cmdpath: "/usr/bin/wc", args: ["-c"] } },
  { ...fed, uid: "small", maxinput: "100K", encoder: "sync", exec: { cmdpath: "/usr/bin/wc" } },
  { ...shell, ...fed, uid: "sh" },
  { ...shell, ...fed, uid: "line", encoder: "line", maxinput: "200K" },
  { ...shell, ...fed, uid: "short", timeout: 1 },
  { ...shell, ...fed, uid: "guarded", privilege: "urn:x" },
  {
    ...fed,
    uid: "echo",
    encoder: { output: "file", opts: { type: "text/plain" } },
    exec: { cmdpath: "/bin/cat" },
  },
  { ...shell, uid: "plain" },
];
const sandboxes = [
  { uid: "cold", acls, commands },
  { uid: "warm", acls, commands: commands.map((one) => ({ ...one, pool: 1 })) },
  { uid: "full", acls, namespace: full, commands },
  { uid: "single", acls, concurrency: 1, commands: [{ ...shell, ...fed, uid: "sh" }] },
];

const MiB = 1 << 20;
/** Other bytes in each 64 KiB, so that none could be in the place of another. */
function bytes(length: number): Buffer {
  const all = Buffer.alloc(length);
  for (let at = 0; at < length; at += 4) all.writeUInt32LE((at * 2654435761) >>> 0, at);
  return all;
}
const BIG = bytes(64 * MiB);
const digest = (data: Uint8Array): string =>
  new Bun.CryptoHasher("blake2b512").update(data).digest("hex");

interface Answer {
  readonly http: number;
  readonly headers: string;
  readonly body: Reply & { readonly response?: { status: object; stdout?: string[] } };
}

const SUM = digest(BIG);

/** The next response on a connection. */
async function answerOf(client: RawClient): Promise<Answer> {
  const headers = await client.head();
  const length = Number(/^content-length: (\d+)/im.exec(headers)?.[1]);
  const body = JSON.parse(await client.take(length)) as Answer["body"];
  return { http: Number(headers.split(" ")[1]), headers, body };
}

const head = (target: string, ...fields: string[]): string =>
  [`POST /api/a/${target} HTTP/1.1`, "Host: localhost", ...fields, "", ""].join("\r\n");
const chunk = (data: string | Uint8Array): Buffer =>
  Buffer.concat([
    Buffer.from(`${data.length.toString(16)}\r\n`),
    Buffer.from(data),
    Buffer.from("\r\n"),
  ]);
const CHUNKED = "Transfer-Encoding: chunked";
const script = (verb: string, text: string): string => `${verb}?script=${encodeURIComponent(text)}`;

/** Peak of its memory, bytes. */
const peak = ({ pid }: Served): number =>
  Number(/VmHWM:\s*(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "latin1"))?.[1]) * 1024;

/** The task of a verb that runs, once there is one. */
async function running(served: Served, verb: string): Promise<number> {
  let pid: number | undefined;
  await until(`${verb} runs`, async () => {
    const { response } = await served.call("monitor/tasks", { state: "running", verb });
    pid = (response as { pid?: number }[])[0]?.pid;
    return pid !== undefined;
  });
  return pid ?? 0;
}

/** Its lines and how it ends, as another client sees that. */
async function follow(served: Served, verb: string) {
  const pid = await running(served, verb);
  const lines: string[] = [];
  const ended = Promise.withResolvers<object>();
  served.client.on("event", (_, data) => {
    const { stdout, status, pid: of } = data as { stdout?: string; status?: object; pid: number };
    if (of !== pid) return;
    if (stdout !== undefined) lines.push(stdout);
    if (status) ended.resolve(status);
  });
  await served.call(`a/${verb}`, { action: "subscribe", args: { pid, from: 1 } });
  return { pid, lines, ended: ended.promise };
}

describe.each(users)("served by %s", (user) => {
  const row = rowsOf(user, users);
  const place = mkdtempSync(join(tmpdir(), "spawnbox-upload-"));
  Bun.spawnSync(["chmod", "777", place]);
  const unix = join(place, "socket");
  const served = serving(async () => {
    const one = await serve(api(sandboxes), { user, argv: ["--unix", unix] });
    return {
      ...one,
      async [Symbol.asyncDispose]() {
        await one[Symbol.asyncDispose]();
        rmSync(place, { recursive: true });
      },
    };
  });
  const tcp = () => RawClient.open(Number(new URL(served.url).port));

  const places = ["cold", "warm", "full"].filter((_, row) => isTried(row, user, users));
  describe.each(places)("sandbox %s", (sandbox) => {
    test("64 MiB arrive whole, over TCP and a unix socket, by length and in chunks, and in no memory", async () => {
      const before = peak(served);
      const to = `${sandbox}/${sandbox === "warm" ? "count" : "sum"}`;
      const expected = sandbox === "warm" ? String(BIG.length) : `${SUM}  -`;
      using byLength = await tcp();
      byLength.write(head(to, `Content-Length: ${BIG.length}`));
      await byLength.send(BIG);
      expect(await answerOf(byLength)).toMatchObject({
        http: 200,
        body: { response: { status: { exit: 0 }, stdout: [expected] } },
      });
      using inChunks = await RawClient.open(unix);
      inChunks.write(head(to, CHUNKED));
      for (let at = 0; at < BIG.length; at += 999_999)
        await inChunks.send(chunk(BIG.subarray(at, at + 999_999)));
      inChunks.write("0\r\nChecksum: none\r\n\r\n");
      expect(await answerOf(inChunks)).toMatchObject({
        http: 200,
        body: { response: { status: { exit: 0 }, stdout: [expected] } },
      });
      // Of both nothing is left, and either connection goes on.
      for (const client of [byLength, inChunks]) {
        client.write(head(`${sandbox}/count`, "Content-Length: 3") + "abc");
        expect((await answerOf(client)).body.response?.stdout).toEqual(["3"]);
      }
      expect(peak(served) - before).toBeLessThan(48 * MiB);
    });

    test("a command reads while its body is on the way, and may answer so", async () => {
      using client = await tcp();
      client.write(head(`${sandbox}/echo`, CHUNKED));
      client.write(chunk("first\n"));
      expect(await client.head()).toStartWith("HTTP/1.1 200 ");
      expect(await client.take(11)).toBe("6\r\nfirst\n\r\n");
      client.write(chunk("second\n"));
      expect(await client.take(12)).toBe("7\r\nsecond\n\r\n");
      client.write("0\r\n\r\n");
      expect(await client.head()).toBe("0\r\nspawnbox-exit: 0\r\n\r\n");
    });

    test("who asks whether he may is told so once the command runs, and not where it will not", async () => {
      using client = await tcp();
      const asks = "Expect: 100-continue";
      client.write(head(`${sandbox}/count`, "Content-Length: 5", asks));
      expect(await client.head()).toBe("HTTP/1.1 100 Continue\r\n\r\n");
      client.write("12345");
      expect((await answerOf(client)).body.response?.stdout).toEqual(["5"]);
      client.write(head(`${sandbox}/small`, `Content-Length: ${MiB}`, asks));
      const refused = await answerOf(client);
      expect(refused).toMatchObject({ http: 413, body: { request: { code: -12 } } });
      expect(refused.headers).toContain("connection: close");
      for (const [verb, http] of [
        ["guarded", 403],
        ["sh", 400],
      ] as const) {
        using other = await tcp();
        other.write(head(`${sandbox}/${verb}`, "Content-Length: 5", asks));
        expect((await answerOf(other)).http).toBe(http);
        expect(await other.rest()).toBe("");
      }
    });

    test("more than maxinput is 413: nothing runs, or it is stopped and never sees an end", async () => {
      using known = await tcp();
      known.write(head(`${sandbox}/small`, `Content-Length: ${200 * 1024}`));
      known.write(Buffer.alloc(200 * 1024));
      expect(await answerOf(known)).toMatchObject({
        http: 413,
        body: { request: { info: expect.stringContaining("204800 bytes, and at most 102400") } },
      });
      // The rest of it was no request.
      known.write(head(`${sandbox}/count`, "Content-Length: 1") + "x");
      expect((await answerOf(known)).body.response?.stdout).toEqual(["1"]);

      using open = await RawClient.open(unix);
      const text = "trap 'echo told' INT; cat >/dev/null; echo the end";
      open.write(head(script(`${sandbox}/line`, text), CHUNKED));
      open.write(chunk(bytes(100_000)));
      const task = await follow(served, `${sandbox}/line`);
      open.write(chunk(bytes(150_000)));
      expect(await answerOf(open)).toMatchObject({
        http: 413,
        body: { request: { status: "invalid-request", info: expect.stringContaining("204800") } },
      });
      expect(await task.ended).toMatchObject({ cause: "stopped" });
      expect(task.lines).not.toContain("the end");
    });

    test("a client that goes in the middle leaves no end behind that is none", async () => {
      for (const leave of [
        (client: RawClient) => client.socket.destroy(),
        (client: RawClient) => client.socket.end(),
        (client: RawClient) => client.socket.resetAndDestroy(),
      ]) {
        using client = await tcp();
        const text = "echo up; cat >/dev/null; echo the end";
        client.write(head(script(`${sandbox}/line`, text), "Content-Length: 100000"));
        client.write(bytes(99_996));
        const task = await follow(served, `${sandbox}/line`);
        leave(client);
        expect(await task.ended).toMatchObject({ cause: "stopped" });
        expect(task.lines).toEqual(["up"]);
      }
    });

    test("a body that is none is told so, and the command is stopped", async () => {
      using client = await tcp();
      client.write(head(script(`${sandbox}/line`, "cat >/dev/null; echo the end"), CHUNKED));
      client.write(chunk("good"));
      const task = await follow(served, `${sandbox}/line`);
      client.write("zz\r\n");
      const answer = await answerOf(client);
      expect(answer).toMatchObject({
        http: 400,
        body: { request: { info: expect.stringContaining("does not begin with its size") } },
      });
      expect(answer.headers).toContain("connection: close");
      expect(await task.ended).toMatchObject({ cause: "stopped" });
      expect(task.lines).toEqual([]);
    });

    test("a command that ends, or closes it, before the body is there", async () => {
      using client = await tcp();
      client.write(head(script(`${sandbox}/sh`, "exit 3"), "Content-Length: 3000000"));
      client.write(bytes(1000));
      expect(await answerOf(client)).toMatchObject({
        http: 200,
        body: { response: { status: { exit: 3 } } },
      });
      // What is left of it is no request, though it looks like one.
      client.write(Buffer.alloc(2_999_000, head(`${sandbox}/sh`, "Content-Length: 0")));
      client.write(head(`${sandbox}/count`, "Content-Length: 2") + "ab");
      expect((await answerOf(client)).body.response?.stdout).toEqual(["2"]);

      const text = "exec <&-; sleep 0.3; echo over; exit 4";
      client.write(head(script(`${sandbox}/sh`, text), `Content-Length: ${BIG.length}`));
      client.write(BIG);
      expect((await answerOf(client)).body.response).toMatchObject({
        status: { exit: 4 },
        stdout: ["over"],
      });
      client.write(head(`${sandbox}/count`, CHUNKED));
      client.write(Buffer.concat([chunk("abc"), Buffer.from("0\r\n\r\n")]));
      expect((await answerOf(client)).body.response?.stdout).toEqual(["3"]);
    });

    test("what is wrong with what nobody reads any more is no fault of the answer", async () => {
      using client = await tcp();
      client.write(head(script(`${sandbox}/sh`, "exec <&-; sleep 0.3; exit 4"), CHUNKED));
      client.write(chunk("a"));
      const pid = await running(served, `${sandbox}/sh`);
      await until("it has closed its input", () => !existsSync(`/proc/${pid}/fd/0`));
      // The first finds nobody, the second is the first that is dropped.
      client.write(Buffer.concat([chunk("b"), chunk("c"), Buffer.from("zz\r\n")]));
      const answer = await answerOf(client);
      expect(answer).toMatchObject({ http: 200, body: { response: { status: { exit: 4 } } } });
      expect(answer.headers).toContain("connection: close");
    });

    test("its time-out and a stop end it while the body is on the way", async () => {
      using client = await tcp();
      client.write(
        head(script(`${sandbox}/short`, "cat >/dev/null; exit 0"), "Content-Length: 10") + "12345",
      );
      expect((await answerOf(client)).body.response).toMatchObject({
        status: { cause: "timeout" },
      });
      client.write("67890");
      client.write(head(script(`${sandbox}/sh`, "exec cat"), "Content-Length: 10") + "12345");
      const pid = await running(served, `${sandbox}/sh`);
      await served.call(`a/${sandbox}/sh`, { action: "stop", args: { pid } });
      expect((await answerOf(client)).body.response).toMatchObject({
        status: { cause: "stopped" },
      });
      client.write("67890");
      client.write(head(`${sandbox}/count`, "Content-Length: 0"));
      expect((await answerOf(client)).body.response?.stdout).toEqual(["0"]);
    });

    test("nobody else gives it anything meanwhile", async () => {
      using client = await tcp();
      client.write(head(script(`${sandbox}/sh`, "exec cat"), "Content-Length: 6") + "abc");
      const pid = await running(served, `${sandbox}/sh`);
      const args = { pid, data: "x", end: true };
      expect(
        (await served.call(`a/${sandbox}/sh`, { action: "input", args })).request,
      ).toMatchObject({ status: "bad-state" });
      client.write("def");
      expect((await answerOf(client)).body.response?.stdout).toEqual(["abcdef"]);
    });
  });

  row("what a command does not read yet stays with the client", async () => {
    const before = peak(served);
    using client = await tcp();
    const wait = "trap 'exec b2sum' USR1; while :; do sleep 0.02; done";
    client.write(head(script("warm/sh", wait), `Content-Length: ${BIG.length}`));
    client.write(BIG);
    const pid = await running(served, "warm/sh");
    const left: number[] = [];
    await until("nothing moves", async () => {
      left.push(client.socket.writableLength);
      await Bun.sleep(50);
      return left.length > 5 && left.at(-1) === left.at(-5);
    });
    // The kernel has a few megabytes of it.
    expect(left.at(-1)).toBeGreaterThan(32 * MiB);
    expect(peak(served) - before).toBeLessThan(32 * MiB);
    await served.call("a/warm/sh", { action: "stop", args: { pid, signal: "USR1" } });
    expect((await answerOf(client)).body.response).toMatchObject({
      status: { exit: 0 },
      stdout: [`${SUM}  -`],
    });
  });

  row("the reply of an encoder with events comes once all is taken", async () => {
    using client = await tcp();
    const text = "head -c 3 >/dev/null; sleep 0.2; cat >/dev/null; sleep 60";
    client.write(head(script("cold/line", text), "Content-Length: 6") + "abc");
    let isThere = false;
    const answer = answerOf(client).then((found) => {
      isThere = true;
      return found;
    });
    const pid = await running(served, "cold/line");
    await Bun.sleep(100);
    expect(isThere).toBe(false);
    client.write("def");
    expect((await answer).body).toMatchObject({
      request: { status: "success" },
      response: { pid },
    });
    await served.call("a/cold/line", { action: "stop", args: { pid, signal: 9 } });
  });

  row("one whose turn has not come is not read", async () => {
    using first = await tcp();
    first.write(head(script("single/sh", "exec cat"), "Content-Length: 2") + "1");
    await running(served, "single/sh");
    using second = await tcp();
    second.write(
      head(
        script("single/sh", "exec wc -c"),
        `Content-Length: ${BIG.length}`,
        "Expect: 100-continue",
      ),
    );
    await until("it waits", async () => {
      const { response } = await served.call("monitor/tasks", { state: "waiting" });
      return (response as unknown[]).length === 1;
    });
    first.write("2");
    expect((await answerOf(first)).body.response?.stdout).toEqual(["12"]);
    expect(await second.head()).toStartWith("HTTP/1.1 100 ");
    await second.send(BIG);
    expect((await answerOf(second)).body.response?.stdout).toEqual([String(BIG.length)]);
  });

  row(
    "who may not, and what is wrong with the call, is told before the body is there",
    async () => {
      for (const [target, http] of [
        ["cold/guarded?script=x", 403],
        ["cold/sh", 400],
        ["cold/sh?script=x&script=y", 400],
        ["cold/nothing", 413],
        ["cold/plain?script=x", 413],
        ["cold/line/events?script=x", 413],
      ] as const) {
        using client = await tcp();
        client.write(head(target, `Content-Length: ${8 * MiB}`));
        expect([target, (await answerOf(client)).http]).toEqual([target, http]);
        expect(await client.rest()).toBe("");
      }
    },
  );

  row("a piece for a task that runs has the bounds of other bodies", async () => {
    using client = await tcp();
    client.write(head("cold/sh?action=input&pid=1", `Content-Length: ${MiB + 1}`));
    client.write(Buffer.alloc(MiB + 1));
    expect(await answerOf(client)).toMatchObject({
      http: 413,
      body: {
        request: { info: expect.stringContaining("at most 1048576 are read here (one piece)") },
      },
    });
  });

  row("who sends all and says that this is all has his answer, in HTTP/1.0, too", async () => {
    const before = "POST /api/a/cold/count HTTP/1.";
    const length = `Content-Length: ${2 * MiB}`;
    for (const [to, start] of [
      [Number(new URL(served.url).port), `${before}0\r\n${length}\r\n\r\n`],
      [unix, `${before}1\r\nHost: localhost\r\n${length}\r\n\r\n`],
    ] as const) {
      using client = await RawClient.open(to);
      client.write(start);
      client.write(BIG.subarray(0, 2 * MiB));
      client.socket.end();
      expect((await answerOf(client)).body.response?.stdout).toEqual([String(2 * MiB)]);
    }
  });

  row("a path is the same verb however it is written", async () => {
    for (const target of ["COLD/Count", "cold%2Fcount", "cold/%63ount", "./x/../cold/count"]) {
      using client = await tcp();
      client.write(head(target, `Content-Length: ${3 * MiB}`));
      client.write(BIG.subarray(0, 3 * MiB));
      expect([target, (await answerOf(client)).body.response?.stdout]).toEqual([
        target,
        [String(3 * MiB)],
      ]);
    }
  });

  row("run reads as much as it is given, and no more than it may", async () => {
    const own = mkdtempSync(join(tmpdir(), "spawnbox-upload-"));
    const config = join(own, "run.json");
    await Bun.write(config, JSON.stringify(api(sandboxes)));
    const run = (verb: string, input: Uint8Array, args = "null") =>
      Bun.spawnSync([served.program, "run", `a/${verb}`, args, "--config", config, "--raw"], {
        stdin: input,
        env: { PATH: process.env["PATH"] ?? "" },
      });
    const some = BIG.subarray(0, 20 * MiB);
    const whole = run("cold/sum", some);
    expect([whole.stderr.toString(), whole.stdout.toString()]).toEqual([
      "",
      expect.stringContaining(digest(some)),
    ]);
    const seen = join(place, "seen");
    const text = JSON.stringify({ script: `cat >/dev/null; : >${seen}` });
    const { exitCode, stderr } = run("cold/line", BIG.subarray(0, 300_000), text);
    expect([exitCode, stderr.toString()]).toEqual([1, expect.stringContaining("204800 bytes")]);
    expect(existsSync(seen)).toBe(false);
    // A directory cannot be read; what is not there is nothing.
    const script = JSON.stringify({ script: `cat >/dev/null; : >${seen}` });
    for (const from of ["<.", "<&-"]) {
      const line = `exec ${served.program} run a/cold/line '${script}' --config ${config} --raw ${from}`;
      const { exitCode: code, stderr: said } = Bun.spawnSync(["sh", "-c", line], { cwd: own });
      expect([from, code, said.toString()]).toEqual([
        from,
        from === "<." ? 1 : 0,
        from === "<." ? expect.stringContaining("EISDIR") : "",
      ]);
      expect(existsSync(seen)).toBe(from === "<&-");
    }
    rmSync(own, { recursive: true });
  });

  for (const sandbox of ["cold", "warm"])
    row(`call gives its standard input, in sandbox ${sandbox}`, async () => {
      const call = async (verb: string, input: Uint8Array | "ignore", args: unknown = null) => {
        const { url, program } = served;
        const line = [program, "call", "--raw", "--url", url, `a/${verb}`, JSON.stringify(args)];
        const stdin = input === "ignore" ? input : new Blob([Buffer.from(input)]);
        const env = { PATH: process.env["PATH"] ?? "" };
        const child = Bun.spawn(line, { stdin, env, stdout: "pipe", stderr: "pipe" });
        const [stdout, stderr] = await Promise.all([child.stdout.text(), child.stderr.text()]);
        return { exit: await child.exited, stdout, stderr };
      };
      const some = BIG.subarray(0, 5_000_001);
      expect(await call(`${sandbox}/sum`, some)).toMatchObject({
        exit: 0,
        stdout: expect.stringContaining(digest(some)),
      });
      // Nothing to give is an end, too.
      expect(await call(`${sandbox}/count`, "ignore")).toMatchObject({
        exit: 0,
        stdout: expect.stringContaining('"stdout":["0"]'),
      });
      const line = { script: "wc -c; exit 0" };
      expect(await call(`${sandbox}/line`, BIG.subarray(0, 200_000), line)).toMatchObject({
        exit: 0,
        stdout: expect.stringContaining('"stdout":"200000"'),
      });
      // What is not all taken is told; what is not read is no fault.
      expect(await call(`${sandbox}/line`, BIG.subarray(0, 900_000), line)).toMatchObject({
        exit: 1,
        stderr: expect.stringContaining("maxinput of 204800 bytes"),
      });
      const early = { script: "head -c 3 >/dev/null; exec <&-; sleep 0.2" };
      expect(await call(`${sandbox}/sh`, some, early)).toMatchObject({ exit: 0, stderr: "" });
    });

  row("call leaves its standard input to others where the command reads none", async () => {
    const config = { PATH: process.env["PATH"] ?? "" };
    const loop = `printf '1\\n2\\n3\\n' | while read -r n; do ${served.program} call --raw --url ${served.url} a/cold/plain '{"script":"echo got"}' >/dev/null; echo "$n"; done`;
    const { stdout } = Bun.spawnSync(["sh", "-c", loop], { env: config });
    expect(stdout.toString()).toBe("1\n2\n3\n");
  });
});
