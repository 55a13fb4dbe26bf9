/** `spawnbox cert` in the suite's own process: what is in its certificates, and each of its bounds. */
import { afterAll, afterEach, beforeAll, describe, expect, setSystemTime, test } from "bun:test";
import { X509Certificate } from "node:crypto";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { run } from "../../src/cli/cert.ts";
import { saidBy, wrongOf } from "./saying.ts";

let dir: string;
beforeAll(() => (dir = mkdtempSync(join(tmpdir(), "spawnbox-certificates-"))));
afterAll(() => rmSync(dir, { recursive: true }));
afterEach(() => void setSystemTime());

const DAY = 86_400_000;
const cert = (name: string, ...argv: readonly string[]) => saidBy(run, join(dir, name), ...argv);
const wrong = (...argv: readonly string[]) => wrongOf(run, ...argv);
const read = (file: string) => new X509Certificate(readFileSync(join(dir, file)));
const modeOf = (file: string) => statSync(join(dir, file)).mode & 0o777;
/** Its days, of which the first lies before. */
const daysOf = ({ validFrom, validTo }: X509Certificate) =>
  (Date.parse(validTo) - Date.parse(validFrom)) / DAY;
/** As this machine calls itself, where that is a name of the network. */
const host = hostname().toLowerCase();
const own = /^[a-z0-9.-]+$/.test(host)
  ? [...new Set([host, `${host.replace(/\..*/, "")}.local`])]
  : [];
const [first = "boat.example"] = own;

describe("a server's", () => {
  test("has each of its names once, its dates and its modes, and says where it is", async () => {
    setSystemTime(new Date("2030-05-06T12:00:00Z"));
    const names = ["boat.example", "localhost", "boat.example", "192.168.1.10", "fd00::1"];
    const { code, out, err } = await cert("tls/deep", ...names.flatMap((one) => ["--name", one]));
    expect([code, err]).toEqual([0, ""]);
    const server = read("tls/deep/server.pem");
    const all = new Set([
      ...own,
      "boat.example",
      "localhost",
      "192.168.1.10",
      "fd00::1",
      "127.0.0.1",
      "::1",
    ]);
    expect(out.split("\n")[1]).toBe(`  ${[...all].join(", ")}`);
    const alternative = new Set([
      ...own.map((one) => `DNS:${one}`),
      ...["DNS:boat.example", "DNS:localhost", "IP Address:192.168.1.10"],
      ...["IP Address:FD00:0:0:0:0:0:0:1", "IP Address:127.0.0.1"],
      "IP Address:0:0:0:0:0:0:0:1",
    ]);
    expect(server.subjectAltName?.split(", ")).toEqual([...alternative]);
    expect(Date.parse(server.validFrom)).toBe(Date.UTC(2030, 4, 5, 12));
    expect(daysOf(server)).toBe(825);
    expect(read("tls/deep/ca.pem").subject).toBe(`CN=spawnbox on ${first}`.slice(0, 3 + 64));
    const modes = ["", "/server.key", "/server.pem", "/ca.pem"];
    expect(modes.map((one) => modeOf(`tls/deep${one}`))).toEqual([0o755, 0o600, 0o644, 0o644]);
    const head = `made ${join(dir, "tls/deep/server.pem")} and ${join(dir, "tls/deep/server.key")}, for 825 days, as`;
    expect(out.split("\n")[0]).toBe(head);
    expect(out).toContain(`https://${first}:1234/`);
  });
  test("is not put in the place of one that is there, nor of a part of it", async () => {
    expect((await cert("parts")).code).toBe(0);
    for (const part of ["ca.pem", "server.pem", "server.key"]) {
      const others = ["ca.pem", "server.pem", "server.key"].filter((one) => one !== part);
      for (const one of others) rmSync(join(dir, "parts", one));
      expect(await cert("parts")).toEqual({
        ...{ code: 1, out: "" },
        err: `spawnbox cert: ${join(dir, "parts", part)} is there already: --renew puts another in its place; who believes the old one has to be told`,
      });
      expect(readdirSync(join(dir, "parts"))).toEqual([part]);
      expect((await cert("parts", "--renew")).code).toBe(0);
    }
  });
});

