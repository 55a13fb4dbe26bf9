/** Listening where other machines can connect: what they send could be read and changed by whoever is on the way. */

/** @param where such as 0.0.0.0:1234 */
export const exposed = (where: string): string =>
  `${where} is reached by other machines, and without TLS whoever is on the way reads tokens and changes calls: ` +
  "say --tls-cert FILE --tls-key FILE (spawnbox cert DIR makes both), or --insecure if this network is trusted";

/** The same of what other binders dial. */
export const exposedBinder = (where: string): string =>
  `${where} is reached by other machines, and who is on the way reads and changes calls: ` +
  "say mtls+tcp: or tls+tcp:, or --insecure if this network is trusted";
