/** What the options of the built-in encoders may be. None limits anything unless it is set. */

export type Option = { readonly description: string } & (
  | { readonly type: "integer"; readonly min: number; readonly max: number }
  | { readonly type: "flag" }
  | { readonly type: "word"; readonly words: readonly string[] }
  | { readonly type: "path" }
  /** A text of up to 255 characters like the pattern; `like` says in words what that is. */
  | { readonly type: "text"; readonly pattern: string; readonly like: string }
  /** Existing configs have it: the original takes the same options for every encoder. */
  | { readonly type: "ignored" }
);

export type Options = Readonly<Record<string, Option>>;

const LINE_LENGTH = {
  type: "integer",
  // A surrogate pair and the `\` of a cut.
  min: 3,
  max: 1 << 20,
  description: "most characters of a line: a longer one comes in pieces",
} as const;

const MOST_BYTES = 1 << 28;
const IGNORED = { type: "ignored", description: "means nothing here" } as const;

/** RFC 9110, section 8.3.1. */
const TOKEN = "[\\w!#$%&'*+.^`|~-]+";
const MEDIA_TYPE = `^${TOKEN}/${TOKEN}( *; *${TOKEN}=(${TOKEN}|"[ !#-\\[\\]-~]*"))*$`;
/** No separators, and nothing that does not show, or turns text around: such as what makes exe.jpg of gpj.exe. */
const FILE_NAME = "^[^\\p{Cc}\\p{Cf}\\p{Cs}\\p{Zl}\\p{Zp}/\\\\]+$";
const LONGEST_TEXT = 255;

const COLLECTED = {
  maxlen: LINE_LENGTH,
  maxline: {
    type: "integer",
    min: 1,
    max: 1 << 20,
    description: "most lines that are kept of each stream",
  },
} as const satisfies Options;

export const ENCODER_OPTIONS = {
  text: COLLECTED,
  sync: COLLECTED,
  line: {
    maxlen: LINE_LENGTH,
    maxline: IGNORED,
    cr: { type: "flag", description: "a carriage return ends a line, too (true)" },
    partial: { type: "flag", description: "a line that has not ended is shown after 200 ms" },
  },
  raw: {
    maxlen: {
      ...{ type: "integer", min: 1, max: MOST_BYTES },
      description: "most bytes of each stream",
    },
    maxline: IGNORED,
    encoding: {
      type: "word",
      words: ["auto", "utf8", "base64"],
      description: "auto: base64 where one of the streams is no text, and then for both",
    },
  },
  json: {
    maxlen: {
      ...{ type: "integer", min: 1, max: MOST_BYTES },
      description: "most bytes of a value",
    },
    maxdepth: {
      ...{ type: "integer", min: 1, max: 4096 },
      description: "most brackets within brackets (512)",
    },
    strict: { type: "flag", description: "what RFC 8259 does not have is a json-error" },
    maxline: IGNORED,
  },
  file: {
    type: {
      ...{ type: "text", pattern: MEDIA_TYPE, like: "a media type, such as image/jpeg" },
      description: "media type of what it prints (application/octet-stream)",
    },
    name: {
      ...{ type: "text", pattern: FILE_NAME, like: "a file name, without control characters" },
      description: "file name for who saves it",
    },
    maxlen: IGNORED,
    maxline: IGNORED,
  },
  log: {
    stdout: { type: "path", description: "file; without, the server's own output" },
    stderr: { type: "path", description: "file; without, the server's own output" },
    maxlen: IGNORED,
    maxline: IGNORED,
  },
} as const satisfies Readonly<Record<string, Options>>;

export type EncoderName = keyof typeof ENCODER_OPTIONS;

export const isLike = (value: unknown, { pattern }: Extract<Option, { type: "text" }>): boolean =>
  typeof value === "string" && value.length <= LONGEST_TEXT && new RegExp(pattern, "u").test(value);

/** Its JSON Schema. */
export function optionSchema(option: Option): Readonly<Record<string, unknown>> {
  const { description } = option;
  switch (option.type) {
    case "integer":
      return { description, type: "integer", minimum: option.min, maximum: option.max };
    case "flag":
      return { description, type: "boolean" };
    case "word":
      return { description, enum: option.words };
    case "path":
      return { description, type: "string", minLength: 1 };
    case "text":
      return { description, type: "string", maxLength: LONGEST_TEXT, pattern: option.pattern };
    case "ignored":
      return { description };
  }
}
