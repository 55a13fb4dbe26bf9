/** One command of a config → its plan. */
import { dirname, resolve } from "node:path";
import { expand, type Scope } from "../config/expand.ts";
import { compileParams } from "../config/params.ts";
import { milliseconds } from "../config/ranges.ts";
import type { Command } from "../config/command-schema.ts";
import type { Config, Sandbox } from "../config/schema.ts";
import { EXEC_VERB } from "../config/verbs.ts";
import { isWritten } from "../numbers.ts";
import { isObject } from "../object.ts";
import { parseTemplate, TemplateError } from "./argv.ts";
import type { Policy, SandboxPolicy } from "./policy.ts";
import type { Policies } from "./policies.ts";
import { compilePty } from "./pty.ts";
import { compileHttp } from "./http-status.ts";
import { compileStop, type Ending } from "./ending.ts";
import { compileInput } from "./input.ts";
import { compileHistory } from "./kept-output.ts";
import { compileLimits, limitsOfProfile, unboundProcesses } from "./limits.ts";
import type { Machine } from "./machine.ts";
import type { Plan } from "./plan.ts";
import type { Report } from "./report.ts";
import type { Secrets } from "./secrets.ts";
import type { ProgramsInside } from "./programs.ts";
import { compileTool } from "./tool.ts";
import { compileWebhook } from "./webhook.ts";

/** What is to be said of an encoder and its options; no problems when it can be used, with the options that it is to have. */
export type CheckEncoder = (
  name: string,
  plugin: string | undefined,
  opts: Record<string, unknown>,
  /** That of the config: what relative paths are below. */
  directory: string,
) => {
  readonly problems: readonly string[];
  readonly notices: readonly string[];
  readonly opts: Record<string, unknown>;
};

/** What the commands of a sandbox share. */
export interface SandboxContext {
  readonly sandbox: Sandbox;
  readonly policy: SandboxPolicy;
  readonly env: Record<string, string>;
  readonly keptBack: readonly string[];
  readonly secrets: Secrets | undefined;
  readonly api: string;
  /** Of all commands of the config: what is told and kept of calls. */
  readonly audit: Config["audit"];
  /** The same: what is kept of output, unless sandbox or command say it. */
  readonly history: Config["history"];
  /** How its commands end, unless they say it. */
  readonly stop: Ending | undefined;
  readonly report: Report;
  readonly machine: Machine;
  /** The limits that it sets itself, not its profile. */
  readonly ownLimits: Sandbox["limits"];
  /** Both. */
  readonly rlimits: Policy["rlimits"];
  readonly programs: ProgramsInside;
  readonly checkEncoder: CheckEncoder;
  /** Its policy with the limits of a command, encoded. */
  readonly policies: Policies;
}

/** The permissions a caller of the command needs, all of them. */
export const privilegesOf = (sandbox: Sandbox, command: Command): string[] =>
  [...new Set([sandbox.privilege, command.privilege])].filter(
    (name): name is string => name !== undefined && name !== "",
  );

export const isOptional = (sandbox: Sandbox, command: Command): boolean =>
  command.optional ?? sandbox.optional ?? false;

