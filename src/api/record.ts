/**
 * What is known of a task, while it runs and afterwards: who has started what, when, and how it ended. Secrets are in none of it:
 * no token is, and arguments only as far as the config lets them be shown (`writeOnly` in `params`, `"audit": {"args": false}`).
 */
import { AfbError } from "../errors.ts";
import { fill } from "../plan/argv.ts";
import type { Plan } from "../plan/plan.ts";
import { shownArgument } from "../plan/secrets.ts";
import { isWritten } from "../numbers.ts";
import { isObject } from "../object.ts";
import { type Caller, type Request, SERVER_SESSION, type Via } from "./client.ts";
import type { Kept } from "./kept.ts";
import type { WireStatus } from "./status.ts";

export type { Kept };

export type TaskState = "waiting" | "running" | "ended";

/** Who has called. */
export interface CallerRecord {
  /** What the access file says of its token, of its user or of its certificate. */
  readonly info?: string;
  /** Of a unix socket. */
  readonly uid?: number;
  /** Over TCP, without the port. */
  readonly address?: string;
  /** Name of the certificate that it has shown, such as `CN:tablet`. */
  readonly certificate?: string;
  /** What the program that calls says it is. */
  readonly program?: string;
  /** Over MQTT. */
  readonly operator?: string;
  /** `server`: an action of a config; `local`: a call that came over no connection. */
  readonly via: Via | "server" | "local";
}

/** How much a task has printed. */
export interface Printed {
  readonly bytes: number;
  /** Ends of lines in it. */
  readonly lines: number;
  /** Data events that came of it. */
  readonly events: number;
}

/** The same object from the start of a task to its end: who keeps something of it for later copies that. */
export interface TaskRecord extends Kept {
  /** See task-id.ts. */
  readonly id: string;
  readonly api: string;
  readonly verb: string;
  readonly sandbox: string;
  /** uid of the command, or what an exec is called. */
  readonly command: string;
  /** Of the command; absent before it runs. */
  readonly pid?: number;
  /** `pool`: in a sandbox that was ready. Absent before it runs, and where nobody has told. */
  readonly mode?: "cold" | "pool";
  readonly caller: CallerRecord;
  /** Milliseconds since 1970 by the clock of this machine, which may be set at any time: how long it took is in `status.usage.wall`. */
  readonly asked: number;
  readonly started?: number;
  readonly ended?: number;
  readonly state: TaskState;
  /** Milliseconds for which it has run when it is told of, by a clock that nobody sets; absent where it does not run. */
  readonly wall?: number;
  readonly printed: Printed;
  /** How it ended, with what it used. Absent before. */
  readonly status?: WireStatus;
  /** Calls that its filter has denied, of all names; absent where there were none. */
  readonly denied?: number;
}

/** Most bytes of arguments that are kept of a task. */
const MOST = 64 << 10;
const SECRET = "***";

/** @param named what the access file says of a caller */
export function callerRecord(
  { session, caller = {} }: Pick<Request, "session" | "caller">,
  named: (caller: Caller) => string | undefined,
): CallerRecord {
  const {
    user,
    address,
    certificate,
    program,
    operator,
    via = session === SERVER_SESSION ? "server" : "local",
  } = caller;
  const info = session === SERVER_SESSION ? undefined : named(caller);
  return {
    ...(info !== undefined && { info }),
    ...(user && { uid: user.uid }),
    ...(address !== undefined && { address }),
    ...(certificate && { certificate: certificate.names[0] ?? "" }),
    ...(program !== undefined && { program }),
    ...(operator !== undefined && { operator }),
    via,
  };
}

/** Of a start. @param argv that of the launch, which is filled in again where it has a secret */
export function keptOf(plan: Plan, args: unknown, argv: readonly string[]): Kept {
  const secrets = secretsOf(plan, args);
  if (secrets === "all") return { hidden: true };
  if (secrets.length === 0) return bounded({ args, argv: shownLine(plan, argv) });
  const shown = { ...(args as object), ...Object.fromEntries(secrets.map((one) => [one, SECRET])) };
  return { ...bounded({ args: shown, ...filled(plan, shown) }), hidden: true };
}

/** What is read of files is not in it yet: their names are shown. */
const shownLine = ({ argv }: Pick<Plan, "argv">, line: readonly string[]): readonly string[] =>
  argv.files ? line.map(shownArgument) : line;

/** What stands for a secret may be longer than that, and longer than a command line can be. */
function filled({ argv }: Plan, shown: unknown): Pick<Kept, "argv"> {
  try {
    return { argv: shownLine({ argv }, fill(argv, shown)) };
  } catch (error) {
    if (error instanceof AfbError) return {};
    throw error;
  }
}

/** Whether what a caller is told of its arguments may hold a secret: messages show what does not fit. */
export const hasSecrets = ({ discreet, params }: Pick<Plan, "discreet" | "params">): boolean =>
  discreet === true || (params?.writeOnly.size ?? 0) > 0;

/** Of a call that may be anything: what a secret could be in is left out. */
export function keptOfRefused(plan: Plan, args: unknown): Kept {
  if (plan.discreet) return { hidden: true };
  const writeOnly = plan.params?.writeOnly;
  if (!writeOnly || writeOnly.size === 0) return bounded({ args });
  if (!isObject(args) || isWritten(args)) return { hidden: true };
  // A name that is written wrong may have been meant for the secret.
  const known = Object.entries(args)
    .filter(([name]) => plan.argv.names.has(name))
    .map(([name, value]) => [name, writeOnly.has(name) ? SECRET : value] as const);
  return { ...bounded({ args: Object.fromEntries(known) }), hidden: true };
}

function secretsOf({ discreet, params }: Plan, args: unknown): "all" | string[] {
  if (discreet) return "all";
  if (!params || params.writeOnly.size === 0 || !isObject(args)) return [];
  return [...params.writeOnly].filter((name) => args[name] !== undefined && args[name] !== null);
}

/** What is too long is cut to its beginning. */
function bounded({ args, argv }: Pick<Kept, "args" | "argv">): Kept {
  const kept = { ...(args !== undefined && { args }), ...(argv && { argv }) };
  const size = argv ? lengthOf(argv) : (JSON.stringify(args)?.length ?? 0);
  if (size <= MOST) return kept;
  if (!argv) return { cut: size };
  let left = MOST;
  const some: string[] = [];
  for (const text of argv) {
    if (left <= 0) break;
    some.push(text.length <= left ? text : `${text.slice(0, left).toWellFormed()}…`);
    left -= text.length + 1;
  }
  return { argv: some, cut: size };
}

/** About as many bytes. */
const lengthOf = (argv: readonly string[]): number =>
  argv.reduce((sum, text) => sum + text.length + 1, 0);
