import { expect, test } from "bun:test";
import { createHash, createPublicKey, generateKeyPairSync, X509Certificate } from "node:crypto";
import { authorityOf, makeAuthority, makeClient, makeServer } from "../../src/access/authority.ts";

const from = new Date("2030-01-02T03:04:05.678Z");
const authority = makeAuthority("mine", from);
const read = (cert: string) => new X509Certificate(cert);

test("an authority says that it is one, and signs what is made by it", () => {
  const own = read(authority.cert);
  expect(own.ca).toBe(true);
  expect(own.checkIssued(own)).toBe(true);
  for (const { cert } of [
    makeServer(authority, ["a.example", "10.0.0.1", "::ffff:1.2.3.4", "fe80::1"], {
      from,
      days: 1,
    }),
    makeClient(authority, "op1", { from, days: 1 }),
  ]) {
    const made = read(cert);
    expect(made.ca).toBe(false);
    expect(made.checkIssued(own)).toBe(true);
    expect(made.verify(createPublicKey(authority.cert))).toBe(true);
  }
});

test("names, and what each is for, are in its extensions", () => {
  const names = ["a.example", "10.0.0.1", "fe80::1"];
  const server = read(makeServer(authority, names, { from, days: 1 }).cert);
  expect(server.subject).toBe("CN=a.example");
  expect(server.subjectAltName).toBe(
    "DNS:a.example, IP Address:10.0.0.1, IP Address:FE80:0:0:0:0:0:0:1",
  );
  expect(server.keyUsage).toEqual(["1.3.6.1.5.5.7.3.1"]);
  expect(server.checkHost("a.example")).toBe("a.example");
  expect(server.checkIP("10.0.0.1")).toBe("10.0.0.1");
  const client = read(makeClient(authority, "op1", { from, days: 1 }).cert);
  expect(client.subject).toBe("CN=op1");
  expect(client.subjectAltName).toBeUndefined();
  expect(client.keyUsage).toEqual(["1.3.6.1.5.5.7.3.2"]);
});

test("times are those that were asked for, before 2050 and from then on", () => {
  const day = 86_400_000;
  for (const begin of ["2030-01-02T03:04:05Z", "2049-12-31T23:59:59Z", "2050-01-01T00:00:00Z"]) {
    const made = makeClient(authority, "x", { from: new Date(begin), days: 400 });
    const { validFromDate, validToDate, raw } = read(made.cert);
    expect(validFromDate.toISOString()).toBe(begin.replace("Z", ".000Z"));
    expect(validToDate.getTime()).toBe(Date.parse(begin) + 400 * day);
    // RFC 5280, section 4.1.2.5: two digits of the year before 2050, and four from then on, in another type.
    for (const date of [validFromDate, validToDate]) {
      const digits = date
        .toISOString()
        .replace(/\.\d+Z$/, "Z")
        .replace(/[-:T]/g, "");
      const isLate = date.getUTCFullYear() >= 2050;
      const told = isLate ? `\x18\x0f${digits}` : `\x17\x0d${digits.slice(2)}`;
      expect(raw.includes(told)).toBe(true);
    }
  }
  // Twenty years.
  expect(read(authority.cert).validToDate.getTime() - from.getTime()).toBeWithin(
    20 * 365 * day - 1000,
    20 * 365 * day + 1,
  );
});

