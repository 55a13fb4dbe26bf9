/** Certificates of one's own, where no authority of the world would sign for a board: RFC 5280, with keys of P-256. */
import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  randomBytes,
  sign,
  X509Certificate,
} from "node:crypto";
import { isIP } from "node:net";
import { element, elementsOf, oid, TAG } from "../der.ts";

/** A certificate and its key, as PEM. */
export interface Made {
  readonly cert: string;
  readonly key: string;
}

export interface Validity {
  readonly from: Date;
  readonly days: number;
}

/** An authority that can sign. */
export interface Authority extends Made {
  /** Its name, as it stands in what it signs. */
  readonly name: Buffer;
}

const ECDSA_SHA256 = element(TAG.sequence, oid("1.2.840.10045.4.3.2"));
const DAY = 86_400_000;
/** Of an authority: as long as a board. */
const AUTHORITY_DAYS = 20 * 365;
const [SERVER, CLIENT] = ["1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2"] as const;
/** Most characters of a name (RFC 5280, ub-common-name). */
export const MOST_NAME = 64;

/** @param name its CN */
export function makeAuthority(name: string, from: Date): Authority {
  const { privateKey, publicKey } = newKey();
  const cert = certificate({
    ...{ subject: nameOf(name), issuer: nameOf(name), publicKey, signer: privateKey },
    validity: { from, days: AUTHORITY_DAYS },
    extensions: [
      // It signs certificates, and no further authorities.
      extension("2.5.29.19", [element(TAG.boolean, Buffer.of(0xff)), integer(0)], "critical"),
      bits("2.5.29.15", Buffer.of(1, 0b0000_0110)),
    ],
  });
  return { name: nameOf(name), cert, key: pemOf(privateKey) };
}

/** @param names DNS names and addresses, the first of which is the CN too */
export function makeServer(by: Authority, names: readonly string[], validity: Validity): Made {
  const alternative = names.map((name) =>
    isIP(name) === 0 ? element(0x82, Buffer.from(name)) : element(0x87, addressBytes(name)),
  );
  const subject = names.find((name) => name.length <= MOST_NAME) ?? "";
  return signed(by, subject, validity, SERVER, [extension("2.5.29.17", alternative)]);
}

/** @param name its CN, which the access file grants something to */
export const makeClient = (by: Authority, name: string, validity: Validity): Made =>
  signed(by, name, validity, CLIENT, []);

/** One that was made before. @throws Error where the key is another's */
export function authorityOf({ cert, key }: Made): Authority {
  const read = new X509Certificate(cert);
  if (!read.checkPrivateKey(createPrivateKey(key)))
    throw new Error("the key is not of this certificate");
  if (createPrivateKey(key).asymmetricKeyDetails?.namedCurve !== "prime256v1")
    throw new Error("the key is none of P-256, as spawnbox cert makes them");
  const [whole] = elementsOf(read.raw);
  const [signedPart] = whole ? elementsOf(whole.content) : [];
  const subject = signedPart && elementsOf(signedPart.content)[5];
  if (!read.ca || !subject) throw new Error("the certificate is none of an authority");
  return { name: element(subject.tag, subject.content), cert, key };
}

/** As it is shown where somebody compares it by eye. */
export const fingerprintOf = (cert: string): string => new X509Certificate(cert).fingerprint256;

function signed(
  by: Authority,
  subject: string,
  validity: Validity,
  purpose: string,
  further: readonly Buffer[],
): Made {
  const { privateKey, publicKey } = newKey();
  const signer = createPrivateKey(by.key);
  const cert = certificate({
    ...{ subject: nameOf(subject), issuer: by.name, publicKey, signer, validity },
    extensions: [
      extension("2.5.29.19", [], "critical"),
      bits("2.5.29.15", Buffer.of(7, 0b1000_0000)),
      extension("2.5.29.37", [oid(purpose)]),
      extension("2.5.29.35", [element(0x80, keyId(createPublicKey(signer)))]),
      ...further,
    ],
  });
  return { cert, key: pemOf(privateKey) };
}

const newKey = () => generateKeyPairSync("ec", { namedCurve: "P-256" });

const pemOf = (key: KeyObject): string => String(key.export({ type: "pkcs8", format: "pem" }));

