/** Where lines go: files that are bounded and whole, the journal and syslog, and what none of them does: wait. */
import { afterAll, describe, expect, test } from "bun:test";
import {
  chmodSync,
  closeSync,
  constants,
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Entry } from "../../src/audit/entry.ts";
import { FileSink } from "../../src/audit/file.ts";
import { encode as encodeJournal, JournalSink } from "../../src/audit/journal.ts";
import { encode as encodeSyslog, SyslogSink } from "../../src/audit/syslog.ts";
import type { Line } from "../../src/audit/sink.ts";
import { descriptorsOf } from "../descriptors.ts";
import { isRoot } from "../served.ts";
import { readNow } from "./pipe.ts";
import { Received } from "./received.ts";

const dir = mkdtempSync(join(tmpdir(), "spawnbox-audit-"));
afterAll(() => rmSync(dir, { recursive: true }));

let names = 0;
const fresh = (): string => join(dir, `log${++names}`);
const entry: Entry = { time: 0, event: "start", api: "a", verb: "v" };
const line = (text: string): Line => ({ entry, text });
const numbered = (count: number, from = 0): Line[] =>
  Array.from({ length: count }, (_, i) => line(`{"n":${from + i}}`));

const sinkOf = (path: string, options: Partial<ConstructorParameters<typeof FileSink>[0]> = {}) =>
  new FileSink({ path, most: 0, count: 2, trust: undefined, ...options });

/** All that is there, the oldest file first. */
const linesOf = (path: string, files = 9): string[] =>
  Array.from({ length: files + 1 }, (_, i) => files - i)
    .map((i) => (i === 0 ? path : `${path}.${i}`))
    .filter((file) => existsSync(file))
    .flatMap((file) => readFileSync(file, "utf8").split("\n").slice(0, -1));

