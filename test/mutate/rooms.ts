/** What is spoiled, and which suites are to notice. */

export interface Room {
  /** Patterns of files from the root of the project. */
  readonly code: readonly string[];
  /** Suites, folders or patterns of files, in the order they are asked: those of one entry run together. The first that fails is enough. */
  readonly suites: readonly (readonly string[])[];
  /** By name of a file: suites that are asked about it alone, first. */
  readonly best?: Readonly<Record<string, readonly string[]>>;
  /** Its suites run the executable, which is built for each mistake. */
  readonly built?: true;
  /** Of suites that run the executable, those to ask, as above, about what the others do not notice: it is built for that. */
  readonly outside?: readonly (readonly string[])[];
}

/** The launcher driven directly: each op, the answers to calls that are told, and the surroundings. */
const DIRECT = ["test/launcher"];
/** What is launched by the server. */
const LAUNCHES = ["features", "contract", "told", "landlock", "starting", "launcher", "ends"].map(
  (name) => `test/sandbox/${name}.test.ts`,
);

export const rooms: Readonly<Record<string, Room>> = {
  plan: { code: ["src/plan/*.ts"], suites: [["test/plan"]] },
  config: { code: ["src/config/**/*.ts"], suites: [["test/config"], ["test/plan"]] },
  encoders: { code: ["src/encoders/*.ts"], suites: [["test/encoders"]] },
  access: {
    code: ["src/access/*.ts"],
    suites: [["test/access/load.test.ts"], ["test/server/peer.test.ts"], ["test/access"]],
    built: true,
  },
  audit: {
    code: ["src/audit/*.ts"],
    suites: [["test/audit/!(served).test.ts"], ["test/audit"]],
    built: true,
  },
  metrics: {
    code: ["src/metrics/*.ts"],
    suites: [["test/metrics/family.test.ts"], ["test/metrics"]],
    built: true,
  },
  api: { code: ["src/api/*.ts"], suites: [["test/api/!(served).test.ts"]] },
  console: {
    code: ["src/console/*.ts"],
    suites: [["test/console/!(page).test.ts"], ["test/console"]],
    built: true,
  },
  server: {
    code: ["src/server/**/*.ts"],
    // Without those that take long.
    suites: [
      [
        "test/server/!(encrypted|http-status|transfer|webhook|greedy|faithful*|gigabyte|hostile|exhausted|operator|load|pressure).test.ts",
        "test/server/http",
      ],
    ],
    outside: [["test/server/{encrypted,http-status,transfer,webhook}.test.ts"]],
  },
  mcp: {
    code: ["src/mcp/*.ts"],
    suites: [["test/mcp/{parts,door}.test.ts"], ["test/mcp"]],
    built: true,
  },
  rpc: {
    code: ["src/rpc/*.ts"],
    suites: [["test/rpc/!(importer|imports|reverse|served).test.ts"]],
    outside: [["test/rpc/{importer,imports,reverse,served}.test.ts"]],
  },
  fleet: {
    code: ["src/fleet/*.ts"],
    suites: [["test/fleet/parts.test.ts"], ["test/fleet/hostile.test.ts"]],
    outside: [["test/fleet/many.test.ts"], ["test/fleet/served.test.ts"]],
  },
  launch: {
    code: ["src/launch/**/*.ts"],
    suites: [["test/launch"], LAUNCHES, ["test/sandbox/pool.test.ts"]],
    built: true,
  },
  install: {
    code: ["src/install/*.ts", "src/cli/install.ts"],
    suites: [["test/install"], ["test/cli/install.test.ts"]],
    built: true,
  },
  plugins: {
    code: ["src/plugins/*.ts"],
    suites: [
      ["test/plugins/{answers,compile,encoded,find,imports,load,messages}.test.ts"],
      ["test/plugins/functions.test.ts"],
      ["test/plugins/encoding.test.ts"],
    ],
  },
  ffi: {
    code: ["ffi/*.ts"],
    suites: [
      ["test/ffi"],
      ["test/plan", "test/server/{pages,unix,peer,peer-name,beneath,service}.test.ts"],
      ["test/audit/!(served).test.ts"],
      ["test/launch/!(secrets).test.ts"],
    ],
  },
  launcher: {
    // init.c is tried where it boots a machine.
    code: ["ffi/launcher/!(init).c"],
    suites: [DIRECT, LAUNCHES],
    best: {
      "submounts.c": ["test/sandbox/submounts.test.ts"],
      "terminal.c": ["test/sandbox/pty.test.ts"],
      "relay.c": ["test/sandbox/pty.test.ts"],
      "wait.c": ["test/sandbox/pool.test.ts"],
      "standing.c": ["test/sandbox/pool.test.ts"],
      "follow.c": ["test/sandbox/live.test.ts", "test/sandbox/attack-swaps.test.ts"],
      "keyring.c": ["test/sandbox/attack-inherit.test.ts"],
    },
    built: true,
  },
};
