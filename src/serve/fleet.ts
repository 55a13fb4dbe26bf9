/** This server as a board of a fleet, where a file says so. What does that is only loaded then. */
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import type { Caller } from "../api/client.ts";
import type { Registry } from "../api/registry.ts";
import type { Refusal } from "../api/witness.ts";
import type { Access } from "../access/access.ts";
import { ConfigError } from "../config/problem.ts";
import type { Board } from "../fleet/board.ts";
import type { Fleet } from "../fleet/load.ts";
import type { Options, Values } from "../manual/options.ts";
import { visible } from "../visible.ts";

/** Where nothing else is said. */
export const FLEET_FILE = "/etc/spawnbox/fleet.json";

export const FLEET = {
  fleet: {
    argument: "FILE",
    text: `be a board of a fleet, by the MQTT broker of this file (default ${FLEET_FILE}, if it names a board); none: of none`,
    words: ["none"],
    path: "file",
  },
} as const satisfies Options;

/** @throws TypeError, which is wrong usage */
export function fleetOptions({ fleet }: Values<typeof FLEET>): string | undefined {
  if (fleet === "") throw new TypeError("--fleet: expected a file, or none");
  return fleet;
}

export interface FleetDeps {
  readonly registry: Registry;
  /** Who may call, as it is now. */
  readonly access: () => Access;
  readonly refused: (refusal: Refusal) => void;
}

/** A file that was read, and found good. */
export interface Joining {
  /** Wherever the process goes. */
  readonly file: string;
  readonly fleet: Fleet;
  readonly board: string;
}

export class Fleeting {
  #board: Board | undefined;
  #joined: Joining | undefined;
  #isClosed = false;
  /** One change after the other. */
  #changing: Promise<void> = Promise.resolve();

  /**
   * undefined: there is no fleet.
   * @throws ConfigError with every problem of the file
   */
  async read(option: string | undefined): Promise<Joining | undefined> {
    if (option === "none" || (option === undefined && !existsSync(FLEET_FILE))) return undefined;
    const file = option ?? FLEET_FILE;
    const { loadFleet } = await import("../fleet/join.ts");
    const fleet = loadFleet(file);
    const { board } = fleet;
    if (board !== undefined) return { file: resolve(file), fleet, board };
    // It may be an operator's.
    if (option === undefined) return undefined;
    const message = "missing key `board`: expected what this board is called";
    throw new ConfigError([{ file, path: "board", message }]);
  }

  /** The file of the fleet that it is in, read anew. @throws as {@link read} */
  reread(): Promise<Joining | undefined> {
    return this.#joined ? this.read(this.#joined.file) : Promise.resolve(undefined);
  }

  /** Where the broker is, and whether it is reached, is not waited for. The first fleet stays. */
  async join(joining: Joining | undefined, deps: FleetDeps): Promise<void> {
    if (!joining || this.#board) return;
    await this.#join(joining, deps);
  }

  /** What the file says now: calls that are under way end where it is something else. Without one, all stays. */
  change(joining: Joining | undefined, deps: FleetDeps): void {
    // At once: somebody may have lost the right to call.
    this.#board?.refresh();
    this.#changing = this.#changing.then(async () => {
      if (!joining || !this.#board || Bun.deepEquals(joining, this.#joined)) return;
      // First: a broker ends the connection of the one of two of the same name that was there before.
      await this.#board.close();
      await this.#join(joining, deps);
    });
  }

  async #join(joining: Joining, { registry, access, refused }: FleetDeps): Promise<void> {
    const { Board } = await import("../fleet/join.ts");
    if (this.#isClosed) return;
    this.#joined = joining;
    const named = (caller: Caller) => access().nameOf(caller);
    const knows = (operator: string) => access().knows(operator);
    const tell = (text: string) => console.error(visible(`spawnbox serve: ${text}`));
    const { fleet, board } = joining;
    this.#board = new Board({ fleet, board, registry, named, knows, refused, tell });
    if (!access().hasOperators)
      tell(
        `notice: ${joining.file}: nobody may call by the broker: grant by "mqtt" in the access file`,
      );
    this.#board.start();
  }

  /** For the start banner; undefined: of no fleet. */
  get place(): string | undefined {
    const joined = this.#joined;
    if (!joined) return undefined;
    const { host, port } = joined.fleet.broker;
    return `${joined.board}, by the broker at ${host.includes(":") ? `[${host}]` : host}:${port}`;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#changing;
    await this.#board?.close();
  }
}
