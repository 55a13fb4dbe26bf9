/** What the command line of `spawnbox serve` means, and what is wrong with it. */
import { describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { doctor } from "../../src/serve/doctor.ts";
import { parseServe, SERVE } from "../../src/serve/options.ts";
import { metricsPrivileges, Metering } from "../../src/serve/metering.ts";
import { MOST_TASKS, roomFor } from "../../src/serve/room.ts";
import { descriptors } from "../../src/launch/supplies.ts";

const parse = (...argv: string[]) => parseServe(["--config", "a.json", ...argv], {});

test("what is not said is as it is by default", () => {
  expect(parse()).toMatchObject({
    sources: [{ kind: "config", path: "a.json" }],
    ...{ early: false, endpoints: [], otherwise: { kind: "tcp", host: "127.0.0.1", port: 1234 } },
    ...{ exports: [], imports: [], mode: 0o660, origins: [], hosts: [], base: "", pages: [] },
    ...{ console: true, mcp: false, concurrency: undefined, audit: undefined, history: undefined },
    ...{ metricsPrivilege: undefined, fleet: undefined, access: undefined, cynagora: undefined },
    ...{ tls: undefined, insecure: false, proxies: undefined },
  });
  expect(parseServe(["--help"], {})).toBeUndefined();
  expect(SERVE["unix-mode"].text).toContain("(default 0660)");
});

test("each is what it says", () => {
  const tcp = (host: string, port: number) => ({ kind: "tcp", host, port }) as const;
  const unix = (path: string, mode = 0o660) => ({ kind: "unix", path, mode }) as const;
  expect(parse("--port", "0")?.endpoints).toEqual([tcp("127.0.0.1", 0)]);
  expect(parse("--port", "65535", "--host", "::1", "--host", "127.0.0.2")?.endpoints).toEqual([
    tcp("::1", 65535),
    tcp("127.0.0.2", 65535),
  ]);
  for (const host of ["::1", "[::1]"])
    expect(parse("--host", host)?.endpoints).toEqual([tcp("::1", 1234)]);
  expect(parse("--unix", "a", "--unix", "b", "--unix-mode", "0600")).toMatchObject({
    ...{ endpoints: [unix("a", 0o600), unix("b", 0o600)], mode: 0o600 },
  });
  expect(parse("--unix", "a", "--port", "7")?.endpoints).toEqual([tcp("127.0.0.1", 7), unix("a")]);
  expect(parse("--port", "7", "--unix", "a")?.otherwise).toEqual(tcp("127.0.0.1", 7));
  expect(parse("--roothttp", "/r", "--alias", "/p:/d", "--alias", "/q/r/:e")?.pages).toEqual([
    { prefix: "/p", path: "/d" },
    { prefix: "/q/r", path: "e" },
    { prefix: "/", path: "/r" },
  ]);
  expect(
    parse(
      "--alias",
      "/metrics/x:/d",
      "--no-console",
      "--mcp",
      "--concurrency",
      "999999",
      "--base",
      "/b",
    ),
  ).toMatchObject({
    ...{
      pages: [{ prefix: "/metrics/x", path: "/d" }],
      console: false,
      mcp: true,
      concurrency: 999_999,
      base: "/b",
    },
  });
  expect(
    parse(
      "--origin",
      "http://o",
      "--name",
      "n",
      "--name",
      "m",
      "--metrics-privilege",
      "",
      "--fleet",
      "f",
      "--access",
      "open",
    ),
  ).toMatchObject({
    ...{
      origins: ["http://o"],
      hosts: ["n", "m"],
      metricsPrivilege: "",
      fleet: "f",
      access: "open",
    },
  });
  expect(
    parse("--tls-cert", "c", "--tls-key", "k", "--tls-client-ca", "a", "--host", "0.0.0.0")?.tls,
  ).toEqual({ cert: "c", key: "k", clientCa: "a" });
  expect(parse("--insecure", "--host", "0.0.0.0", "--trust-proxy", "10.0.0.1")).toMatchObject({
    insecure: true,
  });
  expect(parse("--trust-proxy", "10.0.0.1")?.proxies?.trusts("10.0.0.1")).toBe(true);
  expect(
    parse("--rpc-server", "unix:p?as-api=x", "--ws-server", "unix:q?as-api=y")?.exports,
  ).toHaveLength(2);
  expect(
    parse("--rpc-client", "public:unix:p?import=x", "--ws-client", "public:unix:q/y")?.imports,
  ).toHaveLength(2);
});

test("configs by their places, each by itself, or plans", () => {
  const sources = (argv: string[], env = {}) => parseServe(argv, env)?.sources;
  // What is there under a name with a colon is one, and told so when it is read.
  const dir = mkdtempSync(join(tmpdir(), "spawnbox-options-"));
  try {
    const path = join(dir, "a:b.json");
    writeFileSync(path, "{}");
    expect(sources(["--config", path])).toEqual([{ kind: "config", path }]);
  } finally {
    rmSync(dir, { recursive: true });
  }
  expect(sources(["--config", "a::b:"])).toEqual(
    ["a", "b"].map((path) => ({ kind: "config", path })),
  );
  expect(sources(["--plan", "a:b"])).toEqual([{ kind: "plan", path: "a:b" }]);
  expect(sources([], { AFB_SPAWN_CONFIG: "c" })).toEqual([{ kind: "config", path: "c" }]);
});

test("the audit, and the history", () => {
  expect(parse("--audit", "f")?.audit).toMatchObject({ to: "f" });
  expect(parse("--audit", "f", "--audit-max", "0", "--audit-files", "1")?.audit).toEqual({
    to: "f",
    most: 0,
    count: 1,
  });
  expect(parse("--audit", "f", "--audit-max", "1M")?.audit?.most).toBe(1 << 20);
  const most = (size: string) => parse("--audit", "f", "--audit-max", size)?.audit?.most;
  expect([most("4096"), most("100000000000000"), most("4K")]).toEqual([4096, 1e14, 4096]);
  expect(parse("--audit", "f")?.audit).toEqual({ to: "f", most: 8 << 20, count: 4 });
  expect(parse("--audit", "f", "--audit-files", "999")?.audit?.count).toBe(999);
  expect(parse("--history", "h")?.history?.file).toBe("h");
});

describe("the permission service", () => {
  test("is that of the option, of the environment, or the usual one", () => {
    const service = (argv: string[], env = {}) =>
      parseServe(["--config", "a", ...argv], env)?.cynagora;
    expect(service([])).toBeUndefined();
    expect(service(["--cynagora=unix:/x"])).toEqual({ kind: "unix", path: "/x" });
    expect(service(["--cynagora"], { CYNAGORA_SOCKET_CHECK: "unix:/y" })).toBeDefined();
    expect(service(["--cynagora"])).toBeDefined();
    expect(() => service(["--cynagora=x"])).toThrow(
      "--cynagora x: expected unix:PATH, unix:@NAME or tcp:HOST:PORT",
    );
  });
});

test.each([
  ["*", "*"],
  ["Panel.Example", "panel.example"],
  ["b\u00fccher.example", "xn--bcher-kva.example"],
  ["under_score", "under_score"],
  ["10.0.0.1", "10.0.0.1"],
  ["FD00:0::1", "[fd00::1]"],
  ["[fd00::1]", "[fd00::1]"],
])("--name %s is how a Host header says it: %s", (given, expected) => {
  expect(parse("--name", given)?.hosts).toEqual([expected]);
});

test.each([
  ["*", "*"],
  ["null", "null"],
  ["https://Panel.Example/", "https://panel.example"],
  ["HTTPS://a:443", "https://a"],
  ["http://a:443/", "http://a:443"],
  ["http://[::1]:80/", "http://[::1]"],
  ["https://b\u00fccher.example", "https://xn--bcher-kva.example"],
  ["chrome-extension://abc/", "chrome-extension://abc"],
  ["Capacitor://localhost", "capacitor://localhost"],
  // As Chromium says it of WebSockets of local pages, and others of what a program brings along.
  ["file://", "file://"],
  ["file:///", "file://"],
  ["QRC://", "qrc://"],
])("--origin %s is how an Origin header says it: %s", (given, expected) => {
  expect(parse("--origin", given)?.origins).toEqual([expected]);
});

test.each(["localhost", "Board.local", "b\u00fccher", "a_b.", "fe80::1%eth0", "1.2.3.4"])(
  "--host %s",
  (host) => {
    expect(parse("--host", host, "--insecure")?.endpoints).toMatchObject([{ host }]);
  },
);

test.each<[string[], string]>([
  [["--port", "65536"], "--port 65536: expected a number from 0 to 65535"],
  [["--port", "-1"], ""],
  [["--port", "x"], "--port x: expected a number from 0 to 65535"],
  [["--port", "000001"], "--port 000001: expected"],
  [["--host="], "--host: expected an address"],
  [["--host", "[]"], "--host: expected an address"],
  ...["127.0.0.1:80", "http://localhost", "a/b", "a b", "[::1]:80", "-a", "::x"].map(
    (host): [string[], string] => [
      [`--host=${host}`],
      `--host ${host}: expected an address or a name alone; --port has the port`,
    ],
  ),
  [["--host", "*"], "--host *: expected 0.0.0.0 for all addresses, or :: for those of IPv6 too"],
  ...["", "a:80", "http://a", "a/", "a b", "[::1", "300.1.1.1", "*.a"].map(
    (name): [string[], string] => [
      [`--name=${name}`],
      `--name ${name}: expected a name or an address alone, such as panel.example.com; or *`,
    ],
  ),
  ...[
    "",
    "a",
    "a:80",
    "https://",
    "https://a/b",
    "https://a/?b",
    "https://u@a",
    "//a",
    "https://a b",
    "https://*",
    "https://*.a",
    "https://%2a.a",
    "app://a;b",
    "app://a,b",
    "qrc:",
  ].map((origin): [string[], string] => [
    [`--origin=${origin}`],
    `--origin ${origin}: expected where pages come from, without a path`,
  ]),
  [["--unix="], "--unix: expected a path"],
  [["--unix", "unix:///run/x"], "--unix unix:///run/x: expected a path, without unix:"],
  [["--unix", "@x"], "--unix @x: expected a path, whose mode says who may connect: ./@x is a file"],
  [["--unix-mode", "888"], "--unix-mode 888: expected an octal mode such as 0660"],
  [["--unix-mode", "66"], "--unix-mode 66: expected"],
  [["--unix-mode", "10660"], "--unix-mode 10660: expected"],
  [["--concurrency", "0"], "--concurrency 0: expected a number of tasks, from 1 to 999999"],
  [["--concurrency", "1000000"], "--concurrency 1000000: expected"],
  [["--roothttp="], "--roothttp: expected a directory"],
  [["--alias", "p:/d"], "--alias p:/d: expected /PREFIX:DIR"],
  [["--alias", "/p:"], "--alias /p:: expected /PREFIX:DIR"],
  [["--alias", "/:/d"], "expected /PREFIX:DIR"],
  [["--alias", "/..:/d"], "expected /PREFIX:DIR"],
  [["--alias", "/api:/d"], "--alias /api:/d: /api is where the verbs are"],
  [["--alias", "/api/x:/d"], "/api is where the verbs are"],
  ...["healthz", "readyz", "metrics"].map((name): [string[], string] => [
    ["--alias", `/${name}:/d`],
    `--alias /${name}:/d: /${name} is what the server says of itself`,
  ]),
  [["--base", "x"], "--base x: "],
  [["--host", "0.0.0.0"], "--host 0.0.0.0 is reached by other machines, and without TLS"],
  [["--rpc-server", "tcp:0.0.0.0:1/x"], "is reached by other machines"],
  [["--tls-cert="], "--tls-…: expected a file"],
  [["--tls-cert", "c"], "--tls-cert and --tls-key go together"],
  [["--tls-key", "k"], "--tls-cert and --tls-key go together"],
  [["--tls-client-ca", "a"], "--tls-client-ca: only TLS shows certificates"],
  [["--trust-proxy", "x"], "--trust-proxy x: expected an address, or a network"],
  [["--access="], "--access: expected a file, none, or open"],
  [["--fleet="], "--fleet: expected a file, or none"],
  [["--history="], "--history: expected a file"],
  [["--history-max", "1M"], "--history-max is for --history FILE"],
  [["--audit="], "--audit: expected a file, stderr, journal or syslog"],
  [["--audit", "d/"], "--audit: expected a file, stderr, journal or syslog"],
  [["--audit-max", "1M"], "--audit-max is for --audit FILE"],
  [["--audit-files", "2"], "--audit-files is for --audit FILE"],
  [["--audit", "f", "--audit-files", "1000"], "--audit-files 1000: expected a number of files"],
  [["--audit", "f", "--audit-max", "4095"], "--audit-max 4095: expected a size such as"],
  [["--audit", "f", "--audit-max", "1"], "--audit-max 1: expected a size such as"],
  [["--audit", "f", "--audit-max", "x"], "--audit-max x: expected a size such as"],
  [
    ["--audit", "f", "--audit-max", "1234567890123456"],
    "--audit-max 1234567890123456: expected a size",
  ],
  [
    ["--audit", "f", "--audit-files", "0"],
    "--audit-files 0: expected a number of files, from 1 to ",
  ],
  [["--audit", "f", "--audit-files", "x"], "--audit-files x: expected a number of files"],
])("%j is wrong", (argv, words) => {
  expect(() => parse(...argv)).toThrow(TypeError);
  expect(() => parse(...argv)).toThrow(words);
});
test("words that stand for no file", () => {
  expect([SERVE.audit.words, SERVE.access.words, SERVE.fleet.words]).toEqual([
    ["stderr", "journal", "syslog"],
    ["none", "open"],
    ["none"],
  ]);
});

test("nothing to serve, or both kinds, is wrong", () => {
  expect(() => parseServe([], {})).toThrow(
    "no config: give --config PATH, or set AFB_SPAWN_CONFIG",
  );
  expect(() => parse("--plan", "p")).toThrow("give either configs or --plan FILE, not both");
});

test("who may read the metrics: as it is said, or those who were granted it where somebody says who may call", () => {
  const privilege = metricsPrivileges(undefined, true);
  expect(privilege).toHaveLength(1);
  expect([
    metricsPrivileges(undefined, false),
    metricsPrivileges("", true),
    metricsPrivileges("p", false),
  ]).toEqual([[], [], ["p"]]);
  const metering = new Metering();
  expect(metering.reloads).toEqual({ done: 0, failed: 0, isGood: true });
  metering.reloaded(true);
  metering.reloaded(false);
  metering.reloaded(false);
  expect(metering.reloads).toEqual({ done: 1, failed: 2, isGood: false });
});

test("how much is taken on at a time: as it is said, or what there is room for, and connections by descriptors", () => {
  expect(roomFor(7, 1).words).toStartWith("at most 7 tasks at a time");
  const own = /^at most (\d+) tasks at a time/.exec(roomFor(undefined, 1).words)?.[1];
  expect(Number(own)).toBeWithin(1, MOST_TASKS + 1);
  if (Number(own) === MOST_TASKS) expect(roomFor(undefined, 1).words).not.toContain("room for");
  const total = descriptors().total;
  for (const endpoints of [1, 3, 1000, 100_000_000])
    expect(roomFor(1, endpoints).connections).toBe(
      Math.max(4, Math.min(512, Math.floor((total * 0.2) / endpoints))),
    );
});

test("what this machine can do is told as JSON that a person reads, and kept for a while", async () => {
  const text = await doctor();
  const told: unknown = JSON.parse(text);
  expect(text).toBe(JSON.stringify(told, null, 2));
  expect(told).toMatchObject({
    features: expect.arrayContaining([
      expect.objectContaining({ name: expect.any(String), ok: expect.any(Boolean) }),
    ]),
  });
  expect(doctor()).toBe(doctor());
});
