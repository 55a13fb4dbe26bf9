/** What `serve` is put together from, each part by itself: its history, its audit, what it reads and whom it asks. */
import { afterAll, afterEach, describe, expect, test } from "bun:test";
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import type { Entry } from "../../src/api/book.ts";
import { ConfigError } from "../../src/config/problem.ts";
import { LIMITS } from "../../src/history/limits.ts";
import { descriptors, supplies } from "../../src/launch/supplies.ts";
import { capacity } from "../../src/launch/capacity.ts";
import { Auditing, unaudited } from "../../src/serve/auditing.ts";
import { Encryption } from "../../src/serve/encryption.ts";
import { Keeping } from "../../src/serve/keeping.ts";
import { lookAt } from "../../src/serve/looking.ts";
import { Permissions } from "../../src/serve/permissions.ts";
import { roomFor } from "../../src/serve/room.ts";
import { loadTls } from "../../src/serve/tls.ts";
import { createReloads } from "../../src/service/reload.ts";
import { Cynagora } from "../access/cynagora.ts";
import { apiOf, registryOf, said, shell } from "../api/harness.ts";
import { turn } from "../api/listener.ts";
import { certificatesIn } from "../rpc/certificates.ts";

const dir = mkdtempSync(join(tmpdir(), "spawnbox-serve-"));
const at = (name: string): string => join(dir, name);
afterAll(() => rmSync(dir, { recursive: true }));

test("how much it takes on is told with what there is least of, where that decides", () => {
  const { launches, scarcest } = capacity(supplies());
  const { words, connections, admission } = roomFor(5, 1);
  expect(words).toMatch(
    /^at most 5 tasks at a time: room for \d+ by its (descriptors|processes|bytes of memory), .+$/,
  );
  expect([admission.tasks, scarcest !== undefined]).toEqual([5, true]);
  expect(connections).toBe(Math.max(4, Math.min(512, Math.floor(descriptors().total / 5))));
  // Of memory it may be another number in a moment.
  const own = roomFor(undefined, 1).admission.tasks;
  if (launches > 2000)
    expect([own, roomFor(undefined, 1).words]).toEqual([1024, "at most 1024 tasks at a time"]);
  expect(roomFor(1024, 1).words).toContain("1024 tasks at a time: room for");
});

describe("a history", () => {
  const place = (name: string) => ({ file: at(name), limits: LIMITS });
  const wanted = { kinds: [1], limit: 9 };

  test("is none where nobody wants one", async () => {
    const keeping = new Keeping();
    await keeping.use(undefined);
    keeping.note({} as Entry);
    expect([keeping.lost, keeping.kinds(), keeping.tasks(wanted), keeping.events("x")]).toEqual([
      ...[undefined, [], [], undefined],
    ] as never);
    keeping.close();
  });

  test("is the first that is wanted, and has what ran", async () => {
    const keeping = new Keeping();
    const registry = registryOf([shell("v", "true")], { archive: keeping });
    try {
      await keeping.use(place("history"));
      await keeping.use(place("other"));
      expect([keeping.lost, await Bun.file(at("other")).exists()]).toEqual([0, false]);
      const session = { uuid: "u" };
      await registry.call({ api: "p", verb: "v", args: undefined, session, wait: true });
    } finally {
      await registry.close();
    }
    keeping.close();
    const again = new Keeping();
    const before: string[] = [];
    await again.use(place("history"), { continueAfter: (id) => before.push(id) });
    const kinds = again.kinds();
    expect(kinds).toMatchObject([{ api: "p", verb: "v" }]);
    const [task] = again.tasks({ kinds: kinds.map(({ key }) => key), limit: 9 });
    expect(task).toMatchObject({ verb: "v", status: { exit: 0 } });
    expect(again.events(task?.id ?? "")?.last).toBe(2);
    // Ids of tasks to come sort behind those that are there.
    expect(before).toEqual([task?.id ?? ""]);
    again.close();
  });
});

