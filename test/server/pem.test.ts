/** Files of certificates and keys as editors, other systems and `cat` leave them: all that is in them counts, or it is told why not. */
import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { certificatesOf, keyOf } from "../../src/server/pem.ts";
import { certificatesIn } from "../rpc/certificates.ts";

const dir = mkdtempSync(join(tmpdir(), "spawnbox-pem-"));
afterAll(() => rmSync(dir, { recursive: true }));
const { server, client } = certificatesIn(dir);
const [one, other] = [server.cert, client.cert].map((file) => readFileSync(file, "utf8"));
if (one === undefined || other === undefined) throw new Error("there are no certificates");
const key = readFileSync(server.key, "utf8");
const of = (text: string): string => certificatesOf(Buffer.from(text)).toString();
const openssl = (...args: readonly string[]): Buffer => {
  const { exitCode, stdout, stderr } = Bun.spawnSync(["openssl", ...args]);
  if (exitCode !== 0) throw new Error(stderr.toString());
  return Buffer.from(stdout);
};

test.each([
  ["as it is", one + other],
  ["a byte order mark", `\ufeff${one}${other}`],
  ["files put together without a line end between them", one.trim() + other.trim()],
  ["line ends of Windows", (one + other).replaceAll("\n", "\r\n")],
  ["line ends of old Macs", (one + other).replaceAll("\n", "\r")],
  ["indented, as in YAML", `  ${(one + other).replaceAll("\n", "\n  ")}`],
  ["texts around them", `Schlüssel\n${one}\n# second\n${other}\nend\n`],
  ["beside a key", one + key + other],
  ["each in one line", `${one.replaceAll("\n", "")}\n${other.replaceAll("\n", "")}`],
])("[protection] each certificate counts: %s", (_, text) => {
  expect(of(text)).toBe(one + other);
});

test("[protection] what is cut short or broken is told, and not left out", () => {
  const cut = other.slice(0, 200);
  for (const text of [one + cut, cut + one])
    expect(() => of(text)).toThrow(
      'what begins with "-----BEGIN CERTIFICATE-----" has no end: it is cut short',
    );
  for (const text of [one + other.replace("MII", "M!I"), one + other.replace("MII", "AAA")])
    expect(() => of(text)).toThrow(/^certificate 2 in it cannot be read: ./);
  expect(() => of(`-----BEGIN ${"X".repeat(200)}`)).toThrow(
    `what begins with "-----BEGIN ${"X".repeat(40)}" has no end`,
  );
  const told = 'what begins with "-----BEGIN PRIVATE KEY-----" has no end: it is cut short';
  expect(() => keyOf(Buffer.from("-----BEGIN PRIVATE KEY-----c2VjcmV0"))).toThrow(new Error(told));
});

test("[protection] a certificate that says what it is trusted for is told, since the runtime believes none of these", () => {
  const trusted = openssl("x509", "-in", server.cert, "-trustout", "-addreject", "clientAuth");
  expect(() => of(`${one}${trusted.toString()}`)).toThrow(
    /^certificate 2 in it is a TRUSTED CERTIFICATE, .*by openssl x509 -in FILE -out PLAIN$/,
  );
  expect(of(one.replaceAll(" CERTIFICATE", " X509 CERTIFICATE"))).toContain("BEGIN X509 CERT");
});

test("what is in it instead", () => {
  for (const text of ["", "text", key, `\ufeff${key}`, "-----BEGIN A-----\n-----END A-----"])
    expect(() => of(text)).toThrow(/^there is no certificate \(PEM\) in it$/);
  expect(() => keyOf(Buffer.from(one))).toThrow(/^there is no private key \(PEM\) in it$/);
  expect(() => certificatesOf(openssl("x509", "-in", server.cert, "-outform", "der"))).toThrow(
    "there is no certificate (PEM) in it: it is DER or PKCS #12, of which openssl x509 or openssl pkcs12 makes PEM",
  );
  expect(() => keyOf(openssl("pkey", "-in", server.key, "-outform", "der"))).toThrow(
    "there is no private key (PEM) in it: it is DER or PKCS #12, of which openssl pkey or",
  );
});

test("a key, whatever stands before it", () => {
  const curve = openssl("ecparam", "-name", "prime256v1").toString();
  expect(curve).toContain("-----BEGIN EC PARAMETERS-----");
  for (const text of [key, `\ufeff${key}`, curve + key, one + key, key.replaceAll("\n", "\r\n")])
    expect(keyOf(Buffer.from(text)).toString()).toBe(key);
});

test.each([
  ["PKCS #8", ["pkcs8", "-topk8", "-in", server.key, "-passout", "pass:x"]],
  ["as before it", ["ec", "-in", server.key, "-aes256", "-passout", "pass:x"]],
])("a passphrase is told as that: %s", (_, args) => {
  expect(() => keyOf(openssl(...args))).toThrow(
    "the key has a passphrase, which nobody is there to type: write it without one, by openssl pkey",
  );
});
