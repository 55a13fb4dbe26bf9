/** The APIs of `spawnbox serve` for other binders. What does that is only loaded where it is asked for. */
import type { GateOptions } from "../api/gate.ts";
import type { Granted } from "../api/privileges.ts";
import type { Registry } from "../api/registry.ts";
import type { Server } from "../config/binder-uri.ts";
import type { ExportDeps, Imports, PreparedImports } from "../rpc/imports.ts";
import type { ApiPlan } from "../plan/plan.ts";
import type { Slot } from "../rpc/slot.ts";
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

type Wanted = Pick<ServeOptions, "exports" | "imports">;

const NONE: PreparedImports = {
  foreign: [],
  reach: async () => {},
  use: () => {},
  drop: () => {},
};

/** What this server calls of other binders. */
export class Dialling {
  #imports: Imports | undefined;
  #deps: ExportDeps | undefined;

  async prepare(apis: readonly ApiPlan[], { imports, exports }: Wanted): Promise<PreparedImports> {
    const isWanted =
      imports.length > 0 ||
      exports.some((server) => server.imported.length > 0) ||
      apis.some((api) => (api.imports ?? []).length > 0);
    if (!this.#imports && !isWanted) return NONE;
    this.#imports ??= new (await import("../rpc/imports.ts")).Imports();
    if (this.#deps) this.#imports.serve(this.#deps);
    return this.#imports.prepare({ apis, clients: imports, servers: exports });
  }

  /** What is exported to who is dialled. Throws an Error for an API that there is not. */
  async serve(deps: ExportDeps, { imports }: Pick<Wanted, "imports">): Promise<void> {
    this.#deps = deps;
    if (!this.#imports) return;
    const { knownApis } = await import("../rpc/known-apis.ts");
    for (const client of imports) knownApis(client, deps.registry);
    this.#imports.serve(deps);
  }

  slotOf(server: Server): Slot | undefined {
    return this.#imports?.slotOf(server);
  }

  close(): void {
    this.#imports?.close();
  }
}

export const binders: Binders = async () => (await import("../rpc/connections.ts")).speakUpgraded;

export interface MeshDeps {
  readonly registry: Registry;
  readonly granted: Granted;
  readonly permissions?: GateOptions["permissions"];
  readonly connections: number;
  readonly slotOf: (server: Server) => Slot | undefined;
}

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
  async open(
    { exports, mode, insecure }: Pick<ServeOptions, "exports" | "mode" | "insecure">,
    named: readonly Inherited[],
  ): Promise<() => void> {
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
    const running = await startRpc(further, { ...this.deps, mode, insecure, inherited });
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
