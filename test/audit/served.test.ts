/** An audit as its reader finds it: what it tells of calls, what it never tells, and what happens where it cannot be written. */
import { describe, expect, test } from "bun:test";
import {
  closeSync,
  constants,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { connect } from "../../src/client.ts";
import { hashOf, makeToken } from "../../src/access/token.ts";
import { isRoot, until, users } from "../served.ts";
import { isTried, rowsOf } from "../thinned.ts";
import { commands, Place, type Told, toldIn } from "./audited.ts";
import { ORDINARY } from "../accounts.ts";

const HOSTILE = 'x\n{"event":"end"}\r\u001b[2J\u009b\u202e\u2028\u0000\ud800y';
const encoded = encodeURIComponent(HOSTILE.toWellFormed());

/** What a terminal, a journal or a reader of lines would obey. */
// oxlint-disable-next-line no-control-regex
const OBEYED = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e]/;

const LONG = process.env["CI"] !== undefined;
/** How often a server is killed in the middle of calls. */
const ROUNDS = LONG ? 10 : 3;
/** Calls that make many lines, of half a kilobyte and more. */
const CALLS = LONG ? 500 : 200;
const long = (i: number): string => `${i}`.padEnd(500, "-");

for (const user of users)
  describe(user, () => {
    test("each call that starts, stops or is refused is a line, and each end", async () => {
      using place = new Place(user);
      const token = makeToken();
      const access = join(place.dir, "access.json");
      const grant = { info: "the tablet", token: hashOf(token), privileges: ["urn:x"] };
      writeFileSync(access, JSON.stringify({ grants: [grant] }));
      await using server = await place.serve(["--audit", place.log, "--access", access]);
      await server.call("echo?text=hello");
      expect((await server.call("guarded")).request.status).toBe("insufficient-scope");
      await server.call("guarded", { headers: { authorization: `Bearer ${token}` } });
      const client = await connect(`${server.url.replace("http", "ws")}/api`);
      const { response } = await client.call("a/sleep");
      const { pid } = response as { pid: number };
      await client.call("a/sleep", { action: "stop", args: { pid, signal: "SIGTERM" } });
      await until("it ends", () => place.read().includes("Terminated"));
      await client.call("a/echo", { text: "x".repeat(200_000) });
      await client.close();
      expect(await server.end()).toBe(0);

      const told = place.told();
      const of = (verb: string, event: string): Told => {
        const all = told.filter((one) => one.verb === verb && one.event === event);
        expect(all.length).toBeGreaterThan(0);
        return all[0] as Told;
      };
      const start = of("echo", "start");
      expect(start).toMatchObject({
        ...{ api: "a", sandbox: "box", command: "echo", argv: ["/bin/echo", "hello"] },
        caller: { address: "127.0.0.1", via: "rest" },
      });
      expect(start.time).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
      const end = of("echo", "end");
      expect(end).toMatchObject({ id: start.id, pid: start["pid"], outcome: { exit: 0 } });
      expect(end.duration).toBeGreaterThanOrEqual(0);
      expect(of("guarded", "refuse")).toMatchObject({ status: "insufficient-scope" });
      expect(of("guarded", "refuse").caller).toEqual({ address: "127.0.0.1", via: "rest" });
      expect(of("guarded", "start").caller).toMatchObject({ info: "the tablet" });
      expect(of("sleep", "stop")).toMatchObject({ pid, signal: "SIGTERM" });
      expect(of("sleep", "start").caller).toMatchObject({ via: "websocket" });
      expect(of("sleep", "end").outcome).toMatchObject({ signal: "Terminated", cause: "stopped" });
      expect(of("echo", "refuse")).toMatchObject({ status: "invalid-request", cut: 200_011 });
      expect(place.read()).not.toContain(token);
      expect(place.read()).not.toContain(hashOf(token));
    });

    test("a directory that is removed is told by the very next call that must be audited", async () => {
      using place = new Place(user);
      const logs = place.path("logs");
      const make = () => {
        mkdirSync(logs);
        Bun.spawnSync(["chown", `--reference=${place.data}`, logs]);
      };
      make();
      await using server = await place.serve(["--audit", "logs/audit.log"]);
      expect((await server.call("must")).request.status).toBe("success");
      rmSync(logs, { recursive: true });
      expect((await server.call("must")).request).toMatchObject({
        status: "not-available",
        info: expect.stringContaining("ENOENT"),
      });
      expect((await server.call("echo?text=meanwhile")).request.status).toBe("success");
      make();
      await until("it is written again", async () => {
        return (await server.call("must")).request.status === "success";
      });
      const told = place.told("logs/audit.log");
      expect(told.filter(({ argv }) => argv?.includes("meanwhile"))).toHaveLength(1);
      expect(told.filter(({ event }) => event === "refuse").length).toBeGreaterThan(0);
    });

    test("who feeds a task is a line once for each, and what he gives in none", async () => {
      const exec = { cmdpath: "/bin/cat" };
      const reader = { uid: "reader", encoder: "text", stdin: "body", maxinput: "1K", exec };
      using place = new Place(user, commands(reader));
      const access = join(place.dir, "access.json");
      const [own, other] = [makeToken(), makeToken()];
      const grants = [own, other].map((token, i) => ({
        info: `tablet ${i}`,
        token: hashOf(token),
        privileges: [],
      }));
      writeFileSync(access, JSON.stringify({ grants }));
      await using server = await place.serve(["--audit", place.log, "--access", access]);
      const url = `${server.url.replace("http", "ws")}/api`;
      const [mine, theirs] = await Promise.all(
        [own, other].map((token) => connect(url, { token })),
      );
      const { response } = (await mine?.call("a/reader")) ?? {};
      const { pid } = response as { pid: number };
      const give = async (client: typeof mine, args: object) =>
        (await client?.call("a/reader", { action: "input", args: { pid, ...args } }))?.request;
      for (const client of [mine, mine, theirs, mine, theirs])
        expect(await give(client, { data: "hush-hush" })).toMatchObject({ status: "success" });
      expect(await give(theirs, { data: "hush-hush".repeat(200) })).toMatchObject({
        status: "invalid-request",
      });
      // A body that grows too long is refused as one, and told with the task that it was for.
      const body = new ReadableStream({
        start(controller) {
          controller.enqueue(Buffer.from("hush-hush".repeat(200)));
          controller.close();
        },
      });
      expect((await server.call("reader", { method: "POST", body })).request.status).toBe(
        "invalid-request",
      );
      await Promise.all([mine?.close(), theirs?.close()]);
      expect(await server.end()).toBe(0);
      const told = place.told().filter(({ verb }) => verb === "reader");
      const inputs = told.filter(({ event }) => event === "input");
      expect(inputs.map(({ caller }) => caller?.["info"])).toEqual(["tablet 0", "tablet 1"]);
      expect(inputs[0]).toMatchObject({ id: told[0]?.id, pid, sandbox: "box", command: "reader" });
      const [, second] = told.filter(({ event }) => event === "start");
      expect(told.filter(({ event }) => event === "refuse")).toMatchObject([
        { action: "input", caller: { info: "tablet 1" } },
        { action: "input", id: second?.id },
      ]);
      expect(place.read()).not.toContain("hush-hush");
    });

    test("what runs at the end of the server is told too", async () => {
      using place = new Place(user);
      const server = await place.serve(["--audit", "audit.log"]);
      await server.call("sleep");
      expect(await server.end()).toBe(0);
      expect(place.told().map(({ event }) => event)).toEqual(["start", "end"]);
    });

    test("[protection] nothing from outside is obeyed by who shows it", async () => {
      using place = new Place(user);
      await using server = await place.serve(["--audit", place.log]);
      await server.call(
        `echo?text=${encodeURIComponent(HOSTILE.replace("\0", "").toWellFormed())}`,
      );
      await server.call(`secret?${encoded}=1`);
      await server.call(`echo?action=${encoded}`);
      await server.call("sleep", {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ action: "stop", args: { pid: 77, [HOSTILE]: 1 } }),
      });
      await until("all are there", () => place.told().length >= 5);
      const text = place.read();
      expect(text).not.toMatch(OBEYED);
      const events = text.split("\n").slice(0, -1);
      expect(events.map((line) => (JSON.parse(line) as Told).event)).toEqual([
        ...["start", "end", "refuse", "refuse", "refuse"],
      ]);
      expect(place.told()[0]?.argv?.[1]).toContain('\n{"event":"end"}\r\u001b');
    });

    test("[protection] secrets are nowhere", async () => {
      using place = new Place(user);
      const server = await place.serve(["--audit", place.log]);
      const secret = "Tr0ub4dor";
      for (const path of [
        ...[`secret?word=${secret}`, `hidden?word=${secret}`],
        ...[`secret?wort=${secret}`, `secret?word=${secret}&word=${secret}`],
        ...[`hidden?word=-${secret}`, `secret?action=${secret}`],
      ])
        await server.call(path, { headers: { "x-afb-token": secret } });
      const metrics = await server.get("/metrics");
      await server.end();
      expect(place.told().length).toBeGreaterThanOrEqual(8);
      expect(place.told()[0]).toMatchObject({ argv: ["/bin/echo", "***"], hidden: true });
      for (const text of [place.read(), metrics, server.stdout(), server.stderr()])
        expect(text).not.toContain(secret);
    });

    test("standard error has the lines as they are", async () => {
      using place = new Place(user);
      await using server = await place.serve(["--audit", "stderr"]);
      await server.call("echo?text=hello");
      const lines = () => server.stderr().split("\n");
      await until(
        "both are there",
        () => lines().filter((one) => one.startsWith("{")).length === 2,
      );
      const own = lines().filter((one) => one.startsWith("{"));
      expect(toldIn(own.join("\n")).map(({ event }) => event)).toEqual(["start", "end"]);
    });

    // Lines are written the same way whoever the user is.
    if (isTried(0, user, users))
      test("killed again and again in the middle of calls: nothing older than a moment is missing", async () => {
        using place = new Place(user);
        const kept: string[] = [];
        let torn = 0;
        for (let round = 0; round < ROUNDS; round++) {
          const server = await place.serve(["--audit", place.log, "--audit-max", "0"]);
          let over = false;
          const answered = new Set<string>();
          const caller = async (name: string) => {
            for (let i = 0; !over; i++) {
              const text = `${round}-${name}-${i}`;
              const reply = await server.call(`echo?text=${text}`).catch(() => undefined);
              if (reply?.request.status === "success" && !over) answered.add(text);
            }
          };
          const callers = ["a", "b", "c"].map(caller);
          await until("some calls", () => answered.size > 20);
          // What was answered by now is to be there.
          kept.push(...answered);
          await Bun.sleep(200);
          over = true;
          await server.end("SIGKILL");
          await Promise.all(callers);
          const told = place
            .read()
            .split("\n")
            .flatMap((line) => {
              try {
                return line === "" ? [] : [JSON.parse(line) as Told];
              } catch {
                torn++;
                return [];
              }
            });
          const ends = new Set(told.filter(({ event }) => event === "end").map(({ id }) => id));
          const starts = told.filter(({ event, id }) => event === "start" && ends.has(id ?? ""));
          const known = new Set(starts.map(({ argv }) => argv?.[1]));
          expect(kept.filter((text) => !known.has(text))).toEqual([]);
        }
        // Each torn line stands alone, once for each time that it was looked at.
        expect(torn).toBeLessThanOrEqual((ROUNDS * (ROUNDS + 1)) / 2);
      }, 120_000);

    test("what was renamed is left at SIGHUP", async () => {
      using place = new Place(user);
      await using server = await place.serve(["--audit", place.log]);
      await server.call("echo?text=1");
      await until("it is there", () => place.told().length === 2);
      renameSync(place.log, place.path("old"));
      server.child.kill("SIGHUP");
      await until("reloaded", () => server.stdout().includes("reloaded"));
      await server.call("echo?text=2");
      await until("it is there", () => existsSync(place.log) && place.told().length === 2);
      expect(place.told("old")[0]?.argv).toEqual(["/bin/echo", "1"]);
      expect(place.told()[0]?.argv).toEqual(["/bin/echo", "2"]);
    });

    if (isTried(1, user, users))
      test("files are bounded under load, and nothing is lost between them", async () => {
        using place = new Place(user);
        const server = await place.serve([
          ...["--audit", place.log, "--audit-max", "16K", "--audit-files", "50"],
        ]);
        await many(CALLS, (i) => server.call(`echo?text=${long(i)}`));
        await server.end();
        const files = readdirSync(place.data).filter((name) => name.startsWith("audit.log"));
        expect(files.length).toBeGreaterThan(5);
        for (const file of files)
          expect(statSync(place.path(file)).size).toBeLessThanOrEqual(16384);
        const told = files.flatMap((file) => place.told(file));
        for (const event of ["start", "end"])
          expect(told.filter((one) => one.event === event)).toHaveLength(CALLS);
        expect(new Set(told.map(({ argv }) => argv?.[1]).filter(Boolean)).size).toBe(CALLS);
      }, 60_000);

    // Whose user the server has is nothing to that.
    rowsOf(user, users)(
      "a reader that is slow keeps nobody waiting",
      async () => {
        using place = new Place(user);
        Bun.spawnSync(["mkfifo", "-m", "666", place.log]);
        if (isRoot) Bun.spawnSync(["chmod", "600", place.log]);
        if (user !== "root") Bun.spawnSync(["chown", `${ORDINARY}`, place.log]);
        const reader = openSync(place.log, constants.O_RDONLY | constants.O_NONBLOCK);
        const server = await place.serve(["--audit", place.log]);
        // Twice as many lines, of which the pipe takes a part.
        const replies = await many(CALLS, (i) => server.call(`echo?text=${long(i)}`));
        expect(replies.filter(({ request }) => request.status !== "success")).toEqual([]);
        let text = "";
        const buffer = Buffer.alloc(65536);
        await until("all lines are there", async () => {
          try {
            text += buffer.toString("utf8", 0, readSync(reader, buffer));
          } catch {
            await Bun.sleep(1);
          }
          return text.split("\n").length > 2 * CALLS;
        });
        expect(text.length).toBeGreaterThan(2 * 65536);
        const told = toldIn(text);
        expect(told).toHaveLength(2 * CALLS);
        expect(told.filter(({ event }) => event === "lost")).toEqual([]);
        closeSync(reader);
        // Nobody reads any more: it serves, and says so once.
        for (let i = 0; i < 3; i++) await server.call("echo?text=x");
        expect((await server.call("must")).request).toMatchObject({ status: "not-available" });
        expect((await server.call("must")).request.info).toContain("must be audited");
        await server.end();
        expect(server.stderr().match(/audit: .* cannot be written/g)).toHaveLength(1);
      },
      120_000,
    );

    test("without an audit what must have one is refused, and nothing else", async () => {
      using place = new Place(user);
      await using server = await place.serve([]);
      expect((await server.call("must")).request).toMatchObject({
        status: "not-available",
        info: "a/must must be audited, and cannot be: there is no audit: start the server with --audit",
      });
      expect((await server.call("echo?text=1")).request.status).toBe("success");
      expect(server.stdout()).toContain(
        "without an audit every start of must is refused: serve with",
      );
    });

    test("what cannot be there is told at the start", async () => {
      using place = new Place(user, commands());
      const wrong = (...argv: string[]) =>
        place.serve(argv).then(
          async (server) => {
            await server.end();
            return "it serves";
          },
          (error: Error) => error.message,
        );
      const refused = (why: string, ...all: readonly (readonly string[])[]) =>
        Promise.all(all.map(async (argv) => expect(await wrong(...argv)).toContain(why)));
      Bun.spawnSync(["ln", "-s", "other", place.path("link")]);
      await Promise.all([
        refused("--audit: ", ["--audit", place.path("no/audit.log")]),
        refused("it is a directory", ["--audit", place.data]),
        refused("links are not followed", ["--audit", place.path("link")]),
        refused(
          "--audit: expected",
          ...["", "/", `${place.path("new")}/`].map((none) => ["--audit", none]),
        ),
        refused("is for --audit", ["--audit-max", "1M"]),
      ]);
      expect(existsSync(place.path("other"))).toBe(false);
      await refused(
        "expected a size",
        ...["1", "x", "1e3", "1T", "9".repeat(20), ""].map((size) => [
          ...["--audit", "stderr", "--audit-max", size],
        ]),
      );
      await refused(
        "number of files",
        ...["0", "01", "1000", "x"].map((count) => ["--audit", "stderr", "--audit-files", count]),
      );
      if (user === "root") return;
      const alone = join(place.dir, "alone.log");
      writeFileSync(alone, "");
      if (isRoot) Bun.spawnSync(["chown", `${ORDINARY}`, alone]);
      else Bun.spawnSync(["chmod", "555", place.dir]);
      expect(await wrong("--audit", alone)).toContain("--audit-max 0");
      expect(await wrong("--audit", alone, "--audit-max", "0")).toBe("it serves");
      if (!isRoot) Bun.spawnSync(["chmod", "755", place.dir]);
    }, 60_000);
  });

