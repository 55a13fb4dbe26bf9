/** Every subcommand. */
import type { Subcommands } from "./manual/subcommand.ts";

export const SUBCOMMANDS: Subcommands = {
  serve: { about: "serve configs over REST and WebSocket", load: () => import("./cli/serve.ts") },
  early: {
    about: "serve before the real init, started by it",
    load: () => import("./cli/early.ts"),
  },
  check: { about: "tell every problem of a config", load: () => import("./cli/check.ts") },
  run: { about: "run one verb of a config, without a server", load: () => import("./cli/run.ts") },
  explain: {
    about: "tell in words what a sandbox does and leaves open",
    load: () => import("./cli/explain.ts"),
  },
  doctor: {
    about: "tell what this kernel and user can do, and what a config will not get",
    load: () => import("./cli/doctor.ts"),
  },
  compile: {
    about: "compile configs into a plan file, for this or the other architecture",
    load: () => import("./cli/compile.ts"),
  },
  call: { about: "call a verb of a running server", load: () => import("./cli/call.ts") },
  mcp: {
    about: "offer verbs as tools to a program that acts for people",
    load: () => import("./cli/mcp.ts"),
  },
  ps: { about: "show the tasks of a running server", load: () => import("./cli/ps.ts") },
  watch: {
    about: "show what a task prints, and has printed",
    load: () => import("./cli/watch.ts"),
  },
  stop: { about: "end a task of a running server", load: () => import("./cli/stop.ts") },
  fleet: {
    about: "call verbs of many boards, by the broker that they have in common",
    load: () => import("./cli/fleet.ts"),
  },
  install: {
    about: "install this executable and its service on a board",
    load: () => import("./cli/install.ts"),
  },
  token: { about: "make a token for callers", load: () => import("./cli/token.ts") },
  cert: {
    about: "make a certificate for this board, or for a client of it",
    load: () => import("./cli/cert.ts"),
  },
  schema: { about: "print the JSON Schema of configs", load: () => import("./cli/schema.ts") },
  help: {
    about: "show a guide: config, sandboxing, calling …",
    load: () => import("./cli/help.ts"),
  },
  completion: {
    about: "print the completion of command lines for a shell",
    load: () => import("./cli/completion.ts"),
  },
};
