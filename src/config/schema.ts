/**
 * The schema of a config file, in its normal form: the one place, with sandbox-schema.ts, where a shape is
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
import { ENCODER_OPTIONS } from "./encoder-options.ts";
import { PARAM_SCHEMA } from "./param-schema.ts";
import { Amount, Seconds } from "./ranges.ts";
import { flag, list, object, optional, text, words, written } from "./shapes.ts";

/** The built-in ones; test/encoders holds them to what there is. */
export const ENCODERS = Object.keys(ENCODER_OPTIONS);

export const EncoderConfig = object(
  {
    plugin: optional(Type.String({ description: "uid of the plugin that provides it" })),
    output: Type.String({
      description: "encoder name: text, sync, line, raw, json, file, log, or a plugin's",
    }),
    opts: optional(
      Type.Record(Type.String(), Type.Unknown(), {
        description: "options, such as maxlen and maxline; checked by the encoder at boot",
      }),
    ),
  },
  {
    named: {
      ...{ key: "output", words: ENCODERS, unless: "plugin" },
      choice: { key: "opts", of: ENCODER_OPTIONS },
    },
    description: "how output becomes events and reply",
  },
);

export const Exec = object(
  {
    cmdpath: Type.String({ minLength: 1, description: "absolute path of the program" }),
    args: optional(
      list(
        Type.Union([
          written({ description: "argument with $NAME, %name%, ?name?" }),
          object(
            {
              arg: optional(written({ description: "argument with $NAME, %name%, ?name?" })),
              file: optional(
                Type.String({
                  minLength: 1,
                  description:
                    "absolute path of a file whose content ends the argument: read at each launch with the server's rights, never shown",
                }),
              ),
              omit: optional(
                flag({ description: "it is left out where a value of its ?name? is not given" }),
              ),
            },
            { description: "an argument with a rule" },
          ),
        ]),
        { description: "arguments" },
      ),
    ),
  },
  { description: "what to execute" },
);

const Rlimit = (what: string) => optional(Amount(`${what}; a number, or unlimited`));

export const Rlimits = object(
  {
    nofile: Rlimit("open files"),
    nproc: Rlimit("processes of the user"),
    as: Rlimit("address space in bytes"),
    cpu: Rlimit("CPU seconds"),
    core: Rlimit("core file bytes"),
    fsize: Rlimit("file size in bytes"),
    memlock: Rlimit("locked memory in bytes"),
    rtprio: Rlimit("real-time priority (0 unless given)"),
  },
  { description: "resource limits (setrlimit(2)), soft and hard alike" },
);

const Side = (what: string) =>
  optional(Type.Integer({ minimum: 1, maximum: 65_535, description: what }));

export const Pty = Type.Union(
  [
    flag({ description: "a terminal of 80 columns and 24 rows, or none" }),
    object(
      { cols: Side("columns (80)"), rows: Side("rows (24)") },
      { description: "a terminal of that size" },
    ),
  ],
  {
    description:
      "a terminal of its own, for programs that hold output back without one: true, or its cols and rows (80, 24); stderr comes in stdout, and there is nothing to read",
  },
);

/** How a task is told to end. */
const Stop = (where: string) =>
  optional(
    object(
      {
        signal: optional(
          text({
            description:
              "signal that tells the command and its process group to end, a name or a number from 1 to 64 (SIGINT)",
          }),
        ),
        grace: optional(Seconds("seconds after which what is left is killed; 0: at once (5)")),
      },
      {
        description: `how a stop without a signal, the time-out and the end of the server end a task; without it those two kill at once${where}`,
      },
    ),
  );

/** What is told and kept of calls. */
const Audit = (where: string) =>
  optional(
    object(
      {
        args: optional(
          flag({
            description: "false: no list of tasks, history or audit shows arguments (true)",
          }),
        ),
        required: optional(
          flag({
            description: "true: what cannot be written to the audit of the server is not started",
          }),
        ),
      },
      { description: `what is kept of calls${where}` },
    ),
  );

/** What is kept of the output of tasks. */
const History = (where: string) =>
  optional(
    object(
      {
        ring: optional(
          Type.String({
            text: true,
            pattern: "^[0-9]{1,9}[kKmM]?$",
            description:
              "bytes of the last output of a task that are kept for who follows it later; bytes, K or M, at most 64M; 0: none (256K)",
          }),
        ),
        output: optional(
          flag({ description: "true: the file of serve --history keeps it, too (false)" }),
        ),
      },
      { description: `what is kept of the output${where}` },
    ),
  );

const BUFFER = { minimum: 1024, maximum: 1 << 28 };

const HeaderName = (description: string) =>
  optional(Type.String({ pattern: "^[A-Za-z0-9-]{1,64}$", description }));

