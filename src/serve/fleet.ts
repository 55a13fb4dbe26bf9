/**
 * This server as a board of a fleet, or as an operator of one for its clients, where a file says so. What does that is only loaded
 * then.
 */
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import type { Caller, Request } from "../api/client.ts";
import { callerRecord } from "../api/record.ts";
import type { Registry } from "../api/registry.ts";
import type { Verb } from "../api/verb.ts";
import type { Refusal, Relayed } from "../api/witness.ts";
import type { Access } from "../access/access.ts";
import { ConfigError } from "../config/problem.ts";
import { AfbError } from "../errors.ts";
import type { Board } from "../fleet/board.ts";
import type { Desk } from "../fleet/desk.ts";
import type { Fleet } from "../fleet/load.ts";
import type { Options, Values } from "../manual/options.ts";
import { visible } from "../visible.ts";

/** Where nothing else is said. */
export const FLEET_FILE = "/etc/spawnbox/fleet.json";

export const FLEET = {
  fleet: {
    argument: "FILE",
    text:
      `be a board of a fleet, by the MQTT broker of this file (default ${FLEET_FILE}, if it names a board), and where it is ` +
      "said here and names an operator, call boards for clients; none: of none",
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
  readonly relayed: (relayed: Relayed) => void;
}

/** A file that was read, and found good. */
export interface Joining {
  /** Wherever the process goes. */
  readonly file: string;
  /** On the command line. */
  readonly isNamed: boolean;
  readonly fleet: Fleet;
  /** At least one of both. */
  readonly board: string | undefined;
  readonly operator: string | undefined;
}

export class Fleeting {
  #board: Board | undefined;
  #desk: Promise<Desk> | undefined;
  #joined: Joining | undefined;
  #deps: FleetDeps | undefined;
  #verbs: readonly Verb[] = [];
  #isClosed = false;
  /** One change after the other. */
  #changing: Promise<void> = Promise.resolve();

  /**
   * undefined: there is no fleet.
   * @throws ConfigError with every problem of the file
   */
  async read(option: string | undefined): Promise<Joining | undefined> {
    if (option === "none" || (option === undefined && !existsSync(FLEET_FILE))) return undefined;
    return await readFile(option ?? FLEET_FILE, option !== undefined);
  }

  /** The file of the fleet that it is in, read anew. @throws as {@link read} */
  async reread(): Promise<Joining | undefined> {
    return this.#joined && (await readFile(this.#joined.file, this.#joined.isNamed));
  }

  /** What an operator brings to the API `monitor`; of a board alone, nothing. */
  get verbs(): readonly Verb[] {
    return this.#verbs;
  }

  /** From now on there are the {@link verbs} that go with it. Returns a function that takes that back. */
  async offer(joining: Joining | undefined): Promise<() => void> {
    const before = this.#verbs;
    if (joining?.operator !== undefined) {
      const { fleetVerbs } = await import("../fleet/desk-verbs.ts");
      this.#verbs = fleetVerbs(() => this.#openDesk());
    } else if (joining) {
      this.#verbs = [];
    }
    return () => {
      this.#verbs = before;
    };
  }

  /** Where the broker is, and whether it is reached, is not waited for. The first fleet stays. */
  async join(joining: Joining | undefined, deps: FleetDeps): Promise<void> {
    if (!joining || this.#joined) return;
    this.#deps = deps;
    deps.registry.onChange?.(
      () =>
        void this.#desk?.then(
          (desk) => desk.recheck(),
          () => {},
        ),
    );
    await this.#join(joining, deps);
  }

  /** What the file says now: calls that are under way end where it is something else. Without one, all stays. */
  change(joining: Joining | undefined, deps: FleetDeps): void {
    // At once: somebody may have lost the right to call.
    this.#board?.refresh();
    this.#changing = this.#changing.then(async () => {
      if (!joining || !this.#joined || Bun.deepEquals(joining, this.#joined)) return;
      // First: a broker ends the connection of the one of two of the same name that was there before.
      const home = ({ board, fleet }: Joining) => [
        board,
        fleet.prefix,
        fleet.homeassistant?.prefix,
      ];
      await this.#leave(!Bun.deepEquals(home(joining), home(this.#joined)));
      await this.#join(joining, deps);
    });
  }

  async #join(joining: Joining, { registry, access, refused }: FleetDeps): Promise<void> {
    this.#joined = joining;
    const { fleet, board, file, operator } = joining;
    if (operator !== undefined && access().of({}).privileges === "all")
      tell(`notice: ${file}: whoever can connect here may call the boards as ${operator}`);
    if (board === undefined) return;
    const { Board } = await import("../fleet/board.ts");
    if (this.#isClosed) return;
    const named = (caller: Caller) => access().nameOf(caller);
    const knows = (name: string) => access().knows(name);
    this.#board = new Board({ fleet, board, registry, named, knows, refused, tell });
    if (!access().hasOperators)
      tell(`notice: ${file}: nobody may call by the broker: grant by "mqtt" in the access file`);
    this.#board.start();
  }

  /** Once, with the first who asks. */
  #openDesk(): Promise<Desk> {
    this.#desk ??= this.#makeDesk().catch((error: unknown) => {
      this.#desk = undefined;
      throw error;
    });
    return this.#desk;
  }

  async #makeDesk(): Promise<Desk> {
    const { Desk } = await import("../fleet/desk.ts");
    const [joined, deps] = [this.#joined, this.#deps];
    if (!joined || !deps || this.#isClosed)
      throw new AfbError("not-available", "this server is not running yet, or not any more");
    const { fleet, operator } = joined;
    if (operator === undefined)
      throw new AfbError("not-available", `${joined.file} names no operator any more`);
    const { registry, access, relayed } = deps;
    return new Desk({
      ...{ fleet, operator, tell: (text) => tell(`fleet: ${text}`) },
      may: (privileges, asking) => registry.may?.(privileges, asking) ?? false,
      called: (request: Request, id, to, method) => {
        const caller = callerRecord(request, (one) => access().nameOf(one));
        relayed({ time: Date.now(), caller, id, to, method });
      },
    });
  }

  async #leave(forgetsHome = false): Promise<void> {
    const desk = this.#desk;
    this.#desk = undefined;
    await Promise.all([
      this.#board?.close(forgetsHome),
      desk?.then(
        (one) => one.close(),
        () => {},
      ),
    ]);
    this.#board = undefined;
  }

  /** For the start banner; none where it is of no fleet. */
  get places(): readonly string[] {
    if (!this.#joined) return [];
    const { board, operator, fleet } = this.#joined;
    const { host, port } = fleet.broker;
    const where = `by the broker at ${host.includes(":") ? `[${host}]` : host}:${port}`;
    return [
      ...(board === undefined ? [] : [`a board of a fleet: ${board}, ${where}`]),
      ...(operator === undefined ? [] : [`calls boards of a fleet as ${operator}, ${where}`]),
    ];
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#changing;
    await this.#leave();
  }
}

/** undefined where it is for the command line alone. */
async function readFile(file: string, isNamed: boolean): Promise<Joining | undefined> {
  const { loadFleet } = await import("../fleet/load.ts");
  const fleet = loadFleet(file);
  const { board } = fleet;
  const operator = isNamed ? fleet.operator : undefined;
  if (board !== undefined || operator !== undefined)
    return { file: resolve(file), isNamed, fleet, board, operator };
  if (!isNamed) return undefined;
  const message =
    "missing key `board`: expected what this board is called; or `operator`, as whom this server calls";
  throw new ConfigError([{ file, path: "board", message }]);
}

const tell = (text: string): void => console.error(visible(`spawnbox serve: ${text}`));