/** `scope` has the variables of its texts; undefined after a problem, and why where it may be missing, and is. */
export function compileCommand(
  command: Command,
  path: string,
  verb: string,
  scope: Scope,
  context: SandboxContext,
): Plan | { readonly missing: string } | undefined {
  const { sandbox, policy: sandboxPolicy, env, keptBack, secrets, api, report, policies } = context;
  const expandText = (text: string) => expand(text, scope);
  const before = report.problems.length;

  const argv = compileTemplate(command, `${path}.exec`, expandText, report);
  const program = argv?.elements[0]?.[0];
  const lacks =
    program?.kind === "text" ? faultOf(() => context.programs.check(program.text)) : undefined;
  const optional = isOptional(sandbox, command);
  if (program?.kind === "text" && lacks === undefined) {
    const changeable = context.programs.changeable(program.text);
    if (changeable !== undefined) report.notice(`${path}.exec.cmdpath`, changeable);
  }
  if (lacks !== undefined && !optional) report.problem(`${path}.exec.cmdpath`, lacks);
  const params =
    command.params &&
    compileParams(
      command.params,
      `${path}.params`,
      (at, message) => report.problem(at, message),
      argv?.names,
    );

  const { output, plugin, opts = {} } = command.encoder ?? { output: "text" };
  const expanded = report.attempt(`${path}.encoder.opts`, () =>
    Object.fromEntries(
      Object.entries(opts).map(([key, value]) => [
        key,
        typeof value === "string" ? expandText(value) : value,
      ]),
    ),
  );
  const directory = dirname(resolve(report.file));
  const encoder = context.checkEncoder(output, plugin, expanded ?? {}, directory);
  for (const message of encoder.problems) report.problem(`${path}.encoder`, message);
  for (const message of encoder.notices) report.notice(`${path}.encoder`, message);

  const limits = report.attempt(`${path}.limits`, () => compileLimits(command.limits));
  const unbound = unboundProcesses(command.limits, sandboxPolicy);
  if (unbound !== undefined) report.notice(`${path}.limits.nproc`, unbound);
  const webhook = compileWebhook(
    command,
    `${path}.webhook`,
    { names: argv?.names ?? new Set(), guarded: sandbox.privilege !== undefined },
    expandText,
    report,
  );
  tellPty(command, sandboxPolicy, path, report);
  const http = compileHttp(command, `${path}.http`, report);
  const told = auditOf(context, command);
  const kept = compileHistory(
    [context.history, sandbox.history],
    command.history,
    (params?.writeOnly.size ?? 0) > 0 || "discreet" in told,
    `${path}.history`,
    report,
  );
  const input = compileInput(command, path, report);
  const stop = compileStop(command.stop, `${path}.stop`, report, context.stop);
  if (!argv || !expanded || !limits || report.problems.length > before) return undefined;
  if (lacks !== undefined) return { missing: lacks };

  const own = { ...context.ownLimits, ...command.limits };
  const profileLimits = limitsOfProfile(sandbox.limits, own);
  const rlimits = [...new Map([...context.rlimits, ...limits])];
  const pty = compilePty(command.pty, sandboxPolicy, context.machine.arch);
  const { policy, ops, waiting } = policies.with({ rlimits, profileLimits, pty });
  const { info, label, usage, sample } = command;
  const size = command.pool ?? sandbox.pool ?? 0;
  return {
    api,
    verb,
    command: command.uid,
    sandbox: sandbox.uid,
    ...(info !== undefined && { info }),
    ...(label !== undefined && { label }),
    ...(usage !== undefined && { usage }),
    ...(sample !== undefined && { sample }),
    privileges: privilegesOf(sandbox, command),
    timeout: milliseconds(command.timeout ?? sandbox.acls?.timeout ?? 0),
    ...(stop && { stop }),
    concurrency: command.single ? 1 : (command.concurrency ?? 0),
    sandboxConcurrency: sandbox.concurrency ?? 0,
    ...(optional && { optional: true as const }),
    ...((command.detach ?? sandbox.detach) === false && { detach: false }),
    ...(command.confirm && { confirm: true as const }),
    verbose: command.verbose ?? sandbox.verbose ?? 0,
    ...bufferOf(command.buffer ?? sandbox.buffer),
    encoder: { name: output, ...(plugin !== undefined && { plugin }), opts: encoder.opts },
    argv,
    ...(params && { params }),
    ...(webhook && { webhook }),
    ...compileTool(command, policy),
    ...http,
    ...input,
    ...told,
    ...kept,
    env: pty ? onTerminal(env, sandbox) : env,
    ...(secrets && { secrets }),
    ...(keptBack.length > 0 && { keptBack }),
    policy,
    ops,
    ...(size > 0 && { pool: { size, ops: waiting() } }),
  };
}