export const Webhook = object(
  {
    file: Type.String({
      minLength: 1,
      description:
        "absolute path of a file with the secret, such as $CREDENTIALS_DIRECTORY/hook: read at each request with the server's rights, never shown",
    }),
    kind: optional(
      words(["signature", "key"], {
        description: "signature: an HMAC of the body with the secret; key: the secret itself",
        default: "signature",
      }),
    ),
    header: HeaderName("header that has it (X-Hub-Signature-256; X-Api-Key for a key)"),
    prefix: optional(
      Type.String({ description: "what is before it there (sha256=; nothing for a key)" }),
    ),
    encoding: optional(
      words(["hex", "base64"], { description: "how the signature is written", default: "hex" }),
    ),
    algorithm: optional(
      words(["sha256", "sha512"], { description: "hash of the HMAC", default: "sha256" }),
    ),
    timestamp: HeaderName(
      "header with the time in seconds since 1970, which is signed too: each signature counts once, and only near its time",
    ),
    tolerance: optional(
      Type.Integer({
        minimum: 1,
        maximum: 86_400,
        description: "so many seconds may be between that time and the server's (300)",
      }),
    ),
    signed: optional(
      Type.String({
        minLength: 1,
        description:
          "what is signed ({body}; with a timestamp {timestamp}.{body}), such as v0:{timestamp}:{body}",
      }),
    ),
    argument: optional(
      Type.String({
        minLength: 1,
        description:
          "the %name% that gets the whole body as a text; without, a JSON object or a form has the arguments",
      }),
    ),
  },
  { description: "lets a machine elsewhere start the command with a POST that it signs" },
);

export const Tool = object(
  {
    readonly: optional(
      flag({ description: "it changes nothing; by default what the sandbox proves" }),
    ),
    destructive: optional(flag({ description: "what it changes may be lost by that" })),
    idempotent: optional(
      flag({
        description:
          "done again it changes nothing more; a call by a broker that may have been done is done again",
      }),
    ),
    openworld: optional(
      flag({
        description:
          "it deals with what is beyond this machine; by default what the sandbox proves",
      }),
    ),
    result: optional(
      Type.Unknown({
        description:
          "JSON Schema, of type object, of the one value that the encoder json makes of the output",
      }),
    ),
  },
  { description: "what programs that act for people are told of it, see spawnbox help mcp" },
);

export const Command = object(
  {
    uid: Type.String({ minLength: 1, description: "name of the verb" }),
    label: optional(Type.String({ description: "what people call it" })),
    info: optional(Type.String({ description: "one line of help" })),
    usage: optional(Type.Unknown({ description: "free-form help on the arguments" })),
    sample: optional(list(Type.Unknown(), { description: "queries for the test page" })),
    samples: optional(list(Type.Unknown(), { description: "same as sample" })),
    timeout: optional(
      Seconds("seconds before the task is killed; 0: none; overrides acls.timeout"),
    ),
    verbose: optional(Type.Integer({ minimum: 0, maximum: 9, description: "verbosity" })),
    privilege: optional(Type.String({ description: "permission a caller needs" })),
    encoder: optional(
      Type.Unsafe<Static<typeof EncoderConfig>>({
        ...EncoderConfig,
        shorthand: "output",
        description: "encoder name, or an object with output and opts",
        default: "text",
      }),
    ),
    single: optional(flag({ description: "at most one running task" })),
    once: optional(flag({ description: "same as single" })),
    concurrency: optional(
      Type.Integer({ minimum: 1, description: "at most so many running tasks" }),
    ),
    detach: optional(
      flag({ description: "false: a task stops when the client that started it goes away" }),
    ),
    confirm: optional(
      flag({
        description:
          "true: a person is asked before it is started; who calls it over REST or WebSocket has asked, and is told by this key that there is something to ask",
      }),
    ),
    pool: optional(
      Type.Integer({
        minimum: 0,
        maximum: 64,
        description: "so many sandboxes are kept ready for it; 0: none",
      }),
    ),
    buffer: optional(
      Type.Integer({
        ...BUFFER,
        description:
          "most bytes of output that a task holds, for a reply, a line or a JSON value; what is beyond is lost, and told as overflow (16777216)",
      }),
    ),
    pty: optional(Pty),
    stdin: optional(
      words(["none", "body"], {
        description:
          "body: the command reads the body of the POST that starts it, or what input of a WebSocket gives it; none: nothing",
        default: "none",
      }),
    ),
    maxinput: optional(
      Type.String({
        text: true,
        pattern: "^[0-9]{1,10}[kKmMgG]?$",
        description: "most bytes of its stdin; bytes, K, M or G, at most 1G (16M)",
      }),
    ),
    params: optional(
      Type.Record(Type.String(), Type.Unknown(), {
        values: PARAM_SCHEMA,
        exact: true,
        description: "JSON Schema of each %name%",
      }),
    ),
    webhook: optional(Type.Unsafe<Static<typeof Webhook>>({ ...Webhook, shorthand: "file" })),
    tool: optional(Tool),
    http: optional(
      Type.Record(Type.String(), Type.Unknown(), {
        propertyNames: { pattern: "^(0|[1-9][0-9]?|1[0-9][0-9]|2[0-4][0-9]|25[0-5])$" },
        values: { type: "integer", minimum: 200, maximum: 599 },
        description:
          'over REST the HTTP status of the reply that tells the end, by exit code, such as {"1": 422}; 200 for others',
      }),
    ),
    stop: Stop("; each key before that of its sandbox"),
    audit: Audit(", besides what its sandbox says"),
    history: History(", each key before that of its sandbox"),
    limits: optional(Rlimits),
    optional: optional(
      flag({
        description:
          "true: where it cannot be had here, the server starts all the same, and its verb tells why",
      }),
    ),
    exec: Exec,
  },
  { description: "one command, exposed as a verb" },
);

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
export type Command = Static<typeof Command>;
export type Tool = Static<typeof Tool>;
export type Action = Static<typeof Action>;
export type Import = Static<typeof Import>;
export type EncoderConfig = Static<typeof EncoderConfig>;
