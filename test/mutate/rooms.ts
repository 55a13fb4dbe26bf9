/** What is spoiled, and which suites are to notice. */

export interface Room {
  /** Patterns of files from the root of the project. */
  readonly code: readonly string[];
  /** Suites, folders or patterns of files: the first that fails is enough. Which of them are asked, and when: asked.ts. */
  readonly suites: readonly string[];
  /** By name of a file: suites that are asked about it first, though they may be no others of the room's. */
  readonly best?: Readonly<Record<string, readonly string[]>>;
  /** Its code runs in threads or processes that the suites start, too. */
  readonly isElsewhere?: true;
}

/** The launcher driven directly: each op, the answers to calls that are told, and the surroundings. */
const DIRECT = "test/launcher";
const directly = (...names: readonly string[]) => names.map((name) => `${DIRECT}/${name}.test.ts`);
/** What is launched by the server. */
const LAUNCHES = `test/sandbox/{${["features", "contract", "told", "landlock", "starting", "launcher", "ends", "limits"].join(",")}}.test.ts`;
/** What happens where the agent is killed, stopped or changed. */
const AGENT = "test/sandbox/attack-agent.test.ts";

/** A board, and an operator's server, by what they say to a broker. */
const BOARD = ["test/fleet/board.test.ts", "test/fleet/board-calls.test.ts"];
const OFFICE = ["test/fleet/office.test.ts", "test/fleet/office-calls.test.ts"];
/** Boards and their operators, over a real broker. */
const FLEET = ["test/fleet/desk.test.ts", "test/fleet/served.test.ts"];

/** An early server that becomes the service. */
const TAKEOVER = ["test/boot/takeover.test.ts"];

/** What is said on the command line of a server, and what it makes of that. */
const SERVES = ["service", "operator", "encrypted", "clients", "doors"].map(
  (name) => `test/server/${name}.test.ts`,
);

