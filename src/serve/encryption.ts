/** TLS of a server that serves: what it reads at each reload. It is only loaded where it is asked for. */
import { resolve } from "node:path";
import type { Secure } from "../server/secure.ts";
import type { LoadedTls } from "./tls.ts";
import type { TlsPaths } from "./transport.ts";

export class Encryption {
  #paths: TlsPaths | undefined;
  #secure: Secure | undefined;
  #room: typeof import("./tls.ts") | undefined;

  /** Where the files are. */
  get tls(): TlsPaths | undefined {
    return this.#paths;
  }

  /** What is used; undefined without TLS. */
  get secure(): Secure | undefined {
    return this.#secure;
  }

  /** From the next reading on these files, wherever the process goes; undefined: TCP is in the clear. */
  async show(paths: TlsPaths | undefined): Promise<void> {
    this.#paths = paths && {
      cert: resolve(paths.cert),
      key: resolve(paths.key),
      clientCa: paths.clientCa && resolve(paths.clientCa),
    };
    if (paths) this.#room ??= await import("./tls.ts");
  }

  /** What the files say now. @throws ConfigError */
  readonly load = (): LoadedTls | undefined =>
    this.#paths && this.#room ? this.#room.loadTls(this.#paths) : undefined;

  /** For connections from now on. */
  use(loaded: LoadedTls | undefined): Secure | undefined {
    // What a change that was taken back has shown is nothing of the next one's.
    if (!this.#paths) this.#secure = undefined;
    if (!loaded || !this.#room) return this.#secure;
    if (this.#secure) this.#secure.use(loaded.options);
    else this.#secure = new this.#room.Secure(loaded.options);
    return this.#secure;
  }
}
