/** `spawnbox cert`: what others think of what it makes. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import {
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isRoot, programIn } from "../served.ts";

let dir: string;
let program: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "spawnbox-cert-"));
  program = programIn(dir);
});
afterAll(() => rmSync(dir, { recursive: true }));

function run(...argv: string[]) {
  const { exitCode, stdout, stderr } = Bun.spawnSync(argv, { cwd: dir });
  return { code: exitCode, out: stdout.toString(), err: stderr.toString() };
}
const cert = (...argv: string[]) => run(program, "cert", ...argv);
const openssl = (...argv: string[]) => run("openssl", ...argv).out;

test("a server's is valid by the letter, for its names, and its authority's key is nowhere", () => {
  const { code, out, err } = cert("tls", "--name", "boat.example", "--name", "fd00::1:2");
  expect([code, err]).toEqual([0, ""]);
  expect(readdirSync(join(dir, "tls")).sort()).toEqual(["ca.pem", "server.key", "server.pem"]);
  expect(statSync(join(dir, "tls/server.key")).mode & 0o777).toBe(0o600);
  const verified = ["-x509_strict", "-CAfile", "tls/ca.pem", "-purpose", "sslserver"];
  for (const name of ["boat.example", "localhost"])
    expect(openssl("verify", ...verified, "-verify_hostname", name, "tls/server.pem")).toContain(
      "OK",
    );
  for (const ip of ["127.0.0.1", "::1", "fd00::1:2"])
    expect(openssl("verify", ...verified, "-verify_ip", ip, "tls/server.pem")).toContain("OK");
  const elsewhere = ["-verify_hostname", "other.example", "tls/server.pem"];
  expect(run("openssl", "verify", ...verified, ...elsewhere).code).not.toBe(0);
  const purpose = ["-CAfile", "tls/ca.pem", "-purpose", "sslclient", "tls/server.pem"];
  expect(run("openssl", "verify", ...purpose).code).not.toBe(0);
  const fingerprint = openssl("x509", "-in", "tls/ca.pem", "-noout", "-fingerprint", "-sha256");
  expect(out).toContain(fingerprint.split("=")[1]?.trim() ?? "?");
});

test("a host name that can be in no certificate is told, and an address stands in URLs as one", () => {
  const own = ["unshare", ...(isRoot ? [] : ["--user", "--map-root-user"]), "--uts", "sh", "-c"];
  const named = (host: string, ...argv: string[]) =>
    run(
      ...[...own, 'echo "$1" >/proc/sys/kernel/hostname; shift; exec "$@"', "sh", host],
      ...[program, "cert", ...argv],
    );
  const { code, out, err } = named("my_board", "odd", "--name", "fd00::7");
  expect([code, err]).toEqual([
    0,
    'notice: the host name "my_board" can be in no certificate: say what callers call the board by --name\n',
  ]);
  expect(out).toContain("\n  fd00::7, localhost, 127.0.0.1, ::1\n");
  expect(out).toContain("curl --cacert ca.pem https://[fd00::7]:1234/\n");
  const usual = named("my-board", "usual");
  expect(usual.err).toBe("");
  expect(usual.out).toContain("\n  my-board, my-board.local, localhost, 127.0.0.1, ::1\n");
  const zone = cert("zone", "--name", "fe80::1%eth0");
  expect([zone.code, zone.err]).toEqual([2, expect.stringContaining("expected a name such as")]);
});

test("clients have an authority of their own, which signs further ones", () => {
  expect(cert("clients", "--client", "tablet").out).toContain('{"certificate":"CN:tablet"');
  const authority = readFileSync(join(dir, "clients/client-ca.pem"), "utf8");
  expect(cert("clients", "--client", "phone", "--days", "7000").code).toBe(0);
  expect(readFileSync(join(dir, "clients/client-ca.pem"), "utf8")).toBe(authority);
  for (const name of ["tablet", "phone"]) {
    const how = ["-x509_strict", "-CAfile", "clients/client-ca.pem", "-purpose", "sslclient"];
    expect(openssl("verify", ...how, `clients/${name}.pem`)).toContain("OK");
    expect(openssl("x509", "-in", `clients/${name}.pem`, "-noout", "-subject")).toContain(
      `CN = ${name}`,
    );
    expect(statSync(join(dir, `clients/${name}.key`)).mode & 0o777).toBe(0o600);
  }
  expect(statSync(join(dir, "clients/client-ca.key")).mode & 0o777).toBe(0o600);
});

test("an authority of somebody else's making signs by its whole name", () => {
  run("mkdir", "-p", "own");
  openssl(
    ...["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"],
    ...["-keyout", "own/client-ca.key", "-out", "own/client-ca.pem"],
    ...["-subj", "/C=DE/O=Yard/CN=fleet", "-days", "9"],
  );
  expect(cert("own", "--client", "tablet").code).toBe(0);
  const how = ["-CAfile", "own/client-ca.pem", "-purpose", "sslclient", "own/tablet.pem"];
  expect(openssl("verify", ...how)).toContain("OK");
  openssl("genrsa", "-out", "own/client-ca.key");
  expect(cert("own", "--client", "phone")).toMatchObject({ code: 1 });
});

describe("what is there", () => {
  test("stays, unless --renew says otherwise", () => {
    expect(cert("kept").code).toBe(0);
    const before = readFileSync(join(dir, "kept/server.pem"), "utf8");
    const again = cert("kept");
    expect(again.code).toBe(1);
    expect(again.err).toContain("--renew");
    expect(readFileSync(join(dir, "kept/server.pem"), "utf8")).toBe(before);
    expect(cert("kept", "--renew").code).toBe(0);
    expect(readFileSync(join(dir, "kept/server.pem"), "utf8")).not.toBe(before);
  });

  test("[protection] a link that somebody has put there is not written through", () => {
    run("mkdir", "-p", "linked");
    writeFileSync(join(dir, "victim"), "kept");
    symlinkSync(join(dir, "victim"), join(dir, "linked/server.key.new"));
    symlinkSync(join(dir, "victim"), join(dir, "linked/ca.pem.new"));
    expect(cert("linked").code).toBe(0);
    expect(readFileSync(join(dir, "victim"), "utf8")).toBe("kept");
    expect(statSync(join(dir, "linked/server.key")).mode & 0o777).toBe(0o600);
  });
});

test("wrong usage", () => {
  for (const argv of [
    [],
    ["a", "b"],
    ["a", "--name", ""],
    ["a", "--name", "10.0.0.300"],
    ["a", "--name", "*.example"],
    ["a", "--name", "x\ny"],
    ["a", "--days", "0"],
    ["a", "--days", "9999"],
    ["a", "--client", "../x"],
    ["a", "--client", "server"],
    ["a", "--client", "x", "--name", "y"],
  ])
    expect({ argv, ...cert(...argv) }).toMatchObject({ argv, code: 2 });
});