export const rooms: Readonly<Record<string, Room>> = {
  plan: { code: ["src/plan/*.ts"], suites: ["test/plan", "test/docs.test.ts"] },
  config: {
    code: ["src/config/**/*.ts"],
    suites: [
      "test/config",
      "test/plan",
      "test/docs.test.ts",
      "test/encoders/encoders.test.ts",
      "test/rpc/{exporter,tls,ws-importer,wsapi}.test.ts",
    ],
  },
  encoders: { code: ["src/encoders/*.ts"], suites: ["test/encoders"] },
  access: {
    code: ["src/access/**/*.ts"],
    suites: ["test/access", "test/server/{peer,peer-name,guests}.test.ts"],
  },
  audit: { code: ["src/audit/*.ts"], suites: ["test/audit"] },
  metrics: { code: ["src/metrics/*.ts"], suites: ["test/metrics"] },
  history: {
    code: ["src/history/*.ts"],
    suites: ["test/history", "test/api/{ring,query,task-list}.test.ts"],
  },
  api: {
    code: ["src/api/*.ts"],
    suites: ["test/api", "test/server/{events,openapi,rest,frames,transfer,webhook}.test.ts"],
  },
  console: { code: ["src/console/*.ts"], suites: ["test/console"] },
  server: {
    code: ["src/server/**/*.ts"],
    // Without those that take long, or fill the machine.
    suites: ["test/server/**/!(greedy|faithful*|gigabyte|exhausted|load|pressure).test.ts"],
    best: {
      "mcp.ts": ["test/mcp/http.test.ts"],
      "console.ts": ["test/console/served.test.ts"],
      "console-page.ts": ["test/console/served.test.ts"],
    },
  },
  mcp: { code: ["src/mcp/*.ts"], suites: ["test/mcp"] },
  rpc: { code: ["src/rpc/*.ts"], suites: ["test/rpc"] },
  fleet: {
    code: ["src/fleet/*.ts"],
    suites: ["test/fleet"],
    best: { "desk.ts": OFFICE, "desk-call.ts": OFFICE, "board.ts": BOARD },
  },
  launch: {
    code: ["src/launch/**/*.ts"],
    suites: ["test/launch", LAUNCHES, "test/sandbox/{pool,stop,input}.test.ts"],
    best: {
      "agent.ts": [AGENT],
      "no-agent.ts": [AGENT],
      "supervisor.ts": [AGENT],
      "living.ts": [AGENT],
      "orphans.ts": ["test/sandbox/attack-supervisor.test.ts"],
      "input-pipe.ts": ["test/sandbox/upload.test.ts"],
    },
  },
  install: {
    code: ["src/install/*.ts", "src/cli/install.ts"],
    suites: ["test/install", "test/cli/install.test.ts", "test/boot/initramfs.test.ts"],
  },
  boot: { code: ["src/boot/*.ts", "src/cli/early.ts"], suites: ["test/boot"] },
  plugins: { code: ["src/plugins/*.ts"], suites: ["test/plugins"], isElsewhere: true },
  ffi: {
    code: ["ffi/*.ts"],
    suites: [
      ...["test/ffi", "test/plan", "test/launch/!(secrets).test.ts"],
      "test/server/{pages,unix,peer,peer-name,beneath,service}.test.ts",
      "test/audit/!(served).test.ts",
    ],
  },
  launcher: {
    // init.c is tried where it boots a machine.
    code: ["ffi/launcher/!(init).c"],
    suites: [DIRECT, LAUNCHES],
    best: {
      "agent.c": [AGENT],
      "child.c": directly("orders"),
      "descriptors.c": directly("denied"),
      "follow.c": [
        ...directly("sources"),
        ...["test/sandbox/live.test.ts", "test/sandbox/attack-swaps.test.ts"],
      ],
      "identity.c": directly("steps", "denied"),
      "keyring.c": [...directly("keys"), "test/sandbox/attack-inherit.test.ts"],
      "landlock.c": directly("steps"),
      "listener.c": directly("verdicts", "denied"),
      "main.c": directly("plans"),
      "mounts.c": directly("steps", "denied"),
      "relay.c": [...directly("terminal"), "test/sandbox/pty.test.ts"],
      "settings.c": directly("steps"),
      "shed.c": directly("launcher", "denied"),
      "standing.c": [...directly("waiting"), "test/sandbox/pool.test.ts"],
      "steps.c": directly("steps", "denied"),
      "submounts.c": [...directly("mounts"), "test/sandbox/submounts.test.ts"],
      "supervisor.c": directly("orders"),
      "sweep.c": directly("orders", "launcher"),
      "terminal.c": ["test/sandbox/pty.test.ts"],
      "verdict.c": directly("verdicts"),
      "wait.c": [...directly("waiting"), "test/sandbox/pool.test.ts"],
      "watch.c": directly("orders", "launcher"),
    },
  },
  doctor: {
    code: ["src/doctor/*.ts"],
    suites: ["test/doctor", "test/cli/executable.test.ts", "test/server/operator.test.ts"],
  },
  serve: {
    code: ["src/serve/*.ts", "src/service/*.ts"],
    suites: [
      ...["test/serve", "test/service"],
      "test/server/{service,operator,encrypted,clients,doors,reload-verb}.test.ts",
      "test/access/reload.test.ts",
      "test/cli/executable.test.ts",
    ],
    best: { "become.ts": TAKEOVER, "join.ts": TAKEOVER, "output.ts": TAKEOVER },
  },
  words: {
    code: ["src/*.ts", "src/client/*.ts"],
    suites: [
      "test/*.test.ts",
      "test/{api,config,encoders,afb}",
      "test/server/{certificate,reconnect,resumed}.test.ts",
      "test/launch/hints.test.ts",
    ],
    best: {
      "main.ts": ["cli/executable", "cli/help", "server/service"].map(
        (name) => `test/${name}.test.ts`,
      ),
    },
  },
  "command-line": {
    code: [
      "src/cli/!(install|early).ts",
      "src/command-line/*.ts",
      "src/manual/**/*.ts",
      "src/guide/*.ts",
    ],
    suites: [
      ...["test/cli", "test/command-line", "test/manual"],
      "test/guide/{blocks,terminal}.test.ts",
    ],
    best: {
      "fleet.ts": FLEET,
      "fleet-call.ts": FLEET,
      "fleet-list.ts": FLEET,
      "fleet-cert.ts": ["test/fleet/served.test.ts"],
      "ps.ts": ["test/history/served.test.ts"],
      "stop.ts": ["test/history/served.test.ts"],
      "watch.ts": ["test/history/served.test.ts"],
      "mcp.ts": ["test/mcp/stdio.test.ts"],
      "serve.ts": SERVES,
      "call.ts": ["test/server/clients.test.ts"],
      "call-session.ts": ["test/server/clients.test.ts"],
      "connection.ts": ["test/server/clients.test.ts"],
      "forwarding.ts": ["test/sandbox/upload.test.ts"],
      "standard-input.ts": ["test/sandbox/upload.test.ts"],
    },
  },
};
