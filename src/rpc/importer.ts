/**
 * APIs of another binder over RPC v3, as one who dials. The connection is made at the first call, and again at the next after its
 * end. It is always read: binders do not wait for who does not, they lose what they send.
 */
import { connect, type Socket } from "node:net";
import type { ForeignApi } from "../api/foreign.ts";
import type { Request } from "../api/client.ts";
import { AfbError } from "../errors.ts";
import type { Address, Client, Shown } from "./address.ts";
import { Dialled } from "./dialled.ts";

/** Milliseconds for the other to accept, and to say which version it speaks. */
const DIAL_LIMIT = 10_000;

export interface Imports {
  readonly apis: readonly ForeignApi[];
  close(): void;
}

export function importApis(clients: readonly Client[]): Imports {
  const importers = clients.map((client) => new Importer(client));
  return {
    apis: importers.flatMap((importer) => importer.apis),
    close: () => importers.forEach((importer) => importer.close()),
  };
}

class Importer {
  readonly apis: readonly ForeignApi[];
  #connection: Promise<Dialled> | undefined;
  #closed = false;

  constructor(readonly client: Client) {
    const { imported, uri } = client;
    this.apis = imported.map((shown) => ({
      name: shown.local,
      info: `of another binder, at ${uri.split("?", 1)[0]}`,
      call: (request) => this.#call(shown, request),
    }));
  }

  close(): void {
    this.#closed = true;
    void this.#connection?.then(
      (connection) => connection.close(),
      () => {},
    );
  }

  async #call({ remote }: Shown, request: Request): Promise<unknown> {
    if (this.#closed) throw new AfbError("not-available", "the server is shutting down");
    const connection = await (this.#connection ??= this.#dial());
    return connection.call(remote, request);
  }

  async #dial(): Promise<Dialled> {
    const forget = (): void => {
      this.#connection = undefined;
    };
    try {
      const socket = await connected(this.client.address);
      return await Dialled.greet(socket, DIAL_LIMIT, forget);
    } catch (error) {
      forget();
      const why = error instanceof Error ? error.message : String(error);
      throw new AfbError(
        "not-available",
        `${this.apis.map(({ name }) => name).join(", ")}: the other binder: ${why}`,
      );
    }
  }
}

function connected(address: Address): Promise<Socket> {
  const where =
    address.kind === "tcp"
      ? { host: address.host, port: address.port }
      : { path: address.kind === "unix" ? address.path.replace(/^@/, "\0") : address.name };
  return new Promise((resolve, reject) => {
    const socket = connect({ ...where, noDelay: true });
    const timer = setTimeout(() => {
      socket.destroy();
      reject(new Error("it does not accept the connection in time"));
    }, DIAL_LIMIT);
    const failed = (error: Error): void => {
      clearTimeout(timer);
      reject(error);
    };
    socket.once("error", failed);
    socket.once("connect", () => {
      clearTimeout(timer);
      socket.off("error", failed);
      socket.on("error", () => socket.destroy());
      resolve(socket);
    });
  });
}