describe("the audit", () => {
  const options = (name: string) => ({ to: at(name), most: 0, count: 1 });
  const plan = (audited: boolean) => shell("v", "true", { ...(audited && { audited }) });
  const { record } = (() => {
    const registry = { id: "0123456789abcde", api: "p", verb: "v", sandbox: "sb", command: "v" };
    return {
      record: {
        ...registry,
        ...{ caller: { via: "local" as const }, asked: 1, state: "waiting" as const },
        printed: { bytes: 0, lines: 0, events: 0 },
      },
    };
  })();
  const lines = (name: string) =>
    readFileSync(at(name), "utf8")
      .split("\n")
      .filter(Boolean)
      .map((line) => (JSON.parse(line) as { event: string }).event);

  test("is what some starts need, and others not", async () => {
    const auditing = new Auditing();
    expect(auditing.mayStart(record, plan(false))).toBeUndefined();
    expect(said(() => auditing.mayStart(record, plan(true)))).toBe(
      "not-available: p/v must be audited, and cannot be: there is no audit: start the server with --audit",
    );
    expect(auditing.audit).toBeUndefined();
    await (await auditing.use(options("audit"))).keep();
    expect(auditing.mayStart(record, plan(false))).toBeUndefined();
    await auditing.mayStart(record, plan(true));
    expect(auditing.audit).toBeDefined();
    await auditing.close();
    expect(readFileSync(at("audit"), "utf8")).toContain("0123456789abcde");
  });

  test("goes on where it was, unless it is another from now on", async () => {
    const auditing = new Auditing();
    await (await auditing.use(options("first"))).keep();
    const first = auditing.audit;
    const same = await auditing.use(undefined);
    await same.giveBack();
    await same.keep();
    expect(auditing.audit).toBe(first as never);
    const other = await auditing.use(options("second"));
    expect(auditing.audit).not.toBe(first as never);
    await other.giveBack();
    expect(auditing.audit).toBe(first as never);
    await (await auditing.use(options("third"))).keep();
    auditing.started(record);
    auditing.ended(record);
    auditing.stopping({ time: 1, caller: record.caller, record });
    auditing.fed({ time: 1, caller: record.caller, record });
    auditing.refused({
      ...{ time: 1, caller: record.caller, api: "p", verb: "v", action: "start" },
      status: "busy",
    });
    auditing.relayed({ time: 1, caller: record.caller, id: "i", to: "b", method: "m" } as never);
    await auditing.close();
    expect(lines("third")).toHaveLength(6);
    expect(new Set(lines("third")).size).toBe(6);
    expect([lines("first"), lines("second")]).toEqual([[], []]);
  });

  test("is told to be missing of the configs that need it", () => {
    const api = (file: string, ...audited: boolean[]) => {
      const plans = audited.map((one, i) => ({ ...plan(one), verb: `v${i}` }));
      return apiOf([], { file, sandboxes: [{ uid: "s", plans }] });
    };
    const twice = api("twice.json", true);
    const [sandbox] = twice.sandboxes;
    expect(
      unaudited([
        api("none.json", false),
        api("some.json", true, false, true),
        { ...twice, sandboxes: sandbox ? [sandbox, sandbox] : [] },
      ]),
    ).toEqual(
      [
        ["some.json", "v0, v2"],
        ["twice.json", "v0"],
      ].map(([file = "", verbs]) => ({
        ...{ file, path: "audit.required" },
        message: `without an audit every start of ${verbs} is refused: serve with --audit FILE`,
      })),
    );
  });
});

