/** Names in certificates, as openssl makes them: those that count, and those that only look like one. */
import { afterAll, expect, test } from "bun:test";
import { X509Certificate } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TLSSocket } from "node:tls";
import { certificateOf, namesIn } from "../../src/server/certificate.ts";
import { certificatesIn, type Signing } from "../rpc/certificates.ts";

const dir = mkdtempSync(join(tmpdir(), "spawnbox-names-"));
afterAll(() => rmSync(dir, { recursive: true }));
const { sign } = certificatesIn(dir);

let count = 0;
function names(how: Signing): string[] {
  const { cert } = sign(`n${++count}`, how);
  return namesIn(new X509Certificate(readFileSync(cert)).raw);
}

test("are the CN and what stands beside it, each with its kind", () => {
  expect(names({ subject: "/O=Boat/CN=tablet" })).toEqual(["CN:tablet", "DNS:board"]);
  const extensions =
    "subjectAltName=DNS:a.example,URI:spiffe://boat/tablet,email:bo@boat.example,IP:10.0.0.1";
  expect(names({ subject: "/CN=Brücke", extensions })).toEqual([
    "CN:Brücke",
    "DNS:a.example",
    "URI:spiffe://boat/tablet",
    "email:bo@boat.example",
  ]);
  expect(names({ subject: "/O=Boat", extensions: "keyUsage=digitalSignature" })).toEqual([]);
});

test("are 64 at most, the first ones", () => {
  const all = Array.from({ length: 70 }, (_, i) => `DNS:n${i}`);
  const found = names({ subject: "/CN=many", extensions: `subjectAltName=${all.join(",")}` });
  expect(found).toEqual(["CN:many", ...all.slice(0, 63)]);
});

test("[protection] a name within another, of several or with what cannot be seen is none", () => {
  const none = "keyUsage=digitalSignature";
  // As a text the subject of the first would be "CN=evil, CN=tablet".
  expect(names({ subject: "/CN=evil, CN=tablet", extensions: none })).toEqual([
    "CN:evil, CN=tablet",
  ]);
  expect(names({ subject: "/CN=evil/CN=tablet", extensions: none })).toEqual([]);
  expect(names({ subject: "/O=CN=tablet", extensions: none })).toEqual([]);
  expect(names({ subject: "/CN=tab\u200blet", extensions: none })).toEqual([]);
  const other =
    "subjectAltName=otherName:1.3.6.1.4.1.311.20.2.3;UTF8:tablet,dirName:d\n[d]\nCN=tablet";
  expect(names({ subject: "/O=x", extensions: other })).toEqual([]);
  // A NUL in a name of the authority's making.
  const nul = "2.5.29.17=DER:30:10:82:0e:74:61:62:6c:65:74:00:2e:65:76:69:6c:2e:78";
  expect(names({ subject: "/O=x", extensions: nul })).toEqual([]);
  const empty = "2.5.29.17=DER:30:02:82:00";
  expect(names({ subject: "/O=x", extensions: empty })).toEqual([]);
  // UTF-8 where there may be ASCII only.
  const wide = "2.5.29.17=DER:30:06:82:04:c3:a9:2e:78";
  expect(names({ subject: "/O=x", extensions: wide })).toEqual([]);
});

test("bytes that are none are an error, and not read beyond their end", () => {
  const whole = new X509Certificate(readFileSync(join(dir, "server.pem"))).raw;
  for (let end = 0; end < whole.length; end++) {
    try {
      expect(namesIn(whole.subarray(0, end))).toEqual([]);
    } catch (error) {
      expect(error).toBeInstanceOf(Error);
      expect(String(error)).toMatch(/DER/);
    }
  }
});

/** As TLS tells it. */
const told = (more: object) => {
  const raw = new X509Certificate(readFileSync(join(dir, "server.pem"))).raw;
  const { shown, ...rest } = {
    shown: { raw, valid_to: "Jan  1 00:00:00 2100 GMT" } as object | undefined,
    ...{ authorized: true, authorizationError: null as unknown, ...more },
  };
  return certificateOf({ getPeerCertificate: () => shown, ...rest } as unknown as TLSSocket);
};

test("[protection] a certificate counts while it is verified and valid, and one that is not is told", () => {
  expect(told({})).toEqual({
    names: { names: expect.arrayContaining(["DNS:board"]), until: Date.UTC(2100, 0, 1) },
  });
  for (const shown of [undefined, {}, { valid_to: "Jan  1 00:00:00 2100 GMT" }])
    expect(told({ shown })).toBe("none");
  for (const [word, advice] of [
    ["UNABLE_TO_VERIFY_LEAF_SIGNATURE", "no authority that is believed here has signed it: send"],
    ["UNABLE_TO_GET_ISSUER_CERT_LOCALLY", "no authority that is believed here has signed it: send"],
    ["UNABLE_TO_GET_ISSUER_CERT", "the authority that signed its authority is not believed here"],
    ["DEPTH_ZERO_SELF_SIGNED_CERT", "it has signed itself, and is not believed here"],
    ["SELF_SIGNED_CERT_IN_CHAIN", "its authority is not believed here"],
    ["INVALID_PURPOSE", "it is not for clients: its extendedKeyUsage has no clientAuth"],
    ["CERT_HAS_EXPIRED", "is the clock here right?"],
    ["CERT_NOT_YET_VALID", "is the clock here right?"],
  ])
    expect(told({ authorized: false, authorizationError: word })).toEqual({
      refused: expect.stringContaining(`${word}: ${advice}`),
    });
  expect(told({ authorized: false, authorizationError: "SELF_SIGNED" })).toEqual({
    refused: "SELF_SIGNED",
  });
  const { raw } = new X509Certificate(readFileSync(join(dir, "server.pem")));
  for (const valid_to of ["Jan  1 00:00:00 2020 GMT", undefined, "", "some day"])
    expect(told({ shown: { raw, valid_to } })).toEqual({
      refused: "CERT_HAS_EXPIRED: is the clock here right?",
    });
  const wrong = { raw: raw.subarray(0, 40), valid_to: "Jan  1 00:00:00 2100 GMT" };
  expect(told({ shown: wrong })).toEqual({ refused: expect.stringContaining("DER") });
});

test("a name of one letter is one", () => {
  const extensions = "2.5.29.17=DER:30:03:82:01:79";
  expect(names({ subject: "/CN=x", extensions })).toEqual(["CN:x", "DNS:y"]);
});
