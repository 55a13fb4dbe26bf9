/** Files of certificates and keys: who may read or change them, how long they may be, and whether they go together. */
import { afterAll, expect, test } from "bun:test";
import { chmodSync, chownSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readTls, requireFitting } from "../../src/server/tls-files.ts";
import { isRoot } from "../accounts.ts";
import { certificatesIn } from "../rpc/certificates.ts";

const dir = mkdtempSync(join(tmpdir(), "spawnbox-tls-files-"));
chmodSync(dir, 0o755);
afterAll(() => rmSync(dir, { recursive: true }));
const { server, client, trust } = certificatesIn(dir);
const NAMED = { cert: "cert=", key: "key=", trust: "trust=" };

test("each is what its file has", () => {
  chmodSync(server.key, 0o640);
  const { cert, key, ca } = readTls({ ...server, trust }, undefined, "its group");
  const files = [server.cert, server.key, trust].map((file) => readFileSync(file, "utf8"));
  expect([cert, key, ca].map(String)).toEqual(files);
  expect(readTls({}, undefined, "its group")).toEqual({});
  expect(Object.keys(readTls({ trust }, undefined, "anybody"))).toEqual(["ca"]);
});

test.each([
  [0o600, true],
  [0o640, true],
  [0o644, false],
  [0o641, false],
])("[protection] a key of mode %o may be one for its group: %p", (mode, may) => {
  chmodSync(server.key, mode);
  const read = (keyFor: "its group" | "anybody") => () => readTls(server, NAMED, keyFor);
  const why = `key=${server.key}: others can read or change this key: chmod o= ${server.key}`;
  if (may) expect(read("its group")).not.toThrow();
  else expect(read("its group")).toThrow(why);
  expect(read("anybody")).not.toThrow();
  chmodSync(server.key, 0o600);
});

test.if(isRoot)("[protection] none that another could change", () => {
  const theirs = join(dir, "theirs");
  writeFileSync(theirs, "");
  chownSync(theirs, 1234, 0);
  for (const name of ["cert", "key", "trust"] as const) {
    const files = { [name]: theirs };
    expect(() => readTls(files, NAMED, "anybody")).toThrow(`${name}=${theirs}: `);
    expect(() => readTls(files, undefined, "anybody")).toThrow("1234");
  }
});

test("one that is not there, or too long, is named", () => {
  const none = join(dir, "none");
  expect(() => readTls({ cert: none }, NAMED, "anybody")).toThrow(`cert=${none}: `);
  expect(() => readTls({ cert: none }, undefined, "anybody")).toThrow(/^(?!cert=).*none/);
  const long = join(dir, "long");
  const pem = readFileSync(trust);
  writeFileSync(long, Buffer.concat([pem, Buffer.alloc((4 << 20) - pem.length)]));
  expect(readTls({ trust: long }, NAMED, "anybody").ca).toEqual(pem);
  writeFileSync(long, Buffer.concat([pem, Buffer.alloc((4 << 20) - pem.length + 1)]));
  expect(() => readTls({ trust: long }, NAMED, "anybody")).toThrow(`trust=${long}: `);
});

test("a key of another certificate, and what is none", () => {
  const read = (files: Parameters<typeof readTls>[0]) => readTls(files, undefined, "anybody");
  expect(() => requireFitting(read({ ...server, trust }))).not.toThrow();
  expect(() => requireFitting(read({ cert: server.cert, key: client.key }))).toThrow(
    "certificate and key do not go together: the key has to be that of the first certificate",
  );
  expect(() => requireFitting({ cert: Buffer.from("x"), key: Buffer.from("x") })).toThrow(
    "certificates and key cannot be used: ",
  );
  const none = join(dir, "none.pem");
  writeFileSync(none, "no certificate");
  expect(() => read({ cert: none })).toThrow(/^there is no certificate \(PEM\) in it$/);
  expect(() => read({ trust: none })).toThrow(/^there is no certificate \(PEM\) in it$/);
  expect(() => read({ key: none })).toThrow(/^there is no private key \(PEM\) in it$/);
});
