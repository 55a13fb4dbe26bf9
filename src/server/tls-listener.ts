/** A listener of TLS, whose connections are guests before they are secure. */
import type { Wire } from "./wire.ts";
import { createServer, type Server, type TLSSocket, type TlsOptions } from "node:tls";
import { visible } from "../visible.ts";
import { seldom } from "./seldom.ts";

/** Milliseconds in which TLS comes about. */
const SECURE_LIMIT = 10_000;

/** A place is taken from the first byte on, so that who begins and says no more takes none for long. */
export function listenTls<Admitted>(
  how: TlsOptions,
  admit: (socket: Wire) => Admitted | undefined,
  serve: (socket: TLSSocket, admitted: Admitted) => void,
): Server {
  const begun = new WeakMap<Wire, { admitted: Admitted; timer: ReturnType<typeof setTimeout> }>();
  const listener = createServer(how);
  const tell = seldom((line) => console.error(line));
  listener.on("connection", (socket) => {
    const admitted = admit(socket);
    if (!admitted) return;
    const timer = setTimeout(() => socket.destroy(), SECURE_LIMIT);
    socket.on("close", () => clearTimeout(timer));
    begun.set(socket, { admitted, timer });
  });
  listener.on("secureConnection", (socket) => {
    const known = begun.get(socket);
    if (!known) return void socket.destroy();
    clearTimeout(known.timer);
    serve(socket, known.admitted);
  });
  // Who it was and what was wrong: a certificate is what is looked for then. The connection is closed by then.
  listener.on("tlsClientError", (error, { remoteAddress = "who dialled" }) =>
    tell(visible(`TLS with ${remoteAddress}: ${error.message}${hintAt(error.message)}`)),
  );
  return listener;
}

/** What the library's words mean, of what goes wrong most. */
const HINTS: readonly (readonly [words: RegExp, hint: string])[] = [
  [/HTTP_REQUEST/, "it speaks HTTP without TLS: its URL has to begin with https:"],
  [/WRONG_VERSION_NUMBER/, "it does not speak TLS"],
  [
    /ALERT_(?:UNKNOWN_CA|BAD_CERTIFICATE|CERTIFICATE_UNKNOWN)/,
    "it does not believe the certificate: give it the authority (ca.pem), and call a name that is in it",
  ],
];

const hintAt = (message: string): string => {
  const [, hint] = HINTS.find(([words]) => words.test(message)) ?? [];
  return hint === undefined ? "" : ` (${hint})`;
};
