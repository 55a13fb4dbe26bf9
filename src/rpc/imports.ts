/** The APIs of other binders that this server calls, as its configs and its command line have them. */
import type { Wire } from "../server/wire.ts";
import type { Request } from "../api/client.ts";
import type { ForeignApi } from "../api/foreign.ts";
import type { Granted } from "../api/privileges.ts";
import type { Registry } from "../api/registry.ts";
import { type Client, placeOf, type Server } from "../config/binder-uri.ts";
import type { ApiPlan, ImportPlan } from "../plan/plan.ts";
import { peerOf } from "../server/peer.ts";
import { peerName } from "../server/peer-name.ts";
import { Sessions } from "../server/session.ts";
import { Share } from "../share.ts";
import { Dialler } from "./dialler.ts";
import { Exporter } from "./exporter.ts";
import { Slot } from "./slot.ts";
import type { Source } from "./source.ts";
import { packetSpeaker } from "./speakers.ts";

/** Milliseconds for which a start, or a reload, waits for what it requires. */
const REACH_LIMIT = 10_000;
/** Bytes of calls of those whom we have dialled, and those of a usual one. */
const MEMORY = 8 << 20;
const TRIFLE = 16 << 10;

export interface Wanted {
  readonly apis: readonly ApiPlan[];
  /** Of the command line. */
  readonly clients: readonly Client[];
  readonly servers: readonly Server[];
}

/** What is wanted, before it is used. */
export interface PreparedImports {
  readonly foreign: readonly ForeignApi[];
  /** Waits for those that are new and required. Rejects with an Error that says which is not there, and why. */
  reach(): Promise<void>;
  /** From now on these are the ones: others end. */
  use(): void;
  /** They are not used. */
  drop(): void;
}

export interface ExportDeps {
  readonly registry: Registry;
  readonly granted: Granted;
}

export class Imports {
  /** By who is dialled, and how. */
  #diallers = new Map<string, Dialler>();
  #slots = new Map<string, Slot>();
  #deps: ExportDeps | undefined;
  readonly #sessions = new Sessions();
  readonly #memory = new Share(MEMORY, TRIFLE);

  /** Before the first is used that is exported to who is dialled. */
  serve(deps: ExportDeps): void {
    this.#deps = deps;
  }

  /** Of a server where who dials may give APIs. */
  slotOf({ uri }: Pick<Server, "uri">): Slot | undefined {
    return this.#slots.get(uri);
  }

  prepare({ apis, clients, servers }: Wanted): PreparedImports {
    const diallers = new Map<string, Dialler>();
    const slots = new Map<string, Slot>();
    const foreign = new Map<string, ForeignApi>();
    const required: [string, Dialler][] = [];
    const plans = new Map<string, ImportPlan>();
    const diallerOf = (to: ImportPlan | Client): Dialler => {
      const { speech, address, uri } = to;
      const exported = "exported" in to ? to.exported : [];
      const key = JSON.stringify([speech, address, exported]);
      const known = diallers.get(key) ?? this.#diallers.get(key);
      const exporter = exported.length > 0 ? this.#exporter(to as Client) : undefined;
      const dialler = known ?? new Dialler({ speech, address, uri, exporter });
      diallers.set(key, dialler);
      return dialler;
    };
    for (const plan of apis.flatMap(({ imports = [] }) => imports)) {
      const known = plans.get(plan.name);
      // Two configs may import the same. Those of files with plans are compared here.
      if (known && !Bun.deepEquals(known, plan))
        throw new Error(
          `${plan.name} is imported in two ways: name one with \`as\`, or make both alike`,
        );
      if (known) continue;
      plans.set(plan.name, plan);
      const dialler = diallerOf(plan);
      foreign.set(plan.name, foreignApi(plan, dialler));
      if (!plan.optional) required.push([plan.name, dialler]);
    }
    const more: ForeignApi[] = [];
    for (const client of clients) {
      const dialler = diallerOf(client);
      more.push(...client.imported.map((shown) => ofOption(shown, client, dialler)));
    }
    for (const server of servers.filter(({ imported }) => imported.length > 0)) {
      const names = server.imported.map(({ local }) => local);
      const slot = this.#slots.get(server.uri) ?? new Slot(placeOf(server.uri), names);
      slots.set(server.uri, slot);
      more.push(...server.imported.map((shown) => ofOption(shown, server, slot)));
    }
    const before = new Set(this.#diallers.values());
    const fresh = [...diallers.values()].filter((dialler) => !before.has(dialler));
    return {
      foreign: [...foreign.values(), ...more],
      reach: async () => {
        await Promise.all(
          required.map(async ([name, dialler]) => {
            if (before.has(dialler)) return;
            try {
              await dialler.reach(REACH_LIMIT);
            } catch (error) {
              const why = error instanceof Error ? error.message : String(error);
              throw new Error(
                `the import ${name} is required, and not there: ${why}; start the other binder first, or write "optional": true`,
                { cause: error },
              );
            }
          }),
        );
      },
      use: () => {
        const kept = new Set(diallers.values());
        for (const dialler of this.#diallers.values()) if (!kept.has(dialler)) dialler.close();
        this.#diallers = diallers;
        this.#slots = slots;
        for (const dialler of kept) dialler.start();
      },
      drop: () => fresh.forEach((dialler) => dialler.close()),
    };
  }

  close(): void {
    for (const dialler of this.#diallers.values()) dialler.close();
  }

  /** What who is dialled may call, as the process that listens there. */
  #exporter(client: Client) {
    return (socket: Wire) => {
      const deps = this.#deps;
      if (!deps) throw new Error("nothing is exported yet");
      const { registry } = deps;
      const peer = client.address.kind === "unix" ? peerOf(socket) : undefined;
      const from = { peer: peerName(socket, peer), connection: socket };
      const { exported } = client;
      const exporter = new Exporter(
        { registry, sessions: this.#sessions, exported, from, peer },
        packetSpeaker(),
      );
      return { exporter, part: this.#memory.part() };
    };
  }
}

type Called = Pick<
  ImportPlan,
  "name" | "remote" | "uri" | "privileges" | "private" | "verbs" | "info"
>;

function foreignApi(plan: Called, source: Source): ForeignApi {
  const { name, remote, uri, privileges, verbs } = plan;
  const where = `of another binder, at ${placeOf(uri)}`;
  return {
    ...{ name, remote, privileges, verbs },
    info: plan.info === undefined ? where : `${plan.info} (${where})`,
    isPrivate: plan.private === true,
    get state() {
      return source.state;
    },
    call: (request: Request) => source.call(remote, request),
    recheck: (may) => source.recheck((asked) => asked.api !== name || may(asked)),
  };
}

const ofOption = (
  { local, remote }: { local: string; remote: string | undefined },
  { uri }: { uri: string },
  source: Source,
): ForeignApi => foreignApi({ name: local, remote, uri, privileges: [] }, source);