describe("before a start", () => {
  const NOTHING = { audit: undefined, history: undefined, tls: undefined };

  test("what is named is looked at, and nothing is made", async () => {
    expect(await lookAt(NOTHING)).toEqual({ problems: [], notices: [] });
    const made = certificatesIn(mkdtempSync(join(dir, "looked-")));
    chmodSync(made.server.key, 0o600);
    const tls = { cert: made.server.cert, key: made.server.key, clientCa: made.trust };
    const named = {
      audit: { to: at("looked/none"), most: 0, count: 1 },
      history: { file: at("nowhere/h"), limits: LIMITS },
      tls,
    };
    const { problems, notices } = await lookAt(named);
    expect(problems.map(({ file, path }) => [file, path])).toEqual([["", ""]]);
    expect(problems[0]?.message).toContain("looked");
    expect(notices).toEqual([
      {
        file: at("nowhere/h"),
        path: "",
        message: expect.stringMatching(/^no history is kept: .+/),
      },
    ]);
    const fine = {
      audit: { to: at("fine-audit"), most: 0, count: 1 },
      history: { file: at("fine-history"), limits: LIMITS },
      tls,
      fleet: "none",
    };
    expect(await lookAt(fine)).toEqual({ problems: [], notices: [] });
    expect([
      await Bun.file(at("fine-audit")).exists(),
      await Bun.file(at("fine-history")).exists(),
    ]).toEqual([false, false]);
    const missing = await lookAt({
      ...NOTHING,
      tls: { cert: at("no.pem"), key: at("no.key"), clientCa: at("no-ca.pem") },
      fleet: at("no-fleet.json"),
    });
    expect(missing.problems.map(({ file }) => file)).toEqual([
      ...["no.pem", "no.key", "no-ca.pem", "no-fleet.json"].map(at),
    ]);
    expect(missing.notices).toEqual([]);
  });

  test("certificates fit their keys, authorities are some, and an old one is told", () => {
    const place = mkdtempSync(join(dir, "tls-"));
    const made = certificatesIn(place);
    const other = made.sign("other");
    const old = made.sign("old", { days: -1 });
    for (const { key } of [made.server, other, old]) chmodSync(key, 0o600);
    const paths = { ...made.server, clientCa: undefined };
    const { options, notices } = loadTls(paths);
    expect(notices).toEqual([]);
    expect(options).toMatchObject({
      ...{ minVersion: "TLSv1.2", requestCert: false, rejectUnauthorized: false },
    });
    expect(loadTls({ ...paths, clientCa: made.trust }).options).toMatchObject({
      ...{ requestCert: true, ca: readFileSync(made.trust) },
    });
    const problems = (of: Parameters<typeof loadTls>[0]) => {
      try {
        return loadTls(of).notices;
      } catch (error) {
        if (!(error instanceof ConfigError)) throw error;
        return error.problems;
      }
    };
    expect(problems({ ...paths, key: other.key }).map(({ file }) => file)).toEqual([paths.cert]);
    const text = join(place, "text");
    writeFileSync(text, "no certificate\n");
    expect(problems({ ...paths, clientCa: text })).toEqual([
      {
        ...{ file: text, path: "" },
        message: "there is no certificate (PEM) in it",
      },
    ]);
    writeFileSync(text, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    expect(problems({ ...paths, clientCa: text })).toEqual([
      {
        ...{ file: text, path: "" },
        message: expect.stringMatching(/^certificate 1 in it cannot be read: .+/) as never,
      },
    ]);
    // Who has signed it has to be there, too.
    const between = made.sign("between", { extensions: "basicConstraints=critical,CA:TRUE" });
    expect(problems({ ...paths, clientCa: between.cert })).toEqual([
      {
        ...{ file: between.cert, path: "" },
        message:
          '"CN=between" is signed by "CN=ca", which is not in it: clients that it signs for are refused until that one is there',
      },
    ]);
    // One of a name that is empty, as where the alternative names say it all.
    const nameless = made.sign("nameless", { subject: "/" });
    expect(problems({ ...paths, clientCa: nameless.cert })).toMatchObject([
      { message: expect.stringMatching(/^"" is signed by "CN=ca", which is not in it: /) as never },
    ]);
    writeFileSync(text, [between.cert, made.trust].map((file) => readFileSync(file)).join(""));
    expect(problems({ ...paths, clientCa: text })).toEqual([]);
    expect(problems({ ...old, clientCa: undefined })).toEqual([
      {
        ...{ file: old.cert, path: "" },
        message: expect.stringMatching(
          /^the certificate has expired at .+, by the clock here: callers refuse it$/,
        ) as never,
      },
    ]);
  });
});

describe("TLS of a server that serves", () => {
  test("is what is shown, from the next reading on; taken back, it is none", async () => {
    const made = certificatesIn(mkdtempSync(join(dir, "shown-")));
    const encryption = new Encryption();
    expect([encryption.load(), encryption.use(undefined), encryption.tls]).toEqual([
      ...[undefined, undefined, undefined],
    ]);
    chmodSync(made.server.key, 0o600);
    const paths = { ...made.server, clientCa: made.trust };
    await encryption.show(paths);
    expect(encryption.tls).toEqual(paths);
    const secure = encryption.use(encryption.load());
    expect([secure !== undefined, encryption.secure === secure]).toEqual([true, true]);
    // The same goes on, with what was read anew.
    expect(encryption.use(encryption.load())).toBe(secure as never);
    expect(encryption.use(undefined)).toBe(secure as never);
    await encryption.show({ cert: "c", key: "k", clientCa: undefined });
    expect(encryption.tls).toEqual({ cert: resolve("c"), key: resolve("k"), clientCa: undefined });
    expect(encryption.load).toThrow(ConfigError);
    await encryption.show(undefined);
    expect([encryption.load(), encryption.use(undefined), encryption.secure]).toEqual([
      ...[undefined, undefined, undefined],
    ]);
  });
});

describe("a permission service", () => {
  const permissions = new Permissions(() => {});
  afterEach(() => permissions.use(undefined));

  test("is asked as long as there is one; the same goes on", async () => {
    expect([permissions.asks, permissions.address, permissions.service()]).toEqual([
      ...[false, undefined, undefined],
    ]);
    expect(await permissions.notice()).toBeUndefined();
    const address = { kind: "unix", path: at("none.sock") } as const;
    permissions.use(address);
    const service = permissions.service();
    expect([permissions.asks, permissions.address]).toEqual([true, address] as never);
    permissions.use({ ...address });
    expect(permissions.service()).toBe(service as never);
    expect(await permissions.notice()).toMatch(
      /^notice: --cynagora unix:.*none\.sock: the permission service cannot be reached now: .+; until it can, what needs it is refused$/,
    );
    permissions.use({ ...address, path: at("other.sock") });
    expect(permissions.service()).not.toBe(service as never);
    permissions.use(undefined);
    expect([permissions.asks, permissions.address]).toEqual([false, undefined]);
    permissions.close();
  });

  test("is left where another is asked, or none", async () => {
    const names = ["first", "second", "third"];
    const [first, second, third] = await Promise.all(
      names.map((name) => new Cynagora().listen(at(`${name}.cynagora`))),
    );
    const ask = async (name: string) => {
      permissions.use({ kind: "unix", path: at(`${name}.cynagora`) });
      expect(await permissions.notice()).toBeUndefined();
    };
    try {
      await ask("first");
      expect(first?.sockets.size).toBe(1);
      await ask("second");
      while (first?.sockets.size !== 0) await turn();
      permissions.use(undefined);
      while (second?.sockets.size !== 0) await turn();
      await ask("third");
      permissions.close();
      while (third?.sockets.size !== 0) await turn();
    } finally {
      for (const one of [first, second, third]) await one?.close();
    }
  });
});

describe("reloads", () => {
  test("come one after the other, and those of one who has it alone within its turn", async () => {
    const order: string[] = [];
    const gate = Promise.withResolvers<void>();
    const reloads = createReloads<string, string, string>(
      async (known = "read") => {
        order.push(`prepare ${known}`);
        if (known === "bad") throw new ConfigError([{ file: "f", path: "p", message: "m" }]);
        if (known === "bug") throw new RangeError("bug");
        if (known === "text") throw "a text";
        return known;
      },
      (prepared) => {
        order.push(`replace ${prepared}`);
        return prepared.toUpperCase();
      },
    );
    const alone = reloads.alone(async (own) => {
      await gate.promise;
      return own("first");
    });
    const next = reloads.reload();
    await turn();
    expect(order).toEqual([]);
    gate.resolve();
    expect(await alone).toEqual({ ok: true, problems: [], loaded: "FIRST" });
    expect(await next).toEqual({ ok: true, problems: [], loaded: "READ" });
    expect(order).toEqual(["prepare first", "replace first", "prepare read", "replace read"]);
    expect(await reloads.reload("bad")).toEqual({
      ok: false,
      problems: [{ file: "f", path: "p", message: "m" }],
    });
    const why = async (known: string) => (await reloads.reload(known)).problems;
    expect([await why("bug"), await why("text")]).toEqual([
      [{ file: "", path: "", message: "bug" }],
      [{ file: "", path: "", message: "a text" }],
    ]);
    // Who fails keeps nobody from the next.
    const failing = reloads.alone(() => Promise.reject(new Error("no")));
    const after = reloads.reload("after");
    expect(failing).rejects.toThrow("no");
    expect((await after).loaded).toBe("AFTER");
  });
});
