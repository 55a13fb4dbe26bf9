/** `spawnbox run`: one launch without a server, for trying a config and for scripts. */
import type { Client } from "../api/client.ts";
import { valueOf } from "../api/event-data.ts";
import { createRegistry, type RunningRegistry } from "../api/registry.ts";
import { grantAll } from "../api/privileges.ts";
import type { Reply } from "../api/reply.ts";
import type { ClientEvents } from "../client.ts";
import { ConfigError, problemLine } from "../config/problem.ts";
import { Launching } from "../launch/launching.ts";
import { explain } from "../plan/explain.ts";
import { Refused } from "../errors.ts";
import { deniedAround } from "../unexpected.ts";
import { drained } from "../serve/ending.ts";
import { indented } from "../visible.ts";
import { type Caller, CallSession, type Invocation, RAW } from "../command-line/call-session.ts";
import { apisOf } from "../command-line/apis.ts";
import { StandardInput } from "../command-line/standard-input.ts";
import { neededSource, SOURCE, type Source } from "../command-line/config-option.ts";
import type { Manual } from "../manual/manual.ts";
import { readWithOperands } from "../manual/options.ts";
import { parseCall, withOptions } from "../command-line/usage.ts";

const OPTIONS = { ...SOURCE, ...RAW } as const;

export const manual: Manual = {
  name: "spawnbox run",
  synopsis: ["[OPTIONS] API/VERB [JSON] --config PATH[:PATH...]"],
  about: `Runs one verb in its sandbox as a server would, without one: prints the reply, and the events of the task until it
ends. Ctrl-C stops the task. A command with "stdin": "body" gets the standard input.
Without --config, AFB_SPAWN_CONFIG is used.`,
  options: OPTIONS,
  exit: "0 success, 1 the config, the reply or the task failed, 2 wrong usage, 130 interrupted.",
  examples: [`spawnbox run demo/hello '{"name": "world"}' --config config/demo.json`],
};

/** Calls verbs of this process; the events come back as they would over a connection. */
class LocalCaller implements Caller {
  readonly #listeners = new Set<ClientEvents["event"]>();
  readonly #client: Client;
  #isFed = false;

  constructor(readonly registry: RunningRegistry) {
    this.#client = {
      session: { uuid: crypto.randomUUID() },
      connected: true,
      backlog: 0,
      send: (event, data) => {
        const value = valueOf(data);
        for (const listener of this.#listeners) listener(event, value);
      },
      onClose: () => () => {},
    };
  }

  async call(method: string, args: unknown): Promise<Reply> {
    const slash = method.indexOf("/");
    const called = { api: method.slice(0, slash), verb: method.slice(slash + 1) };
    // It is for the first call: others only stop what that has started.
    const input =
      !this.#isFed && this.registry.isFed?.(called) === true ? new StandardInput() : undefined;
    this.#isFed ||= input !== undefined;
    return this.registry.call({
      ...called,
      ...(input && { input }),
      // As over a connection, where null is what a call without arguments sends.
      args: args ?? undefined,
      client: this.#client,
      session: this.#client.session,
    });
  }

  on<Name extends keyof ClientEvents>(name: Name, listener: ClientEvents[Name]): () => void {
    // There is no connection to lose: only events are ever told.
    if (name !== "event") return () => {};
    const heard = listener as ClientEvents["event"];
    this.#listeners.add(heard);
    return () => this.#listeners.delete(heard);
  }
}

interface Options extends Invocation {
  readonly source: Source;
}

export const run = (argv: string[]): Promise<number> => withOptions(manual, parse, argv, launch);

async function launch(options: Options): Promise<number> {
  const launching = new Launching();
  let registry: RunningRegistry;
  try {
    const wanted = apisOf(options.source);
    const prepared = await launching.prepare(wanted);
    const { apis } = prepared;
    prepared.use();
    for (const notice of prepared.notices) console.error(`notice: ${problemLine(notice)}`);
    registry = createRegistry({ apis, launch: launching.launch, explain, granted: grantAll });
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    console.error(error instanceof ConfigError ? error.message : `spawnbox run: ${whyNot(error)}`);
    return 1;
  }
  try {
    return await new CallSession(new LocalCaller(registry), options).run();
  } finally {
    // Interrupted, it has been told to end.
    if (registry.grace > 0) await drained(registry, registry.grace);
    await registry.close();
    await launching.close();
  }
}

function parse(argv: string[]): Options | undefined {
  const read = readWithOperands(OPTIONS, argv);
  if (!read) return undefined;
  const { values, positionals } = read;
  const call = parseCall(positionals);
  const source = neededSource(values.config, values.plan);
  return { ...call, source, raw: values.raw || !process.stdout.isTTY };
}

/** What a launch says it is refused for, or a filter that hides in an error of the runtime. */
const whyNot = (error: Error): string =>
  (error instanceof Refused ? undefined : deniedAround(error)) ?? indented(error.message);
