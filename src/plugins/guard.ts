/** The encoder of a plugin as an {@link Encoder}: it can neither hang a task nor speak after its end. */
import type { Emit, Encoder, Encoding, Fields } from "../encoders/encoder.ts";
import { AfbError } from "../errors.ts";
import type { PluginEncoder } from "./plugin.ts";
import { Outgoing, STINT, stint } from "./stint.ts";

/** Milliseconds that a hook's promise may take, not counting what it waits for clients that read slowly. */
export const HOOK_LIMIT = 10_000;

export function guarded(name: string, plugin: PluginEncoder, limit = HOOK_LIMIT): Encoder {
  const most = Math.min(limit, STINT);
  return {
    name,
    synchronous: plugin.synchronous === true,
    check: (opts) => checkOptions(name, plugin, opts),
    begin(opts, emit) {
      const clock = new Clock(name, limit);
      const outgoing = new Outgoing((fields) => {
        const sent = emit(fields);
        return sent && clock.excuse(sent);
      });
      const run = <T>(hook: string, work: () => T): T =>
        outgoing.during(() => stint(`${name}: ${hook}()`, work, most));
      let ended = false;
      const watched: Emit = (fields) => {
        if (ended) return;
        // Copied now: the plugin may go on to use its object, and clients are told later.
        return outgoing.send(own(fields));
      };
      const encoding = run("begin", () => begin(name, plugin, opts, watched));
      return {
        stdout: (chunk) =>
          clock.limit(
            "stdout",
            run("stdout", () => encoding.stdout(chunk)),
          ),
        stderr: (chunk) =>
          clock.limit(
            "stderr",
            run("stderr", () => encoding.stderr(chunk)),
          ),
        async end() {
          try {
            const fields = await clock.limit(
              "end",
              run("end", () => encoding.end()),
            );
            return stint(`${name}: end()`, () => fieldsOf(fields), most);
          } finally {
            ended = true;
          }
        },
      };
    },
  };
}

function checkOptions(name: string, plugin: PluginEncoder, opts: Record<string, unknown>) {
  if (!plugin.check) {
    return Object.keys(opts).map((key) => `${key}: the encoder ${name} takes no options`);
  }
  try {
    const problems = stint("it", () => {
      const list: unknown = plugin.check?.(opts);
      return Array.isArray(list) ? list.map(String) : undefined;
    });
    return problems ?? [`${name}: check() must return a list`];
  } catch (error) {
    return [`${name}: check() failed: ${message(error)}`];
  }
}

function begin(
  name: string,
  plugin: PluginEncoder,
  opts: Record<string, unknown>,
  emit: Emit,
): Encoding {
  let encoding: Encoding | undefined;
  try {
    encoding = plugin.begin(opts, emit);
  } catch (error) {
    throw new AfbError("internal-error", `encoder ${name}: begin() failed: ${message(error)}`);
  }
  for (const hook of ["stdout", "stderr", "end"] as const) {
    if (typeof encoding?.[hook] === "function") continue;
    throw new AfbError("internal-error", `encoder ${name}: what begin() returns has no ${hook}()`);
  }
  return encoding;
}

function fieldsOf(value: unknown): Fields {
  if (value === undefined || value === null) return {};
  if (typeof value === "object" && !Array.isArray(value)) return own({ ...value });
  throw new Error("end() must return an object of fields");
}

/** What the server says of a task. Keys may come from the output, and a command must not say how it ended. */
const RESERVED = ["type", "api", "sandbox", "command", "pid", "status", "plan"] as const;

/** A copy. Throws when it would speak for the server. */
function own(fields: Fields): Fields {
  for (const name of RESERVED) {
    if (Object.hasOwn(fields, name)) throw new Error(`the field ${name} is the server's to tell`);
  }
  return { ...fields };
}

/** Limits the promises of one encoding. */
class Clock {
  #excused = 0;

  constructor(
    readonly name: string,
    readonly ms: number,
  ) {}

  /** While `sent` is pending, the plugin may wait: it honours back-pressure. */
  excuse(sent: Promise<void>): Promise<void> {
    this.#excused++;
    return sent.finally(() => this.#excused--);
  }

  limit<T>(hook: string, result: T | Promise<T>): T | Promise<T> {
    if (!(result instanceof Promise)) return result;
    return new Promise((resolve, reject) => {
      let timer: ReturnType<typeof setTimeout>;
      let waited = this.#excused > 0;
      const late = () => {
        // A whole period has to pass in which it was not waiting for a client.
        if (this.#excused === 0 && !waited) {
          return reject(new Error(`${this.name}: ${hook}() took more than ${this.ms / 1000} s`));
        }
        waited = this.#excused > 0;
        timer = setTimeout(late, this.ms);
      };
      timer = setTimeout(late, this.ms);
      result.then(resolve, reject).finally(() => clearTimeout(timer));
    });
  }
}

const message = (error: unknown): string =>
  error instanceof Error ? error.message : String(error);