describe("a file", () => {
  test("is for the server alone, and is appended to", async () => {
    const path = fresh();
    for (const from of [0, 3]) {
      const sink = sinkOf(path);
      expect(await sink.take(numbered(3, from))).toEqual({ lines: 3 });
      await sink.close();
    }
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(linesOf(path)).toEqual(numbered(6).map(({ text }) => text));
  });

  test("half a line of a server that was killed gets its end, and a whole one none", async () => {
    for (const [before, after] of [
      ['{"n":1}\n{"n"', '{"n":1}\n{"n"\n{"n":0}\n'],
      ['{"n":1}\n', '{"n":1}\n{"n":0}\n'],
      ["", '{"n":0}\n'],
      ["x", 'x\n{"n":0}\n'],
      ["\n", '\n{"n":0}\n'],
    ] as const) {
      const path = fresh();
      writeFileSync(path, before);
      const sink = sinkOf(path);
      await sink.take(numbered(1));
      await sink.close();
      expect(readFileSync(path, "utf8")).toBe(after);
    }
  });

  test("is left for another by the time it is full, and only so many are kept", async () => {
    const path = fresh();
    const sink = sinkOf(path, { most: 100, count: 2 });
    // 8 bytes a line at first, 9 from ten on.
    for (let i = 0; i < 60; i++) expect(await sink.take(numbered(1, i))).toEqual({ lines: 1 });
    await sink.take(numbered(60, 60));
    await sink.close();
    for (const file of [path, `${path}.1`, `${path}.2`]) {
      expect(statSync(file).size).toBeLessThanOrEqual(100);
      expect(statSync(file).mode & 0o777).toBe(0o600);
    }
    expect(existsSync(`${path}.3`)).toBe(false);
    const lines = linesOf(path).map((text) => Number(JSON.parse(text).n));
    expect(lines.at(-1)).toBe(119);
    expect(lines).toEqual(lines.map((_, i) => 120 - lines.length + i));
  });

  test("a line longer than a file is written whole, alone", async () => {
    const path = fresh();
    const sink = sinkOf(path, { most: 50, count: 3 });
    const long = line(JSON.stringify("x".repeat(500)));
    expect(await sink.take([...numbered(1), long, ...numbered(1, 1)])).toEqual({ lines: 3 });
    await sink.close();
    expect(readFileSync(`${path}.1`, "utf8")).toBe(`${long.text}\n`);
    expect(linesOf(path)).toHaveLength(3);
  });

  test("what was renamed is written to until it is reopened; what was removed is not", async () => {
    const path = fresh();
    const sink = sinkOf(path);
    await sink.take(numbered(1));
    renameSync(path, `${path}.old`);
    await sink.take(numbered(1, 1));
    expect(existsSync(path)).toBe(false);
    sink.reopen();
    await sink.take(numbered(1, 2));
    expect(readFileSync(path, "utf8")).toBe('{"n":2}\n');
    expect(readFileSync(`${path}.old`, "utf8")).toBe('{"n":0}\n{"n":1}\n');
    rmSync(path);
    // It is looked at once a second.
    for (let n = 3; !existsSync(path); n++) {
      await sink.take(numbered(1, n));
      await Bun.sleep(50);
    }
    truncateSync(path, 0);
    await sink.take(numbered(1, 9));
    expect(readFileSync(path, "utf8")).toBe('{"n":9}\n');
    await sink.close();
  });

  test("a full disk is told, and nothing is taken", async () => {
    const sink = sinkOf("/dev/full");
    expect(await sink.take(numbered(2))).toEqual({ lines: 0, why: "ENOSPC" });
    await sink.close();
  });

  test("a link is not followed, and a directory that is not there not made", async () => {
    const path = fresh();
    const target = fresh();
    symlinkSync(target, path);
    expect(await sinkOf(path).take(numbered(1))).toEqual({ lines: 0, why: "ELOOP" });
    expect(existsSync(target)).toBe(false);
    expect(await sinkOf(join(fresh(), "x")).take(numbered(1))).toMatchObject({ lines: 0 });
    expect(() => sinkOf(dir).open()).toThrow("EISDIR");
  });

  test("a FIFO whose reader is slow keeps nobody waiting, and gets whole lines", async () => {
    const path = fresh();
    Bun.spawnSync(["mkfifo", "-m", "600", path]);
    expect(() => sinkOf(path).open()).toThrow("ENXIO");
    const reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const sink = sinkOf(path);
    const all = numbered(20_000);
    let done = 0;
    const take = async () => {
      const { lines, why } = await sink.take(all.slice(done));
      done += lines;
      return why;
    };
    expect(await take()).toBe("EAGAIN");
    expect(done).toBeLessThan(all.length);
    let got = "";
    const buffer = Buffer.alloc(7001);
    while (
      done < all.length ||
      got.length < all.reduce((sum, { text }) => sum + text.length + 1, 0)
    ) {
      got += readNow(reader, buffer);
      if (done < all.length) await take();
    }
    expect(got).toBe(all.map(({ text }) => `${text}\n`).join(""));
    closeSync(reader);
    expect(await sink.take(numbered(1))).toMatchObject({ lines: 0, why: "EPIPE" });
    const next = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    expect(await sink.take(numbered(1, 7))).toEqual({ lines: 1 });
    expect(readNow(next, buffer)).toBe('{"n":7}\n');
    closeSync(next);
    await sink.close();
  });

  test.if(isRoot)("[protection] what others could change, root does not audit to", () => {
    const trust = { owners: [0], beside: "others' too" } as const;
    const open = (path: string) => {
      const sink = sinkOf(path, { trust });
      sink.open();
      return sink.close();
    };
    const place = (mode: number) => {
      const made = fresh();
      mkdirSync(made);
      chmodSync(made, mode);
      return made;
    };
    const foreign = fresh();
    writeFileSync(foreign, "");
    Bun.spawnSync(["chown", "1234", foreign]);
    expect(() => open(foreign)).toThrow("uid 1234");
    const open0 = place(0o777);
    expect(() => open(join(open0, "log"))).toThrow("chmod go-w");
    expect(existsSync(join(open0, "log"))).toBe(false);
    const writable = fresh();
    writeFileSync(writable, "");
    chmodSync(writable, 0o622);
    expect(() => open(writable)).toThrow("written by others");
    const named = fresh();
    writeFileSync(named, "");
    linkSync(named, `${named}.too`);
    expect(() => open(named)).toThrow("2 names");
    const theirs = place(0o755);
    Bun.spawnSync(["chown", "1234", theirs]);
    expect(() => open(join(theirs, "log"))).toThrow("1234");
    const link = fresh();
    symlinkSync(place(0o755), link);
    Bun.spawnSync(["chown", "-h", "1234", link]);
    expect(() => open(join(link, "log"))).toThrow("link");
    // As /tmp is, where nobody can take it away.
    const sticky = place(0o1777);
    expect(() => open(join(sticky, "log"))).not.toThrow();
  });
});

const full: Entry = {
  time: Date.UTC(2026, 0, 5, 6, 7, 8),
  event: "refuse",
  api: "radio\nPRIORITY=0",
  verb: "tune",
  caller: { info: "the \u001b[2J tablet", uid: 7, address: "::1", via: "rest" },
  status: "insufficient-scope",
};

