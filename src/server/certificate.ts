/**
 * Who a client is by its certificate, which TLS has verified already: RFC 5280, sections 4.1.2.6 and 4.2.1.6. Read from the bytes
 * that are signed: in texts that others make of them, a name with a comma or a NUL can look like two.
 */
import type { TLSSocket } from "node:tls";
import type { CertificateNames } from "../api/client.ts";
import { type Element, elementsOf, oid, TAG } from "../der.ts";

const COMMON_NAME = oid("2.5.4.3").subarray(2);
const ALTERNATIVE_NAMES = oid("2.5.29.17").subarray(2);
/** In a TBSCertificate, and a GeneralName. */
const VERSION = 0xa0;
const EXTENSIONS = 0xa3;
const KINDS: Readonly<Record<number, string>> = { 0x81: "email", 0x82: "DNS", 0x86: "URI" };
/** Certificates have few; each is compared at each call. */
const MOST_NAMES = 64;

/** What to do, by the runtime's word for what is wrong. */
const ADVICE: ReadonlyMap<string, string> = new Map([
  ...["UNABLE_TO_VERIFY_LEAF_SIGNATURE", "UNABLE_TO_GET_ISSUER_CERT_LOCALLY"].map(
    (word) =>
      [
        word,
        "no authority that is believed here has signed it: send those between with it",
      ] as const,
  ),
  ["UNABLE_TO_GET_ISSUER_CERT", "the authority that signed its authority is not believed here"],
  ["DEPTH_ZERO_SELF_SIGNED_CERT", "it has signed itself, and is not believed here"],
  ["SELF_SIGNED_CERT_IN_CHAIN", "its authority is not believed here"],
  ["INVALID_PURPOSE", "it is not for clients: its extendedKeyUsage has no clientAuth"],
  ["CERT_HAS_EXPIRED", "is the clock here right?"],
  ["CERT_NOT_YET_VALID", "is the clock here right?"],
]);

function why(word: string): string {
  const advice = ADVICE.get(word);
  return advice === undefined ? word : `${word}: ${advice}`;
}

/**
 * `none` where the client has shown no certificate; otherwise what it is, or why that counts for nothing. A certificate without a
 * name that can be read is one of nobody in particular.
 */
export function certificateOf(
  socket: TLSSocket,
): { readonly names: CertificateNames } | { readonly refused: string } | "none" {
  const shown: { raw?: Buffer; valid_to?: string } | undefined = socket.getPeerCertificate();
  if (!shown?.raw) return "none";
  if (!socket.authorized) return { refused: why(String(socket.authorizationError)) };
  const until = Date.parse(shown.valid_to ?? "");
  // A session that TLS goes on with was verified when it began.
  if (!(until > Date.now())) return { refused: why("CERT_HAS_EXPIRED") };
  try {
    return { names: { names: namesIn(shown.raw), until } };
  } catch (error) {
    // What TLS does not look at may be anything.
    return { refused: error instanceof Error ? error.message : String(error) };
  }
}

/** Such as `CN:tablet`, `DNS:tablet.local`, `URI:spiffe://boat/tablet`. */
export function namesIn(certificate: Buffer): string[] {
  const fields = within(within(elementsOf(certificate)[0])[0]);
  // Serial number, algorithm, issuer, validity, subject.
  const subject = fields[fields[0]?.tag === VERSION ? 5 : 4];
  const extensions = fields.find(({ tag }) => tag === EXTENSIONS);
  return [...commonName(subject), ...alternativeNames(extensions)].slice(0, MOST_NAMES);
}

const within = (one: Element | undefined): Element[] => (one ? elementsOf(one.content) : []);

/** Of several, none is the one. */
function commonName(subject: Element | undefined): string[] {
  const found = within(subject)
    .flatMap(within)
    .map(within)
    .filter(([type]) => type?.content.equals(COMMON_NAME))
    .map(([, value]) => textOf(value));
  const [name] = found;
  return found.length === 1 && name !== undefined ? [`CN:${name}`] : [];
}

function alternativeNames(extensions: Element | undefined): string[] {
  const found = within(within(extensions)[0])
    .map(within)
    .find(([type]) => type?.content.equals(ALTERNATIVE_NAMES));
  return within(within(found?.at(-1))[0]).flatMap(({ tag, content }) => {
    const kind = KINDS[tag];
    const name = textOf({ tag: TAG.ia5, content });
    return kind === undefined || name === undefined ? [] : [`${kind}:${name}`];
  });
}

/** undefined for what could be read in several ways: other encodings, and characters that cannot be seen. */
function textOf(value: Element | undefined): string | undefined {
  if (!value || value.content.length === 0) return undefined;
  const text = decoded(value);
  return text !== undefined && !/[\p{C}\p{Zl}\p{Zp}]/u.test(text) ? text : undefined;
}

function decoded({ tag, content }: Element): string | undefined {
  if (tag === TAG.utf8) {
    const text = content.toString("utf8");
    return Buffer.from(text, "utf8").equals(content) ? text : undefined;
  }
  if (tag !== TAG.printable && tag !== TAG.ia5) return undefined;
  return content.every((byte) => byte < 0x80) ? content.toString("latin1") : undefined;
}
