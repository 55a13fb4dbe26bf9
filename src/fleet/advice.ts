/** What to look at where no broker is reached, by words of the runtime, of OpenSSL and of the client. */

const ADVICE: readonly (readonly [RegExp, string])[] = [
  [/altname/i, "its certificate is for other names: write one of them as `broker`"],
  [/ALERT.*(?:CERTIFICATE|_CA)/, "it wants a certificate (`cert`, `key`) that it believes"],
  [/has expired/i, "by the clock here: is that right, and does the broker need a new certificate?"],
  [/not yet valid/i, "by the clock here: is that right?"],
  [
    /certificate|issuer|self.signed|verify/i,
    "nobody who is believed here has signed its certificate: `ca` names the authority's",
  ],
  [/ECONNRESET|EPIPE|SSL|TLS/, "is this its port for clients with TLS (mqtts:), or without?"],
  [/protocol version/i, "it must be one of MQTT 5"],
  [
    /not agreed on|packet|header/i,
    "is it a broker of MQTT 5, and this its port for that, not for WebSockets?",
  ],
];

/** @param reason why an attempt to connect has failed. It with what to look at, where the words tell */
export function advised(reason: string): string {
  const [, advice] = ADVICE.find(([words]) => words.test(reason)) ?? [];
  return advice === undefined ? reason : `${reason}; ${advice}`;
}
