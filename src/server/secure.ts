/** TLS of a server's TCP endpoints, which gets other certificates while it serves. */
import type { Server, TLSSocket, TlsOptions } from "node:tls";
import type { Wire } from "./wire.ts";
import { listenTls } from "./tls-listener.ts";

export class Secure {
  readonly #listeners = new Set<Server>();
  #options: TlsOptions;

  constructor(options: TlsOptions) {
    this.#options = options;
  }

  /** For connections from now on; those that are open go on with what they have. */
  use(options: TlsOptions): void {
    this.#options = options;
    for (const listener of this.#listeners) listener.setSecureContext(options);
  }

  /** See listenTls. */
  listen<Admitted>(
    admit: (socket: Wire) => Admitted | undefined,
    serve: (socket: TLSSocket, admitted: Admitted) => void,
  ): Server {
    const how = { ...this.#options, noDelay: true, allowHalfOpen: true };
    const listener = listenTls(how, admit, serve);
    this.#listeners.add(listener);
    listener.on("close", () => this.#listeners.delete(listener));
    return listener;
  }
}
