/** The APIs of `spawnbox serve` for other binders. What does that is only loaded where it is asked for. */
import type { GateOptions } from "../api/gate.ts";
import type { Granted } from "../api/privileges.ts";
import type { Registry } from "../api/registry.ts";
import type { Client, Server } from "../rpc/address.ts";
import type { Imports } from "../rpc/importer.ts";
import type { RunningRpc } from "../rpc/server.ts";
import type { Binders } from "../server/upgrade.ts";
import type { Inherited } from "../service/activation.ts";
import type { ServeOptions } from "./options.ts";

/** Sockets of the service manager, those for other binders apart. */
export interface Sorted {
  /** For HTTP. */
  readonly http: readonly number[];
  readonly named: readonly Inherited[];
}

/** By the names that `--rpc-server sd:NAME` tells. */
export function sorted(inherited: readonly Inherited[], exports: readonly Server[]): Sorted {
  const names = new Set(
    exports.flatMap(({ address }) => (address.kind === "sd" ? [address.name] : [])),
  );
  return {
    http: inherited.filter(({ name }) => !names.has(name)).map(({ fd }) => fd),
    named: inherited.filter(({ name }) => names.has(name)),
  };
}

/** The APIs of other binders. */
export async function importsOf(clients: readonly Client[]): Promise<Imports> {
  if (clients.length === 0) return { apis: [], close: () => {} };
  return (await import("../rpc/importer.ts")).importApis(clients);
}

export const binders: Binders = async () => (await import("../rpc/connections.ts")).speakUpgraded;

export interface MeshDeps {
  readonly registry: Registry;
  readonly granted: Granted;
  readonly permissions?: GateOptions["permissions"];
  readonly connections: number;
}

type Wanted = Pick<ServeOptions, "exports" | "mode">;

export class Mesh {
  readonly #running = new Set<RunningRpc>();
  readonly #open = new Set<string>();

  constructor(readonly deps: MeshDeps) {}

  /** For the start banner. */
  get places(): readonly string[] {
    return [...this.#running].flatMap(({ places }) => places);
  }

  /**
   * Opens those that are not open, and returns a function that takes that back. Rejects with an Error that says what to do, and
   * opens none.
   * @param named sockets of the service manager
   */
  async open({ exports, mode }: Wanted, named: readonly Inherited[]): Promise<() => void> {
    const further = exports.filter(({ speech, uri }) => !this.#open.has(`${speech} ${uri}`));
    if (further.length === 0) return () => {};
    const { startRpc } = await import("../rpc/server.ts");
    const left = [...named];
    const inherited = (name: string): number => {
      const at = left.findIndex((one) => one.name === name);
      const [found] = at < 0 ? [] : left.splice(at, 1);
      if (found) return found.fd;
      throw new Error(
        `sd:${name}: the service manager has handed over no such socket: FileDescriptorName=${name} in its .socket unit`,
      );
    };
    const running = await startRpc(further, { ...this.deps, mode, inherited });
    const keys = further.map(({ speech, uri }) => `${speech} ${uri}`);
    this.#running.add(running);
    for (const key of keys) this.#open.add(key);
    return () => {
      this.#running.delete(running);
      for (const key of keys) this.#open.delete(key);
      void running.close();
    };
  }

  async close(): Promise<void> {
    await Promise.all([...this.#running].map((one) => one.close()));
  }
}