/** So many calls, some at a time. */
async function many<T>(count: number, call: (i: number) => Promise<T>): Promise<T[]> {
  const results: T[] = [];
  let next = 0;
  const worker = async () => {
    for (let i = next++; i < count; i = next++) results.push(await call(i));
  };
  await Promise.all(Array.from({ length: 8 }, worker));
  return results;
}

describe.if(isRoot)("on a file system of its own", () => {
  /** In the mount namespace of the server. */
  const mounted = (...lines: string[]) => [
    ...["unshare", "--mount", "sh", "-ec"],
    `${lines.join("\n")}\nexec "$@"`,
    "sh",
  ];
  const inside = async (pid: number, command: string) => {
    const { exitCode, stderr } = Bun.spawnSync([
      "nsenter",
      "-t",
      `${pid}`,
      "-m",
      "sh",
      "-ec",
      command,
    ]);
    if (exitCode !== 0) throw new Error(stderr.toString());
  };
  const readInside = (pid: number, path: string): string =>
    readFileSync(`/proc/${pid}/root${path}`, "utf8");

  test("a full disk: calls go on but for those that must be told, and what is lost is told", async () => {
    using place = new Place("root");
    const server = await place.serve(
      ["--audit", place.log],
      mounted(`mount -t tmpfs -o size=64k,mode=755 none ${place.data}`),
    );
    const { pid } = server.child;
    await server.call("echo?text=before");
    await inside(pid, `cat /dev/zero > ${place.path("ballast")} || true`);
    // The block that it has begun is still its own.
    for (let i = 0; i < 30; i++)
      expect((await server.call(`echo?text=${i}`)).request.status).toBe("success");
    const { request } = await server.call("must");
    expect(request).toMatchObject({ status: "not-available" });
    expect(request.info).toContain("the disk is full (ENOSPC)");
    expect(await server.get("/metrics")).toContain("\nspawnbox_audit_writable 0\n");
    await inside(pid, `rm ${place.path("ballast")}`);
    await until(
      "it is written again",
      async () => (await server.call("must")).request.status === "success",
    );
    expect(await server.get("/metrics")).toContain("\nspawnbox_audit_writable 1\n");
    // Nothing of it was lost: it has waited.
    const told = toldIn(readInside(pid, place.log));
    const argvs = told.filter(({ event }) => event === "start").map(({ argv }) => argv?.[1]);
    for (let i = 0; i < 30; i++) expect(argvs).toContain(`${i}`);
    expect(
      told.filter(({ event, verb }) => event === "refuse" && verb === "must").length,
    ).toBeGreaterThan(0);
    await server.end();
    expect(server.stderr().match(/cannot be written: the disk is full/g)).toHaveLength(1);
    expect(server.stderr()).toContain("is written again; lost so far: 0");
  }, 60_000);

  test("a read-only file system, from the start: it serves, and tries again", async () => {
    using place = new Place("root");
    const server = await place.serve(
      ["--audit", place.log],
      mounted(`mount -t tmpfs -o ro,mode=755 none ${place.data}`),
    );
    const { pid } = server.child;
    expect((await server.call("echo?text=1")).request.status).toBe("success");
    expect((await server.call("must")).request.info).toContain("read-only");
    await inside(pid, `mount -o remount,rw ${place.data}`);
    await until(
      "it is written",
      async () => (await server.call("must")).request.status === "success",
    );
    const told = toldIn(readInside(pid, place.log));
    expect(told[0]).toMatchObject({ event: "start", argv: ["/bin/echo", "1"] });
    await server.end();
  }, 60_000);

  test("the journal and syslog, where the system has them", async () => {
    const { Received } = await import("./received.ts");
    using place = new Place("root");
    {
      using journal = new Received(place.path("socket"));
      const server = await place.serve(
        ["--audit", "journal"],
        mounted(
          "mount -t tmpfs none /run",
          "mkdir -p /run/systemd",
          `ln -s ${place.data} /run/systemd/journal`,
        ),
      );
      await server.call(`secret?word=Tr0ub4dor`);
      await server.call(`secret?${encoded}=1`);
      await server.end();
      const all = [journal.fields(), journal.fields(), journal.fields()];
      expect(all.map((one) => one["SPAWNBOX_AUDIT"])).toEqual(["start", "end", "refuse"]);
      expect(all[0]).toMatchObject({
        ...{ SPAWNBOX_API: "a", SPAWNBOX_VERB: "secret", SPAWNBOX_CALLER_ADDRESS: "127.0.0.1" },
        ...{ PRIORITY: "6", SYSLOG_IDENTIFIER: "spawnbox" },
      });
      expect(JSON.stringify(all)).not.toContain("Tr0ub4dor");
      for (const one of all) expect(one["MESSAGE"]).not.toMatch(OBEYED);
      expect(all[2]?.["PRIORITY"]).toBe("5");
    }
    using syslog = new Received(place.path("log"));
    const server = await place.serve(
      ["--audit", "syslog"],
      mounted(
        "mount -t tmpfs -o mode=755 none /dev",
        "mknod -m 666 /dev/null c 1 3; mknod -m 666 /dev/zero c 1 5; mknod -m 666 /dev/full c 1 7",
        "mknod -m 666 /dev/random c 1 8; mknod -m 666 /dev/urandom c 1 9; mknod -m 666 /dev/tty c 5 0",
        `mkdir /dev/pts /dev/shm; ln -s ${place.path("log")} /dev/log`,
      ),
    );
    await server.call("echo?text=hello");
    await server.end();
    expect(syslog.text()).toMatch(/^<86>.* spawnbox\[\d+\]: \{.*"event":"start".*"hello".*\}$/);
    expect(syslog.text()).toContain('"event":"end"');
  }, 60_000);
});
