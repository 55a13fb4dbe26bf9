/**
 * PEM (RFC 7468), as files of certificates and keys have it. The runtime stops at the first line that it does not understand, and
 * believes or shows what came before without a word, so files are taken apart here. What may stand between and around blocks is
 * dropped: texts, a byte order mark, blanks, and line ends that are missing where files were put together.
 */
import { ciphers } from "../late.ts";

const BLOCK = /^-----BEGIN ([A-Z0-9 ]+)-----([^]*?)-----END \1-----/;
const CERTIFICATE = /^(?:X509 |TRUSTED )?CERTIFICATE$/;
const KEY = /PRIVATE KEY$/;

interface Block {
  readonly label: string;
  readonly content: string;
}

/** All certificates of a file. @throws Error that says what is in it instead, or which is broken */
export function certificatesOf(bytes: Uint8Array): Buffer {
  const found = blocksIn(bytes).filter(({ label }) => CERTIFICATE.test(label));
  if (found.length === 0) throw none("certificate (PEM)", bytes, "x509");
  const trusted = found.findIndex(({ label }) => label.startsWith("TRUSTED"));
  if (trusted >= 0)
    throw new Error(
      `certificate ${trusted + 1} in it is a TRUSTED CERTIFICATE, of which nobody here is believed: write it as a plain one, by openssl x509 -in FILE -out PLAIN`,
    );
  const texts = found.map(textOf);
  const { X509Certificate } = ciphers();
  for (const [i, text] of texts.entries()) {
    try {
      void new X509Certificate(text);
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      throw new Error(`certificate ${i + 1} in it cannot be read: ${why}`, { cause: error });
    }
  }
  return Buffer.from(texts.join(""));
}

/** One by one, of what {@link certificatesOf} returned. */
export const blocksOf = (certificates: Buffer): string[] => blocksIn(certificates).map(textOf);

/** The private key in a file. @throws Error that says what is in it instead, or what to do about a passphrase */
export function keyOf(bytes: Uint8Array): Buffer {
  const key = blocksIn(bytes).find(({ label }) => KEY.test(label));
  if (!key) throw none("private key (PEM)", bytes, "pkey");
  // PKCS #8, and what was before it (RFC 1421).
  if (key.label.startsWith("ENCRYPTED") || key.content.includes("ENCRYPTED"))
    throw new Error(
      "the key has a passphrase, which nobody is there to type: write it without one, by openssl pkey -in KEY -out PLAIN",
    );
  return Buffer.from(textOf(key));
}

function blocksIn(bytes: Uint8Array): Block[] {
  const [, ...parts] = `\n${Buffer.from(bytes).toString("latin1")}`.split(/(?=-----BEGIN )/);
  return parts.map((part) => {
    const [, label, content] = BLOCK.exec(part) ?? [];
    if (label === undefined || content === undefined) {
      // What follows may be a key.
      const [begin] = /^-----BEGIN [A-Z0-9 ]{0,40}(?:-----)?/.exec(part) ?? [];
      throw new Error(`what begins with "${begin}" has no end: it is cut short`);
    }
    return { label, content };
  });
}

function textOf({ label, content }: Block): string {
  const lines = content.replace(/\s+/g, "").replace(/.{1,64}/g, "$&\n");
  return `-----BEGIN ${label}-----\n${lines}-----END ${label}-----\n`;
}

/** @param reader the command of openssl(1) that makes PEM of it */
function none(what: string, bytes: Uint8Array, reader: "x509" | "pkey"): Error {
  // A SEQUENCE of DER.
  const isBinary = bytes[0] === 0x30;
  const how = `: it is DER or PKCS #12, of which openssl ${reader} or openssl pkcs12 makes PEM`;
  return new Error(`there is no ${what} in it${isBinary ? how : ""}`);
}
