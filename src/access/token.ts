/** Tokens: random, kept by their holders. The server knows hashes only. */

const BYTES = 32;

/** 256 random bits in base64url; never with a dash in front, which command lines take for an option. */
export function makeToken(): string {
  for (;;) {
    const token = Buffer.from(crypto.getRandomValues(new Uint8Array(BYTES))).toString("base64url");
    if (!token.startsWith("-")) return token;
  }
}

/**
 * As it stands in an access file. One round of SHA-256, and a look-up by the hash, are enough for a token that nobody can guess;
 * what the look-up takes tells of the hash, from which there is no way to the token.
 */
export const hashOf = (token: string): string =>
  `sha256:${new Bun.CryptoHasher("sha256").update(token).digest("hex")}`;
