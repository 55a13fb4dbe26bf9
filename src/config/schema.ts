/**
 * The schema of a config file, in its normal form: the one place, with sandbox-schema.ts and command-schema.ts, where a shape is
 * written.
 *
 * It gives the TypeScript types (`Static`), the validator (normalize.ts), the JSON Schema (`spawnbox schema`) and the
 * reference in config/guide.
 */
import { type Static, Type } from "@sinclair/typebox";
import {
  Acls,
  Cap,
  Cgroups,
  Env,
  Landlock,
  Namespace,
  Network,
  Seccomp,
} from "./sandbox-schema.ts";
import { Audit, BUFFER, Command, History, Rlimits, Stop } from "./command-schema.ts";
import { flag, list, object, optional, text, words, written } from "./shapes.ts";

export const Sandbox = object(
  {
    uid: Type.String({ minLength: 1, description: "name of the sandbox" }),
    info: optional(Type.String({ description: "one line of help" })),
    profile: optional(
      words(["minimal", "network", "device", "admin"], {
        description: "a complete sandbox in one word, which the other keys refine",
      }),
    ),
    prefix: optional(Type.String({ description: 'first part of its verbs; "" for none' })),
    privilege: optional(Type.String({ description: "permission a caller needs" })),
    verbose: optional(Type.Integer({ minimum: 0, maximum: 9, description: "verbosity" })),
    envs: optional(list(Env, { description: "environment of the commands" })),
    envfile: optional(
      list(
        Type.String({ minLength: 1, description: "absolute path; - in front: it may be missing" }),
        {
          description:
            "files of variables, NAME=value in each line as in EnvironmentFile= of systemd: read at each launch with the server's rights, never shown; they override values of envs",
        },
      ),
    ),
    acls: optional(Acls),
    caps: optional(
      list(Type.Unsafe<Static<typeof Cap>>({ ...Cap, shorthand: "cap" }), {
        description: "the capabilities of the commands, exactly",
      }),
    ),
    cgroups: optional(Cgroups),
    seccomp: optional(Seccomp),
    namespace: optional(Namespace),
    network: optional(Network),
    landlock: optional(Landlock),
    limits: optional({
      ...Rlimits,
      description: "resource limits of each command, unless it sets its own",
    }),
    exec: optional(flag({ description: "allow the exec verb in this sandbox" })),
    optional: optional(
      flag({
        description:
          "true: where it cannot be had here, the server starts all the same, and its verbs tell why",
      }),
    ),
    concurrency: optional(
      Type.Integer({
        minimum: 1,
        description: "at most so many running tasks in it; further starts wait, then get busy",
      }),
    ),
    detach: optional(flag({ description: "detach of its commands, unless they set their own" })),
    pool: optional(
      Type.Integer({
        minimum: 0,
        maximum: 64,
        description: "pool of each command, unless it sets its own",
      }),
    ),
    buffer: optional(
      Type.Integer({ ...BUFFER, description: "buffer of each command, unless it sets its own" }),
    ),
    stop: Stop("; of its commands, unless they say it themselves"),
    audit: Audit(" of its commands, besides what they say themselves"),
    history: History(" of its commands, unless they say it themselves"),
    commands: list(Command, { description: "the commands" }),
  },
  { description: "a policy and the commands that run under it" },
);

export const Action = object(
  {
    uid: Type.String({ minLength: 1, description: "name of the action, event or verb" }),
    info: optional(Type.String({ description: "one line of help" })),
    action: Type.String({
      like: {
        pattern: "^(?:[aA][pP][iI]|[pP][lL][uU][gG][iI][nN])://[^#]+#.+$",
        words: ["api://NAME#VERB", "plugin://UID#FUNCTION"],
      },
      description: "api://name#verb or plugin://uid#function",
    }),
    args: optional(Type.Unknown({ description: "arguments of the call; $NAME is expanded" })),
    privilege: optional(
      Type.String({ description: "permission a caller needs; extra verbs only" }),
    ),
    required: optional(flag({ description: "stop the server when it fails" })),
  },
  { description: "a call made by the server itself" },
);