interface Contents {
  /** Names, encoded. */
  readonly subject: Buffer;
  readonly issuer: Buffer;
  readonly validity: Validity;
  readonly publicKey: KeyObject;
  readonly signer: KeyObject;
  readonly extensions: readonly Buffer[];
}

/** RFC 5280, section 4.1. */
function certificate({
  subject,
  issuer,
  validity,
  publicKey,
  signer,
  extensions,
}: Contents): string {
  const until = new Date(validity.from.getTime() + validity.days * DAY);
  const subjectKey = extensionOf("2.5.29.14", element(TAG.octetString, keyId(publicKey)));
  const signedPart = element(
    TAG.sequence,
    element(0xa0, integer(2)),
    serialNumber(),
    ECDSA_SHA256,
    issuer,
    element(TAG.sequence, time(validity.from), time(until)),
    subject,
    publicKey.export({ type: "spki", format: "der" }),
    element(0xa3, element(TAG.sequence, ...extensions, subjectKey)),
  );
  const signature = sign("sha256", signedPart, signer);
  const whole = element(
    TAG.sequence,
    signedPart,
    ECDSA_SHA256,
    element(TAG.bitString, Buffer.of(0), signature),
  );
  const lines = whole.toString("base64").replace(/.{64}/g, "$&\n").trimEnd();
  return `-----BEGIN CERTIFICATE-----\n${lines}\n-----END CERTIFICATE-----\n`;
}

/** Positive, and never the same: section 4.1.2.2. */
function serialNumber(): Buffer {
  const bytes = randomBytes(16);
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x40;
  return element(TAG.integer, bytes);
}

const integer = (value: number): Buffer => element(TAG.integer, Buffer.of(value));

/** A name of one CN; of none, where it is empty. */
function nameOf(name: string): Buffer {
  if (name === "") return element(TAG.sequence);
  const attribute = element(TAG.sequence, oid("2.5.4.3"), element(TAG.utf8, Buffer.from(name)));
  return element(TAG.sequence, element(TAG.set, attribute));
}

/** Section 4.1.2.5: of years from 2050 on with four digits. */
function time(date: Date): Buffer {
  const digits = date
    .toISOString()
    .replace(/\.\d+Z$/, "Z")
    .replace(/[-:T]/g, "");
  return date.getUTCFullYear() < 2050
    ? element(TAG.utcTime, Buffer.from(digits.slice(2)))
    : element(TAG.generalizedTime, Buffer.from(digits));
}

/** What is behind its name is a sequence in most. */
const extension = (id: string, content: readonly Buffer[], critical?: "critical"): Buffer =>
  extensionOf(id, element(TAG.sequence, ...content), critical);

/** Of bits, the first byte of which tells how many do not count. */
const bits = (id: string, content: Buffer): Buffer =>
  extensionOf(id, element(TAG.bitString, content), "critical");

function extensionOf(id: string, value: Buffer, critical?: "critical"): Buffer {
  const isCritical = critical ? [element(TAG.boolean, Buffer.of(0xff))] : [];
  return element(TAG.sequence, oid(id), ...isCritical, element(TAG.octetString, value));
}

/** Section 4.2.1.2, the first method: of the bits of the public key. */
function keyId(key: KeyObject): Buffer {
  const [whole] = elementsOf(key.export({ type: "spki", format: "der" }));
  const bitString = whole && elementsOf(whole.content)[1]?.content.subarray(1);
  return createHash("sha1")
    .update(bitString ?? Buffer.alloc(0))
    .digest();
}

/** In the order of the network. */
function addressBytes(address: string): Buffer {
  if (isIP(address) === 4) return Buffer.from(address.split(".").map(Number));
  // A URL writes it in one way only, and the last four bytes not as IPv4.
  const [head = "", tail] = new URL(`http://[${address}]`).hostname.slice(1, -1).split("::");
  const groups = (text = ""): string[] => text.split(":").filter((group) => group !== "");
  const [before, behind] = [groups(head), groups(tail)];
  const zeros = Array<string>(8 - before.length - behind.length).fill("0");
  const bytes = Buffer.alloc(16);
  for (const [i, group] of [...before, ...zeros, ...behind].entries())
    bytes.writeUInt16BE(parseInt(group, 16), i * 2);
  return bytes;
}