describe("a client's", () => {
  test("is its name's, of the authority that is there, or of a new one", async () => {
    setSystemTime(new Date("2030-05-06T12:00:00Z"));
    const { code, out } = await cert("clients", "--client", "a.B_c-9", "--days", "3");
    expect([code, out.split("\n")[0]]).toEqual([
      0,
      `made ${join(dir, "clients/a.B_c-9.pem")} and ${join(dir, "clients/a.B_c-9.key")}, for 3 days: hand both to the client, and keep ${join(dir, "clients/client-ca.key")}`,
    ]);
    const client = read("clients/a.B_c-9.pem");
    expect([client.subject, daysOf(client)]).toEqual(["CN=a.B_c-9", 3]);
    expect(Date.parse(client.validFrom)).toBe(Date.UTC(2030, 4, 5, 12));
    const authority = read("clients/client-ca.pem");
    expect(authority.subject).toBe(`CN=spawnbox clients of ${hostname()}`.slice(0, 3 + 64));
    expect(client.checkIssued(authority)).toBe(true);
    const files = ["a.B_c-9.key", "a.B_c-9.pem", "client-ca.key", "client-ca.pem"];
    expect(readdirSync(join(dir, "clients")).toSorted()).toEqual(files);
    expect(files.map((file) => modeOf(`clients/${file}`))).toEqual([0o600, 0o644, 0o600, 0o644]);
    // Without its key, an authority cannot sign.
    for (const gone of ["client-ca.key", "client-ca.pem"]) {
      rmSync(join(dir, "clients", gone));
      expect((await cert("clients", "--client", "a.B_c-9", "--renew")).code).toBe(0);
      expect(read("clients/a.B_c-9.pem").checkIssued(read("clients/client-ca.pem"))).toBe(true);
      expect(read("clients/a.B_c-9.pem").verify(read("clients/client-ca.pem").publicKey)).toBe(
        true,
      );
    }
  });
  test("stays, the certificate or its key, unless it is to be renewed", async () => {
    expect((await cert("kept", "--client", "c")).code).toBe(0);
    const before = read("kept/c.pem").fingerprint256;
    for (const part of ["c.key", "c.pem"]) {
      expect(await cert("kept", "--client", "c")).toMatchObject({ code: 1, out: "" });
      rmSync(join(dir, "kept", part === "c.key" ? "c.pem" : "c.key"));
      expect((await cert("kept", "--client", "c")).err).toStartWith(
        `spawnbox cert: ${join(dir, "kept", part)} is there already: --renew`,
      );
      expect((await cert("kept", "--client", "c", "--renew")).code).toBe(0);
    }
    expect(read("kept/c.pem").fingerprint256).not.toBe(before);
    expect((await cert("kept", "--client", "d")).code).toBe(0);
  });
});

test.each([
  [[], "say which directory: DIR"],
  [[""], "say which directory: DIR"],
  [["a", "b"], "say which directory: DIR"],
  ...["0", "7300", "9999", "01", "12345", "x", "1.5", ""].map(
    (days) => [["a", `--days=${days}`], `--days ${days}: expected days, from 1 to 7299`] as const,
  ),
  ...["../x", "", ".x", "a b", "a".repeat(65)].map(
    (name) =>
      [
        ["a", `--client=${name}`],
        `--client ${name}: expected letters, digits and . _ -, at most 64`,
      ] as const,
  ),
  ...["ca", "client-ca", "server"].map(
    (name) =>
      [["a", "--client", name], `--client ${name}: the files of this name are others`] as const,
  ),
  [["a", "--client", "x", "--name", "y"], "--name is for the server"],
  ...[
    "10.0.0.300",
    "*.example",
    "a..b",
    "-a",
    "a-",
    `${"a".repeat(64)}.b`,
    "a".repeat(63).concat(".").repeat(4),
  ].map(
    (name) =>
      [
        ["a", `--name=${name}`],
        `--name ${name}: expected a name such as boat.example, or an address`,
      ] as const,
  ),
])("wrong usage: %p", async (argv, why) => {
  const place = argv[0] === "a" ? [join(dir, "wrong"), ...argv.slice(1)] : argv;
  expect(await wrong(...place)).toBe(`spawnbox cert: ${why}`);
  expect(existsSync(join(dir, "wrong"))).toBe(false);
});

test("as long as it may be", async () => {
  // 253 characters, each part of which has 63 at most.
  const longest = `${"a".repeat(63)}.`.repeat(3) + "b".repeat(61);
  expect(longest).toHaveLength(253);
  expect((await cert("long", "--name", longest, "--days", "7299")).code).toBe(0);
  expect(daysOf(read("long/server.pem"))).toBe(7299);
  expect(await wrong(join(dir, "longer"), "--name", `${longest}c`)).toContain("expected a name");
  expect((await cert("long", "--client", "a".repeat(64), "--days", "1")).code).toBe(0);
});

test("a clock that was never set makes no certificate", async () => {
  setSystemTime(new Date("2024-12-31T23:59:59.999Z"));
  expect(await cert("clock")).toEqual({
    ...{ code: 1, out: "" },
    err: "spawnbox cert: the clock says 2024-12-31T23:59:59.999Z: set it first, since a certificate has dates",
  });
  expect(existsSync(join(dir, "clock"))).toBe(false);
  setSystemTime(new Date("2025-01-01T00:00:00Z"));
  expect((await cert("clock")).code).toBe(0);
});
