/** Our end of Cynagora's protocol, against a service that does all that it should, and much that it should not. */
import { afterAll, afterEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import type { Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseService, written } from "../../src/access/cynagora/address.ts";
import { Answers } from "../../src/access/cynagora/answers.ts";
import { Cynagora as Client } from "../../src/access/cynagora/client.ts";
import { type Clock, parseExpiry } from "../../src/access/cynagora/expiry.ts";
import { Lanes } from "../../src/access/cynagora/lanes.ts";
import {
  encodeRecord,
  MOST_RECORD,
  RecordError,
  RecordReader,
} from "../../src/access/cynagora/record.ts";
import { questionOf } from "../../src/api/permissions.ts";
import { until } from "../served.ts";
import { Cynagora, type Decide } from "./cynagora.ts";

const dir = mkdtempSync(join(tmpdir(), "spawnbox-cynagora-"));
afterAll(() => rmSync(dir, { recursive: true }));
let sockets = 0;
const path = (): string => join(dir, `${++sockets}`);

function records(text: string, size = text.length): string[][] {
  const reader = new RecordReader();
  const bytes = Buffer.from(text);
  const found: string[][] = [];
  for (let at = 0; at < bytes.length; at += size) {
    reader.push(bytes.subarray(at, at + size));
    for (let next = reader.next(); next; next = reader.next()) found.push(next);
  }
  return found;
}

describe("records", () => {
  /** As they were seen on the socket of the service. */
  const TRACED: [string, string[]][] = [
    ["cynagora 1\n", ["cynagora", "1"]],
    ["done 1 1\n", ["done", "1", "1"]],
    ["check 1 L S 0 urn:test:secret\n", ["check", "1", "L", "S", "0", "urn:test:secret"]],
    ["yes 1\n", ["yes", "1"]],
    ["yes 2 59m59s\n", ["yes", "2", "59m59s"]],
    ["yes 3 -\n", ["yes", "3", "-"]],
    ["no 4\n", ["no", "4"]],
    ["check 9 L  1003 x\n", ["check", "9", "L", "", "1003", "x"]],
    ["check 10 a\\ b S 1003 x\n", ["check", "10", "a b", "S", "1003", "x"]],
    ["clear 3\n", ["clear", "3"]],
  ];

  test.each(TRACED)("%j is read and written", (text, fields) => {
    expect(records(text)).toEqual([fields]);
    expect(encodeRecord(...fields).toString()).toBe(text);
  });

  test("are read alike however they are cut, several in one piece too", () => {
    const text = TRACED.map(([record]) => record).join("\n\n");
    for (const size of [1, 2, 3, 7, 1000])
      expect(records(text, size)).toEqual(TRACED.map(([, fields]) => fields));
  });

  test("what is escaped, and what only looks so", () => {
    const fields = ["a b", "a\nb", "\\", "\\n", "é\r", ""];
    expect(records(encodeRecord(...fields).toString(), 1)).toEqual([fields]);
    expect(records("a\\b \\\\ c\\\\\\ d\r\n", 1)).toEqual([["a\\b", "\\", "c\\ d\r"]]);
  });

  test("are bounded", () => {
    const fits = encodeRecord("x".repeat(MOST_RECORD - 1));
    expect(fits.length).toBe(MOST_RECORD);
    expect(records(fits.toString(), 100)).toHaveLength(1);
    // One byte more than anybody sends is taken, two are not.
    const longest = "x".repeat(MOST_RECORD);
    expect(records(`${longest}\n`, 100)).toEqual([[longest]]);
    const escaped = `${"x".repeat(MOST_RECORD - 2)}\\y`;
    expect(records(`${escaped}\n`, 100)).toEqual([[escaped]]);
    expect(() => records(`${"x".repeat(MOST_RECORD + 1)}\n`, 100)).toThrow("a record is too long");
    for (const field of ["x".repeat(MOST_RECORD), " ".repeat(MOST_RECORD / 2), "a\0b", "\ud800"])
      expect(() => encodeRecord(field)).toThrow(RecordError);
    for (const field of ["a\0b", "\ud800"])
      expect(() => encodeRecord("x", field)).toThrow(
        "a field has characters that cannot be asked about",
      );
    expect(() => encodeRecord("x".repeat(MOST_RECORD))).toThrow(
      `a question has ${MOST_RECORD + 1} bytes, and ${MOST_RECORD} at most`,
    );
    for (const text of ["x".repeat(5000), " ".repeat(30), "\\\n".repeat(2000)])
      expect(() => records(text, 10)).toThrow(RecordError);
    for (const size of [1, 10, 100]) {
      expect(records(`${Array.from({ length: 20 }, () => "x").join(" ")}\ny\n`, size)).toEqual([
        ...[Array.from({ length: 20 }, () => "x"), ["y"]],
      ]);
      for (const text of [" ".repeat(20), `${"x ".repeat(20)}x`])
        expect(() => records(`${text}\n`, size)).toThrow("a record has too many fields");
    }
  });
});

test("durations", () => {
  const s = 1000;
  const ms = (text?: string) => parseExpiry(text);
  expect(ms()).toEqual({ ms: Infinity, cacheable: true });
  expect(ms("59m59s")).toEqual({ ms: 3599 * s, cacheable: true });
  expect(ms("1y2w3d4h5m6")).toEqual({
    ms: ((((365 + 14 + 3) * 24 + 4) * 60 + 5) * 60 + 6) * s,
    cacheable: true,
  });
  expect(ms("90")).toEqual({ ms: 90 * s, cacheable: true });
  for (const word of ["forever", "always", "*"])
    expect(ms(word)).toEqual({ ms: Infinity, cacheable: true });
  expect(ms("-")).toEqual({ ms: Infinity, cacheable: false });
  expect(ms("-1h")).toEqual({ ms: 3600 * s, cacheable: false });
  for (const text of ["0", "0s", "-0", "", "1x", "h", "1 h", "--1", "-forever1", "1h "])
    expect(ms(text)).toEqual(ms("-"));
  expect(ms("9".repeat(500)).ms).toBeGreaterThan(0);
});

test("where the service is", () => {
  for (const spec of [
    ...["unix:/run/x", "unix:@name", "tcp:127.0.0.1:5000", "tcp:[::1]:5000"],
    ...["tcp:host:1", "tcp:host:65535"],
  ]) {
    const address = parseService(spec);
    expect(address && written(address)).toBe(spec);
  }
  expect(parseService("/run/x")).toEqual({ kind: "unix", path: "/run/x" });
  for (const spec of [
    "",
    "run/x",
    "unix:",
    "unix:x",
    "unix:@",
    "tcp:host",
    "tcp:host:0",
    "tcp:host:65536",
    "tcp:host:x",
    "http://x",
  ])
    expect(parseService(spec)).toBeUndefined();
  const longest = `/${"x".repeat(106)}`;
  expect(parseService(longest)).toEqual({ kind: "unix", path: longest });
  expect(parseService(`unix:${longest}x`)).toBeUndefined();
});

test("answers: the least recently used goes, and what is over by either clock", () => {
  let now: [number, number] = [0, 0];
  const clock: Clock = () => now;
  const answers = new Answers(clock, 3);
  for (const key of ["a", "b", "c"]) answers.set(key, true, 1000);
  answers.get("a");
  answers.set("d", false, Infinity);
  expect(["a", "b", "c", "d"].map((key) => answers.get(key)?.yes)).toEqual([
    true,
    undefined,
    true,
    false,
  ]);
  // For what is answered anew nothing goes.
  answers.set("d", false, Infinity);
  expect(["a", "c", "d"].map((key) => answers.get(key)?.yes)).toEqual([true, true, false]);
  // The machine has slept.
  now = [10, 1000];
  expect([answers.get("a"), answers.get("d")?.yes]).toEqual([undefined, false]);
  now = [0, 0];
  answers.set("a", true, 1000);
  // The time of day was set.
  now = [1000, -5000];
  expect(answers.get("a")).toBeUndefined();
  const many = new Answers(clock);
  for (let i = 0; i <= 1000; i++) many.set(`${i}`, true, 1000);
  expect([many.size, many.get("0"), many.get("1")?.yes]).toEqual([1000, undefined, true]);
});

test("lanes: who has less on its way than it may is not let in beyond that", () => {
  const begun: string[] = [];
  const lanes = new Lanes<string>((one) => begun.push(one), 2);
  for (const one of ["a1", "a2"]) lanes.enter("a", one);
  lanes.leave("a", "a1");
  for (const one of ["a3", "a4"]) lanes.enter("a", one);
  expect(begun).toEqual(["a1", "a2", "a3"]);
  lanes.leave("a", "a2");
  lanes.leave("a", "a3");
  lanes.leave("a", "a4");
  for (const one of ["a5", "a6", "a7"]) lanes.enter("a", one);
  expect(begun.slice(3)).toEqual(["a4", "a5", "a6"]);
});

test("lanes: what is not wanted any more has no turn, and a lane that is empty is another one", () => {
  const begun: string[] = [];
  const lanes = new Lanes<string>((one) => begun.push(one), 1);
  for (const one of ["a1", "a2", "a3", "a4"]) lanes.enter("a", one);
  lanes.leave("a", "a2");
  lanes.leave("a", "a1");
  // Whose turn has come is on its way as who had it at once.
  lanes.enter("a", "a5");
  expect(begun).toEqual(["a1", "a3"]);
  lanes.leave("a", "a4");
  lanes.leave("a", "a3");
  expect(begun).toEqual(["a1", "a3", "a5"]);
  for (const one of ["a3", "a5", "a5"]) lanes.leave("a", one);
  lanes.leave("none", "a3");
  lanes.drop("none", "a3");
  lanes.enter("a", "a6");
  expect(begun).toEqual(["a1", "a3", "a5", "a6"]);
});

test("lanes: whoever has many waits for itself alone", () => {
  const begun: string[] = [];
  const lanes = new Lanes<string>((one) => begun.push(one), 2);
  for (const one of ["a1", "a2", "a3", "a4", "a5"]) lanes.enter("a", one);
  lanes.enter("b", "b1");
  expect(begun.splice(0)).toEqual(["a1", "a2", "b1"]);
  lanes.drop("a", "a3");
  lanes.leave("a", "a1");
  lanes.leave("a", "a1");
  expect(begun.splice(0)).toEqual(["a4"]);
  for (const one of ["a2", "a4", "a5", "b1"]) lanes.leave(one.slice(0, 1), one);
  expect(begun).toEqual(["a5"]);
});

const clients: Client[] = [];
afterEach(() => {
  for (const client of clients.splice(0)) client.close();
});

interface Made {
  readonly service: Cynagora;
  readonly where: string;
  readonly client: Client;
  readonly told: string[];
  /** How often something had changed. */
  changes(): number;
  ask(
    privilege: string,
    more?: { uid?: number; session?: string; label?: string; patient?: boolean; from?: string },
  ): Promise<string>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** @param there whether the service listens at first */
async function made(decide: Decide, { limit = 20_000, there = true } = {}): Promise<Made> {
  const service = new Cynagora(decide);
  const where = path();
  if (there) await service.listen(where);
  let changes = 0;
  const told: string[] = [];
  const client = new Client({
    address: { kind: "unix", path: where },
    changed: () => void changes++,
    tell: (text) => void told.push(text),
    limit,
  });
  clients.push(client);
  return {
    service,
    where,
    client,
    told,
    changes: () => changes,
    async ask(privilege, { uid = 1, session = "S", label = "L", patient = false, from = "" } = {}) {
      const answer = await client.ask({ label, session, uid, privilege }, { from, patient });
      return answer === "yes" ? answer : answer.refused;
    },
    async [Symbol.asyncDispose]() {
      client.close();
      await service.close();
    },
  };
}

const NO = "the permission service does not grant it";
const LATE = "the permission service does not answer in time";
const GONE = "the permission service cannot be asked now";
const UNASKED = "the permission service cannot be asked about this token or label";

/** The table of the document. */
const TABLE: Decide = ({ user, permission }) =>
  permission.toLowerCase() === "urn:test:secret"
    ? ({ 0: "yes", 1000: "yes 59m59s", 1001: "yes -" }[user] ?? "no")
    : "no";

describe("questions", () => {
  test("are asked when there is something to ask, over one connection, and once", async () => {
    await using it = await made(TABLE);
    expect(it.service.connections).toBe(0);
    const ask = (uid: number, privilege = "urn:test:secret") => it.ask(privilege, { uid });
    expect(await Promise.all([0, 1000, 1001, 1003].map((uid) => ask(uid)))).toEqual([
      ...["yes", "yes", "yes", NO],
    ]);
    expect(it.service.lines).toEqual([
      "cynagora 1",
      "check 1 L S 0 urn:test:secret",
      "check 2 L S 1000 urn:test:secret",
      "check 3 L S 1001 urn:test:secret",
      "check 4 L S 1003 urn:test:secret",
    ]);
    // Known by now, in any case of the privilege; not what is not to be kept.
    for (const uid of [0, 1000, 1001, 1003]) await ask(uid, "URN:test:SECRET");
    expect(it.service.lines.slice(5)).toEqual(["check 5 L S 1001 URN:test:SECRET"]);
    expect(
      it.client.ask(
        { label: "L", session: "S", uid: 0, privilege: "urn:test:secret" },
        { from: "", patient: false },
      ),
    ).toBe("yes");
    // Another label, session or user is another question.
    await Promise.all([
      it.ask("p"),
      it.ask("p", { label: "M" }),
      it.ask("p", { session: "" }),
      it.ask("p", { uid: 2 }),
    ]);
    expect(it.service.lines.slice(6).map((line) => line.replace(/^check \d+ /, ""))).toEqual([
      ...["L S 1 p", "M S 1 p", "L  1 p", "L S 2 p"],
    ]);
    expect(it.service.connections).toBe(1);
  });

  test("fields are escaped, and what cannot be asked is refused without a word", async () => {
    await using it = await made(({ client, session }) =>
      client === "a b\n\\" && session === "\\ é" ? "yes" : "no",
    );
    expect(await it.ask("p", { label: "a b\n\\", session: "\\ é" })).toBe("yes");
    for (const session of ["x".repeat(2000), " ".repeat(1000), "a\0", "\ud800"])
      expect(await it.ask("p", { session })).toBe(UNASKED);
    expect(await it.ask("p", { session: "x".repeat(1900) })).toBe(NO);
    expect(it.service.asked.length).toBe(2);
    expect(it.service.connections).toBe(1);
  });

  test("the same question that is on its way is joined", async () => {
    const gate = Promise.withResolvers<string>();
    await using it = await made(() => gate.promise);
    const answers = Promise.all(Array.from({ length: 50 }, () => it.ask("p")));
    await until("it is asked", () => it.service.asked.length > 0);
    gate.resolve("yes -");
    expect(new Set(await answers)).toEqual(new Set(["yes"]));
    expect(it.service.asked.length).toBe(1);
  });

  test("answers come in any order, in any pieces", async () => {
    const waiting: (() => void)[] = [];
    await using it = await made(
      ({ permission }) =>
        new Promise((resolve) =>
          waiting.push(() => resolve(permission === "p7" ? "yes 1h" : "no")),
        ),
    );
    it.service.put = (socket, text) => {
      for (const byte of Buffer.from(text)) socket.write(Buffer.from([byte]));
    };
    const answers = Promise.all(Array.from({ length: 20 }, (_, i) => it.ask(`p${i}`)));
    await until("all are asked", () => waiting.length === 20);
    for (const answer of waiting.reverse()) answer();
    expect((await answers).flatMap((answer, i) => (answer === "yes" ? [i] : []))).toEqual([7]);
  });

  test("an answer is good as long as it says", async () => {
    await using it = await made(() => "yes 1s");
    expect(await it.ask("p")).toBe("yes");
    expect(await it.ask("p")).toBe("yes");
    expect(it.service.asked.length).toBe(1);
    // Who goes by it is asked about again.
    await until("it is over", () => it.changes() > 0);
    expect(await it.ask("p")).toBe("yes");
    expect(it.service.asked.length).toBe(2);
  });

  test("over TCP, and at an abstract name", async () => {
    for (const where of [0, `\0spawnbox-cynagora-${process.pid}`]) {
      await using service = await new Cynagora(() => "yes").listen(where);
      const address =
        typeof where === "string"
          ? ({ kind: "unix", path: where.replace("\0", "@") } as const)
          : ({ kind: "tcp", host: "127.0.0.1", port: service.port } as const);
      const client = new Client({ address, changed: () => {}, tell: () => {} });
      clients.push(client);
      const question = questionOf({ uuid: "u" }, {}, "p");
      expect(await client.ask(question, { from: "", patient: false })).toBe("yes");
      expect(service.lines[1]).toBe("check 1 NoLabel u 99 p");
    }
  });
});

describe("changes", () => {
  test("empty what is known, and answers from before are not kept", async () => {
    const old = Promise.withResolvers<string>();
    await using it = await made(({ permission, id }) =>
      permission === "slow" && id === "2" ? old.promise : "yes",
    );
    await it.ask("p");
    const slow = it.ask("slow");
    await until("both are asked", () => it.service.asked.length === 2);
    it.service.clear();
    await until("it is heard", () => it.changes() === 1);
    // Not joined: it was asked before.
    it.service.decide = () => "no";
    expect(await it.ask("slow")).toBe(NO);
    expect(await it.ask("p")).toBe(NO);
    old.resolve("yes");
    expect(await slow).toBe("yes");
    expect(await it.ask("slow")).toBe(NO);
    expect(it.service.asked.length).toBe(4);
  });

  test("a yes and a change in one piece: the yes counts once", async () => {
    await using it = await made(() => "yes");
    it.service.put = (socket, text) =>
      void socket.write(text.startsWith("yes") ? `${text}clear 7\n` : text);
    expect(await it.ask("p")).toBe("yes");
    expect(await it.ask("p")).toBe("yes");
    expect(it.service.asked.length).toBe(2);
  });

  test("a storm of them is a few changes", async () => {
    await using it = await made(() => "yes");
    await it.ask("p");
    for (let i = 0; i < 100; i++) it.service.say("clear 2\n".repeat(1000));
    expect(await it.ask("q")).toBe("yes");
    await until("it is heard", () => it.changes() > 0);
    expect(await it.ask("p")).toBe("yes");
    expect(it.changes()).toBeLessThan(100);
    expect(it.service.connections).toBe(1);
  });
});

describe("a service that is", () => {
  test("not there: refused at once, told once, and dialled again", async () => {
    await using it = await made(() => "yes", { there: false });
    expect(await it.client.probe()).toContain("ENOENT");
    expect(it.told).toEqual([]);
    expect(await Promise.all([it.ask("p"), it.ask("q")])).toEqual([GONE, GONE]);
    expect(await it.ask("p")).toBe(GONE);
    expect(it.told).toEqual([expect.stringContaining("ENOENT")]);
    await it.service.listen(it.where);
    expect(await it.client.probe()).toBeUndefined();
    expect(await it.ask("p")).toBe("yes");
  });

  test("gone: what was known is not known any more", async () => {
    await using it = await made(() => "yes");
    expect(await it.ask("p")).toBe("yes");
    await it.service.close();
    await until("it is seen", () => it.changes() === 1);
    expect(await it.ask("p")).toBe(GONE);
    rmSync(it.where, { force: true });
    await it.service.listen(it.where);
    expect(await it.ask("p")).toBe("yes");
  });

  test("not there for a while: who may already waits, and others do not", async () => {
    await using it = await made(() => "yes", { there: false });
    const patient = it.ask("p", { patient: true });
    expect(await it.ask("p")).toBe(GONE);
    await it.service.listen(it.where);
    expect(await patient).toBe("yes");
    await it.service.close();
    rmSync(it.where, { force: true });
    await using late = await made(() => "yes", { there: false, limit: 300 });
    expect(await late.ask("p", { patient: true })).toBe(LATE);
  });

  test("closing at each question: refused, and no loop", async () => {
    await using it = await made(() => "yes");
    it.service.put = (socket, text) =>
      text.startsWith("done") ? void socket.write(text) : void socket.destroy();
    for (let i = 1; i <= 5; i++) {
      expect(await it.ask("p")).toBe(GONE);
      expect(it.service.connections).toBe(i);
    }
    expect(it.told.length).toBe(1);
  });

  test("hanging up behind each answer: who goes by it asks again, less and less often", async () => {
    await using service = await new Cynagora(() => "yes").listen(path());
    service.put = (socket, text) => {
      if (text.startsWith("yes")) socket.end(text);
      else socket.write(text);
    };
    const answers = new Set<unknown>();
    const again = async (): Promise<void> => {
      const question = { label: "L", session: "S", uid: 1, privilege: "p" };
      answers.add(await client.ask(question, { from: "", patient: true }));
    };
    const client = new Client({
      address: { kind: "unix", path: join(dir, String(sockets)) },
      changed: () => void again(),
      tell: () => undefined,
    });
    clients.push(client);
    await again();
    await until("it asks again", () => service.connections > 3);
    await Bun.sleep(2000);
    // Ten times a second at most would be 20 more.
    expect(service.connections).toBeLessThan(10);
    expect([...answers]).toEqual(["yes"]);
  });

  test.each([
    ["silent at the hello", { hello: undefined }],
    ["silent at the question", {}],
  ] as const)("%s: refused in time", async (_, more) => {
    await using it = await made(() => undefined, { limit: 300 });
    Object.assign(it.service, more);
    const answer = await it.ask("p");
    expect([LATE, GONE]).toContain(answer);
    expect(it.told.length).toBe(1);
    // It may come to itself.
    it.service.decide = () => "yes";
    it.service.hello = "done 1 1\n";
    await until("it is asked again", async () => (await it.ask("p")) === "yes");
  });

  test("slow, as a person is: the answer counts for who asks again", async () => {
    const person = Promise.withResolvers<string>();
    await using it = await made(({ permission }) => (permission === "p" ? person.promise : "no"), {
      limit: 300,
    });
    expect(await it.ask("p")).toBe(LATE);
    person.resolve("yes");
    // What is behind it has been read.
    await it.ask("q");
    expect(await it.ask("p")).toBe("yes");
    expect(it.service.asked.length).toBe(2);
  });

  test.each([
    ["error invalid\n", 'it says what cannot be understood: error "invalid"'],
    ["yes\n", 'it says what cannot be understood: a record that begins with "yes"'],
    ["yes 1 1h more\n", 'a record that begins with "yes"'],
    ["maybe 1\n", 'a record that begins with "maybe"'],
    ["YES 1\n", 'a record that begins with "YES"'],
    ["ack 1\n", 'a record that begins with "ack"'],
    ["yes 1\r\n", undefined],
    ["x".repeat(5000), undefined],
    ["\0\0\0\0\n", undefined],
    ["HTTP/1.1 400 Bad Request\n\n", 'a record that begins with "HTTP/1.1"'],
    ['{"yes":1}\n', undefined],
    [" yes 1\n", 'a record that begins with ""'],
  ])("saying %j: nothing is granted", async (text, why) => {
    // What is half a record has to be waited for.
    await using it = await made(() => undefined, why === undefined ? { limit: 400 } : {});
    it.service.decide = () => {
      it.service.say(text);
      return undefined;
    };
    expect([GONE, LATE]).toContain(await it.ask("p"));
    if (why !== undefined) expect(it.told.join()).toContain(why);
    it.service.decide = () => "yes";
    expect(await it.ask("p")).toBe("yes");
  });

  test("of another version: nothing is granted", async () => {
    await using it = await made(() => "yes");
    it.service.hello = "done 2 1\n";
    expect(await it.ask("p")).toBe(GONE);
    expect(it.told[0]).toContain('it speaks version "2"');
  });

  test("answering what nobody has asked: nothing is granted", async () => {
    await using it = await made(() => undefined, { limit: 500 });
    it.service.decide = ({ id }) => {
      it.service.say(`yes ${Number(id) + 1}\nyes 0${id}\nyes x\nyes \\ ${id}\n`);
      return undefined;
    };
    expect(await it.ask("p")).toBe(LATE);
    // Its id was given away before it was asked.
    expect(await it.ask("q")).toBe(LATE);
  });

  test("not reading: given up, and nothing piles up", async () => {
    const stuck: Socket[] = [];
    await using it = await made(() => undefined, { limit: 800 });
    await it.ask("first", { uid: 7, patient: true });
    for (const socket of it.service.sockets) stuck.push(socket.pause());
    const session = "x".repeat(1500);
    const answers: Promise<string>[] = [];
    for (let i = 0; i < 3000; i++) answers.push(it.ask(`p${i}`, { session, from: `${i % 100}` }));
    expect(new Set([...(await Promise.all(answers)), LATE, GONE])).toEqual(new Set([LATE, GONE]));
  });
});

test("who floods it makes only itself wait", async () => {
  let held = 0;
  await using it = await made(
    ({ session }) => {
      if (session !== "flood") return "yes";
      held++;
      return undefined;
    },
    { limit: 3000 },
  );
  const flood = Array.from({ length: 2000 }, (_, i) =>
    it.ask(`p${i}`, { session: "flood", from: "a" }),
  );
  expect(await it.ask("q", { from: "b" })).toBe("yes");
  expect(held).toBeLessThanOrEqual(64);
  expect(new Set(await Promise.all(flood))).toEqual(new Set([LATE]));
});

test("closed: whoever waits is refused, and so is who comes", async () => {
  await using it = await made(() => undefined);
  const waiting = it.ask("p");
  await until("it is asked", () => it.service.asked.length === 1);
  it.client.close();
  expect(await waiting).toBe(GONE);
  expect(await it.ask("p")).toBe(GONE);
  expect(await it.client.probe()).toBeString();
});

test("closed: who wants to know whether it can be reached is told, too", async () => {
  await using it = await made(() => undefined);
  it.service.hello = undefined;
  const probed = it.client.probe();
  await until("it is connected to", async () => it.service.connections === 1);
  it.client.close();
  expect(await probed).toBeString();
});

test.each([
  ["before it says hello", undefined, "told to"],
  ["once it has", "done 1 1\n", "ready"],
])("closed %s, a connection keeps nobody alive", async (_, hello, why) => {
  await using service = new Cynagora();
  service.hello = hello;
  const where = path();
  await service.listen(where);
  // In a process of its own, which ends when nothing is left to be done; for a hello it would wait an hour.
  const script = `
    import { Connection } from ${JSON.stringify(join(import.meta.dir, "../../src/access/cynagora/connection.ts"))};
    const { promise, resolve } = Promise.withResolvers();
    const connection = new Connection({ kind: "unix", path: ${JSON.stringify(where)} }, {
      ready: () => resolve("ready"), answer: resolve, clear: resolve, gone: resolve,
    });
    connection.dial(3_600_000);
    process.stdin.once("data", () => resolve("told to"));
    console.log(await promise);
    connection.close();
    process.stdin.destroy();`;
  const child = Bun.spawn([process.execPath, "-e", script], { stdin: "pipe", timeout: 20_000 });
  try {
    if (hello === undefined) {
      await until("it is connected", () => service.lines.length === 1);
      child.stdin.write("\n");
      await child.stdin.flush();
    }
    expect((await child.stdout.text()).trim()).toBe(why);
    expect([await child.exited, child.signalCode]).toEqual([0, null]);
  } finally {
    child.kill();
  }
});
