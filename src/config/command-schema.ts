/** The schema of a command, and what it shares with its sandbox: see schema.ts. */
import { type Static, Type } from "@sinclair/typebox";
import { ENCODER_OPTIONS } from "./encoder-options.ts";
import { PARAM_SCHEMA } from "./param-schema.ts";
import { Amount, Seconds } from "./ranges.ts";
import { flag, list, object, optional, text, words, written } from "./shapes.ts";

/** The built-in ones; test/encoders holds them to what there is. */
const ENCODERS = Object.keys(ENCODER_OPTIONS);

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
    cpu: Rlimit("CPU seconds of each process: SIGXCPU then, and a second later SIGKILL"),
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
export const Stop = (where: string) =>
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
export const Audit = (where: string) =>
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
export const History = (where: string) =>
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

export const BUFFER = { minimum: 1024, maximum: 1 << 28 };

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

export type Command = Static<typeof Command>;
export type Tool = Static<typeof Tool>;
export type EncoderConfig = Static<typeof EncoderConfig>;