test("what an authority may, in the bytes of RFC 5280; what it signs may less", () => {
  // basicConstraints, critical: CA, and no further authorities; keyUsage: keyCertSign and cRLSign.
  const constraints = Buffer.from("30120603551d130101ff040830060101ff020100", "hex");
  const usage = Buffer.from("300e0603551d0f0101ff040403020106", "hex");
  const { raw } = read(authority.cert);
  expect([raw.includes(constraints), raw.includes(usage)]).toEqual([true, true]);
  const client = read(makeClient(authority, "x", { from, days: 1 }).cert).raw;
  // No authority; digitalSignature.
  const none = Buffer.from("300c0603551d130101ff04023000", "hex");
  const signs = Buffer.from("300e0603551d0f0101ff040403020780", "hex");
  expect([client.includes(none), client.includes(signs)]).toEqual([true, true]);
  // Each key by its hash, and who has signed by its own.
  const keyOf = (cert: string) => {
    const key = createPublicKey(cert).export({ type: "spki", format: "der" });
    return createHash("sha1").update(key.subarray(-65)).digest();
  };
  const id = (name: string, inner: string, key: Buffer) =>
    Buffer.concat([Buffer.from(`0603551d${name}04${inner}`, "hex"), key]);
  const made = makeClient(authority, "x", { from, days: 1 }).cert;
  for (const [cert, bytes] of [
    [authority.cert, id("0e", "160414", keyOf(authority.cert))],
    [made, id("0e", "160414", keyOf(made))],
    [made, id("23", "1830168014", keyOf(authority.cert))],
  ] as const)
    expect(read(cert).raw.includes(bytes)).toBe(true);
});

test("the CN of a server is its first name that is short enough", () => {
  const of = (...names: string[]) => read(makeServer(authority, names, { from, days: 1 }).cert);
  const [fits, long] = ["a".repeat(64), "b".repeat(65)];
  expect(of(long, fits).subject).toBe(`CN=${fits}`);
  expect(of(long).subject ?? "").toBe("");
  expect(of(long).subjectAltName).toBe(`DNS:${long}`);
});

test("a key of another curve is none", () => {
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-384" });
  const key = String(privateKey.export({ type: "pkcs8", format: "pem" }));
  expect(() => authorityOf({ cert: authority.cert, key })).toThrow(
    "the key is not of this certificate",
  );
  // Of an authority that somebody else has made.
  const { stdout } = Bun.spawnSync([
    ...["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-384"],
    ...["-nodes", "-subj", "/CN=x", "-days", "2", "-keyout", "-", "-out", "-"],
  ]);
  const pem = (what: string): string =>
    new RegExp(`-----BEGIN ${what}-----[^]*-----END ${what}-----`).exec(stdout.toString())?.[0] ??
    "";
  expect(() => authorityOf({ cert: pem("CERTIFICATE"), key: pem("PRIVATE KEY") })).toThrow(
    "the key is none of P-256, as spawnbox cert makes them",
  );
});

test.each([
  ...["10.0.0.1", "255.255.255.255", "0.0.0.0", "::", "::1", "1::", "fe80::1:2", "1:0:0:2::3"],
  ...["1:2:3:4:5:6:7:8", "::ffff:1.2.3.4", "2001:db8::", "1::8"],
])("the address %s is in its bytes", (address) => {
  const made = read(makeServer(authority, [address], { from, days: 1 }).cert);
  expect(made.checkIP(address)).toBe(address);
  expect(made.subjectAltName).toMatch(/^IP Address:[^,]*$/);
});

test("no two have the same number, and each is positive", () => {
  const serials = Array.from({ length: 20 }, () =>
    read(makeClient(authority, "x", { from, days: 1 }).cert).serialNumber.padStart(32, "0"),
  );
  expect(new Set(serials).size).toBe(20);
  for (const serial of serials) expect(serial).toMatch(/^[4-7][0-9A-F]{31}$/);
});

test("one that was made before signs on by its name; what is none does not", () => {
  const again = authorityOf(authority);
  expect(again.name).toEqual(authority.name);
  const client = makeClient(again, "op1", { from, days: 1 });
  expect(read(client.cert).checkIssued(read(authority.cert))).toBe(true);
  expect(() => authorityOf(client)).toThrow("is none of an authority");
  const other = makeAuthority("other", from);
  expect(() => authorityOf({ cert: authority.cert, key: other.key })).toThrow("not of this");
});