describe("the journal", () => {
  test("gets the line and its fields, none of which can be another", async () => {
    const path = fresh();
    using received = new Received(path);
    const sink = new JournalSink(path);
    expect(await sink.take([{ entry: full, text: '{"x":1}' }])).toEqual({ lines: 1 });
    const fields = received.fields();
    expect(fields).toMatchObject({
      MESSAGE: '{"x":1}',
      PRIORITY: "5",
      SYSLOG_IDENTIFIER: "spawnbox",
      SPAWNBOX_AUDIT: "refuse",
      SPAWNBOX_API: "radio\nPRIORITY=0",
      SPAWNBOX_CALLER_UID: "7",
      SPAWNBOX_STATUS: "insufficient-scope",
    });
    expect(Object.keys(fields)).not.toContain("SPAWNBOX_PID");
    await sink.close();
  });

  test("gets what is too long for a datagram as a sealed file", async () => {
    const path = fresh();
    using received = new Received(path);
    const sink = new JournalSink(path);
    const text = JSON.stringify("y".repeat(600_000));
    expect(await sink.take([{ entry, text }])).toEqual({ lines: 1 });
    expect(received.fields()["MESSAGE"]).toBe(text);
    expect(received.seals).toBe(0xf);
    await sink.close();
  });

  test("that does not read, is not there, or was started anew, keeps nobody waiting", async () => {
    const path = fresh();
    const sink = new JournalSink(path);
    expect(await sink.take(numbered(1))).toEqual({ lines: 0, why: "ENOENT" });
    {
      using received = new Received(path);
      const { lines, why } = await sink.take(numbered(10_000));
      expect(why).toBe("EAGAIN");
      expect(lines).toBeGreaterThan(0);
      for (let i = 0; i < lines; i++) expect(received.fields()["MESSAGE"]).toBe(`{"n":${i}}`);
      expect(await sink.take(numbered(1))).toEqual({ lines: 1 });
    }
    expect(await sink.take(numbered(1))).toEqual({ lines: 0, why: "ENOENT" });
    using again = new Received(path);
    expect(await sink.take(numbered(1, 5))).toEqual({ lines: 1 });
    expect(again.fields()["MESSAGE"]).toBe('{"n":5}');
    await sink.close();
  });

  test("that is slow is not dialled anew, and at the end nothing of it is open", async () => {
    const sockets = () => descriptorsOf("self").filter((to) => to.startsWith("socket:"));
    const path = fresh();
    using _received = new Received(path);
    const before = sockets();
    const sink = new JournalSink(path);
    expect(await sink.take(numbered(10_000))).toMatchObject({ why: "EAGAIN" });
    const own = sockets().filter((one) => !before.includes(one));
    expect(await sink.take(numbered(10_000))).toMatchObject({ why: "EAGAIN" });
    expect(own).toHaveLength(1);
    expect(sockets().filter((one) => !before.includes(one))).toEqual(own);
    await sink.close();
    expect(sockets().filter((one) => own.includes(one))).toEqual([]);
  });

  test("all lengths are those of bytes", () => {
    const encoded = encodeJournal({ entry, text: "äöü" });
    expect(encoded.subarray(0, 8).toString()).toBe("MESSAGE\n");
    expect(encoded.readBigUInt64LE(8)).toBe(6n);
  });
});

describe("syslog", () => {
  test("gets a line as the C library sends it", async () => {
    const path = fresh();
    using received = new Received(path);
    const sink = new SyslogSink(path);
    const text = '{"x":"\\u001b"}';
    expect(await sink.take([{ entry: full, text }])).toEqual({ lines: 1 });
    const got = received.text() ?? "";
    expect(got).toMatch(/^<85>Jan {2}5 \d\d:\d\d:08 spawnbox\[\d+\]: \{"x":"\\u001b"\}$/);
    expect(encodeSyslog({ entry, text: "x" }).toString()).toStartWith("<86>Jan  1 ");
    await sink.close();
  });

  test("has months as C has them, and days of two places", () => {
    const dates = Array.from({ length: 12 }, (_, month) => {
      const time = new Date(2026, month, month + 5, 3, 4, 5).getTime();
      const message = encodeSyslog({ entry: { ...entry, time }, text: "" }).toString();
      return /^<86>(.*) 03:04:05 spawnbox/.exec(message)?.[1] ?? message;
    });
    expect(dates).toEqual([
      ...["Jan  5", "Feb  6", "Mar  7", "Apr  8", "May  9", "Jun 10"],
      ...["Jul 11", "Aug 12", "Sep 13", "Oct 14", "Nov 15", "Dec 16"],
    ]);
  });

  test("what waits for a slow reader is not cut for that", async () => {
    const path = fresh();
    using received = new Received(path);
    const sink = new SyslogSink(path);
    const text = "z".repeat(60_000);
    const all = Array.from({ length: 50 }, () => line(text));
    const { lines, why } = await sink.take(all);
    expect([why, lines > 0]).toEqual(["EAGAIN", true]);
    for (let i = 0; i < lines; i++) expect(received.text()).toEndWith(text);
    expect(received.text()).toBeUndefined();
    await sink.close();
  });

  test("what is longer than a datagram is cut", async () => {
    const path = fresh();
    using received = new Received(path);
    const sink = new SyslogSink(path);
    const long = { ...entry, argv: ["z".repeat(600_000)], args: { a: "b" } };
    const given = { entry: long, text: JSON.stringify(long) };
    expect(await sink.take([given, line("after")])).toEqual({ lines: 2 });
    const got = received.text() ?? "";
    expect(got).toContain('"event":"start"');
    expect(got).toContain('"cut":600009');
    expect(got.length).toBeLessThan(1000);
    await sink.close();
  });
});