/** A filter goes with it. */
function tellPty(
  { pty = false, encoder }: Command,
  { noNewPrivs, privileged, namespaces }: SandboxPolicy,
  path: string,
  report: Report,
): void {
  if (pty === false) return;
  if (!noNewPrivs && !privileged && !namespaces.has("user")) {
    report.problem(
      `${path}.pty`,
      "cannot be combined with newPrivs here: an ordinary user's filter needs no_new_privs, or a user namespace",
    );
  }
  if (encoder?.output === "json") {
    report.notice(
      `${path}.pty`,
      "a terminal has one stream: what the command prints to stderr comes among its JSON, as json-error where it is none",
    );
  }
}

/** What the exec verb adds a program and its arguments to. */
export function compileExec(path: string, context: SandboxContext): Plan | undefined {
  const { sandbox, env, keptBack, secrets, api, report, policies, ownLimits, rlimits } = context;
  const { audit, history, stop } = context;
  const told = auditOf({ audit, sandbox });
  const place = `${path}.history`;
  const kept = compileHistory([history], sandbox.history, "discreet" in told, place, report);
  const message = "whoever may call exec can run any program in this sandbox";
  const who = sandbox.privilege ? `, with the privilege ${sandbox.privilege}` : "";
  report.notice(`${path}.exec`, message + who);
  const profileLimits = limitsOfProfile(sandbox.limits, ownLimits);
  const { policy, ops } = policies.with({ rlimits, profileLimits });
  return {
    api,
    verb: EXEC_VERB,
    command: EXEC_VERB,
    sandbox: sandbox.uid,
    privileges: sandbox.privilege ? [sandbox.privilege] : [],
    timeout: milliseconds(sandbox.acls?.timeout ?? 0),
    ...(stop && { stop }),
    concurrency: 0,
    sandboxConcurrency: sandbox.concurrency ?? 0,
    ...(sandbox.optional && { optional: true as const }),
    ...(sandbox.detach === false && { detach: false }),
    verbose: sandbox.verbose ?? 0,
    ...bufferOf(sandbox.buffer),
    encoder: { name: "text", opts: {} },
    argv: { elements: [], names: new Set() },
    ...told,
    ...kept,
    env,
    ...(secrets && { secrets }),
    ...(keptBack.length > 0 && { keptBack }),
    policy,
    ops,
  };
}

/** That of the server's environment is another terminal: nobody knows what looks at this one. */
const onTerminal = (env: Record<string, string>, { envs = [] }: Sandbox): Record<string, string> =>
  envs.some(({ name }) => name === "TERM") ? env : { ...env, TERM: "dumb" };

/** Whoever says it is obeyed: an inner place cannot take it back. */
function auditOf(
  { audit, sandbox }: Pick<SandboxContext, "audit" | "sandbox">,
  command: Pick<Command, "audit"> = {},
) {
  const said = [audit, sandbox.audit, command.audit];
  return {
    ...(said.some((one) => one?.args === false) && { discreet: true as const }),
    ...(said.some((one) => one?.required === true) && { audited: true as const }),
  };
}

const bufferOf = (buffer: number | undefined) => (buffer === undefined ? {} : { buffer });

/** The arguments that `params` and the samples name. */
function declaredBy({ params = {}, sample = [] }: Command): ReadonlySet<string> {
  const keysOf = (value: unknown) =>
    isObject(value) && !isWritten(value) ? Object.keys(value) : [];
  const named = sample.flatMap((one) => [
    ...keysOf(one),
    ...(isObject(one) ? keysOf(one["args"]) : []),
  ]);
  return new Set([...Object.keys(params), ...named]);
}

/** What a check throws, in words. */
function faultOf(check: () => void): string | undefined {
  try {
    check();
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

function compileTemplate(
  command: Command,
  path: string,
  expandText: (text: string) => string,
  report: Report,
) {
  try {
    return parseTemplate(
      command.exec.cmdpath,
      command.exec.args ?? [],
      expandText,
      declaredBy(command),
    );
  } catch (error) {
    if (!(error instanceof TemplateError)) throw error;
    for (const fault of error.faults) report.problem(`${path}.${fault.path}`, fault.message);
    return undefined;
  }
}