export const Plugin = object(
  {
    uid: Type.String({ minLength: 1, description: "name of the plugin" }),
    info: optional(Type.String({ description: "one line of help" })),
    spath: optional(Type.String({ description: "directories to search, separated by colons" })),
    libs: list(Type.String(), { description: "TypeScript or JavaScript modules" }),
  },
  { description: "modules with encoders and functions" },
);

export const Import = object(
  {
    uri: Type.String({
      minLength: 1,
      description:
        "where the other binder is: unix:PATH, unix:@NAME, tcp:HOST:PORT, tls+tcp:HOST:PORT?trust=FILE or mtls+tcp:HOST:PORT?trust=FILE&cert=FILE&key=FILE",
    }),
    as: optional(
      Type.String({
        minLength: 1,
        pattern: "^[^/\\s@,*?]+$",
        description: "what its API is called here; by default what the URI says",
      }),
    ),
    api: optional(
      Type.String({
        minLength: 1,
        pattern: "^[^/\\s@,*?]+$",
        description: "what it is called there; by default what the URI says, or else as here",
      }),
    ),
    info: optional(Type.String({ description: "one line of help" })),
    protocol: optional(
      words(["rpc", "ws"], {
        description: "rpc: RPC v3; ws: WSAPI, of binders of any age",
        default: "rpc",
      }),
    ),
    optional: optional(
      flag({
        description:
          "true: the server starts without it too, and tries again; else the start waits for it, and fails after 10 s",
      }),
    ),
    private: optional(
      flag({ description: "true: only actions and extra verbs of configs call it, no client" }),
    ),
    privilege: optional(
      Type.String({ description: "permission a caller needs for each of its verbs" }),
    ),
    verbs: optional(
      list(Type.String({ minLength: 1 }), {
        description: "those of its verbs that may be called; all by default",
      }),
    ),
  },
  { description: "an API of another binder, called here as if it were ours" },
);

export const Metadata = object(
  {
    uid: Type.String({ minLength: 1, description: "name of the config" }),
    api: Type.String({ minLength: 1, pattern: "^[^/\\s]+$", description: "name of the API" }),
    version: optional(written({ description: "version of the config" })),
    info: optional(Type.String({ description: "one line of help" })),
    author: optional(Type.String({ description: "who wrote it" })),
    date: optional(text({ description: "when it was written; not used" })),
    http: optional(
      words(["afb", "rest"], {
        description: "afb: over REST errors of verbs are answered with 200, as AFB binders do",
      }),
    ),
    require: optional(list(Type.String(), { description: "APIs that must exist" })),
  },
  { description: "what the config calls itself" },
);

export const Config = object(
  {
    $schema: optional(Type.String({ description: "for editors" })),
    metadata: Metadata,
    audit: Audit(" of all of its commands"),
    history: History(" of its commands, unless they or their sandboxes say it"),
    plugins: optional(list(Plugin, { description: "encoder and action plugins" })),
    sandboxes: list(Sandbox, { description: "the sandboxes" }),
    onload: optional(list(Action, { description: "actions run once all APIs are ready" })),
    onstart: optional(list(Action, { description: "actions run after onload" })),
    events: optional(
      list(Action, { description: "actions run when the event named by uid arrives" }),
    ),
    extra: optional(list(Action, { description: "additional verbs" })),
    imports: optional(list(Import, { description: "APIs of other binders" })),
    mcp: optional(
      list(Type.String({ minLength: 1 }), {
        description:
          "verbs that serve --mcp offers as tools, with * for any text, ? for a character; all commands and extra verbs by default",
      }),
    ),
  },
  { description: "a spawnbox config file" },
);

export type Config = Static<typeof Config>;
export type Sandbox = Static<typeof Sandbox>;
export type Action = Static<typeof Action>;
export type Import = Static<typeof Import>;
