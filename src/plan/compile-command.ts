/** One command of a config → its plan. */
import { dirname, resolve } from "node:path";
import { expand, type Scope } from "../config/expand.ts";
import { compileParams } from "../config/params.ts";
import { milliseconds } from "../config/ranges.ts";
import type { Command, Sandbox } from "../config/schema.ts";
import { EXEC_VERB } from "../config/verbs.ts";
import { isObject } from "../object.ts";
import { parseTemplate, TemplateError } from "./argv.ts";
import type { SandboxPolicy } from "./compile-policy.ts";
import { encodePolicy } from "./encode.ts";
import { compileLimits } from "./limits.ts";
import type { Plan } from "./plan.ts";
import type { Policy } from "./policy.ts";
import type { Report } from "./report.ts";

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
  readonly api: string;
  readonly report: Report;
  /** Throws when the program cannot be executed inside. */
  readonly checkProgram: (program: string) => void;
  readonly checkEncoder: CheckEncoder;
  readonly blobs: Blobs;
}

/** Equal blobs are one object: a thousand commands of one sandbox share one memfd. */
export class Blobs {
  readonly #known = new Map<string, Uint8Array>();

  intern(blob: Uint8Array): Uint8Array {
    const key = Bun.hash.xxHash3(blob).toString() + blob.length;
    const known = this.#known.get(key);
    if (known && Buffer.compare(known, blob) === 0) return known;
    this.#known.set(key, blob);
    return blob;
  }
}

/** `scope` has the variables of its texts; undefined after a problem. */
export function compileCommand(
  command: Command,
  path: string,
  verb: string,
  scope: Scope,
  context: SandboxContext,
): Plan | undefined {
  const { sandbox, policy: sandboxPolicy, env, keptBack, api, report, blobs } = context;
  const expandText = (text: string) => expand(text, scope);
  const before = report.problems.length;

  const argv = compileTemplate(command, `${path}.exec`, expandText, report);
  const program = argv?.elements[0]?.[0];
  if (program?.kind === "text")
    report.attempt(`${path}.exec.cmdpath`, () => context.checkProgram(program.text));
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

  const rlimits = report.attempt(`${path}.limits`, () =>
    compileLimits({ ...sandbox.limits, ...command.limits }),
  );
  if (!argv || !expanded || !rlimits || report.problems.length > before) return undefined;

  const policy: Policy = { ...sandboxPolicy, rlimits };
  const { info, usage, sample } = command;
  const size = command.pool ?? sandbox.pool ?? 0;
  return {
    api,
    verb,
    command: command.uid,
    sandbox: sandbox.uid,
    ...(info !== undefined && { info }),
    ...(usage !== undefined && { usage }),
    ...(sample !== undefined && { sample }),
    privileges: [...new Set([sandbox.privilege, command.privilege])].filter(
      (name) => name !== undefined && name !== "",
    ) as string[],
    timeout: milliseconds(command.timeout ?? sandbox.acls?.timeout ?? 0),
    concurrency: command.single ? 1 : (command.concurrency ?? 0),
    sandboxConcurrency: sandbox.concurrency ?? 0,
    ...((command.detach ?? sandbox.detach) === false && { detach: false }),
    verbose: command.verbose ?? sandbox.verbose ?? 0,
    ...bufferOf(command.buffer ?? sandbox.buffer),
    encoder: { name: output, ...(plugin !== undefined && { plugin }), opts: encoder.opts },
    argv,
    ...(params && { params }),
    env,
    ...(keptBack.length > 0 && { keptBack }),
    policy,
    ops: blobs.intern(encodePolicy(policy)),
    ...(size > 0 && { pool: { size, ops: blobs.intern(encodePolicy(policy, true)) } }),
  };
}

/** What the exec verb adds a program and its arguments to. */
export function compileExec(
  path: string,
  { sandbox, policy, env, keptBack, api, report, blobs }: SandboxContext,
): Plan | undefined {
  const message = "whoever may call exec can run any program in this sandbox";
  const who = sandbox.privilege ? `, with the privilege ${sandbox.privilege}` : "";
  report.notice(`${path}.exec`, message + who);
  const rlimits = report.attempt(`${path}.limits`, () => compileLimits({ ...sandbox.limits }));
  if (!rlimits) return undefined;
  const whole: Policy = { ...policy, rlimits };
  return {
    api,
    verb: EXEC_VERB,
    command: EXEC_VERB,
    sandbox: sandbox.uid,
    privileges: sandbox.privilege ? [sandbox.privilege] : [],
    timeout: milliseconds(sandbox.acls?.timeout ?? 0),
    concurrency: 0,
    sandboxConcurrency: sandbox.concurrency ?? 0,
    ...(sandbox.detach === false && { detach: false }),
    verbose: sandbox.verbose ?? 0,
    ...bufferOf(sandbox.buffer),
    encoder: { name: "text", opts: {} },
    argv: { elements: [], names: new Set() },
    env,
    ...(keptBack.length > 0 && { keptBack }),
    policy: whole,
    ops: blobs.intern(encodePolicy(whole)),
  };
}

const bufferOf = (buffer: number | undefined) => (buffer === undefined ? {} : { buffer });

/** The arguments that `params` and the samples name. */
function declaredBy({ params = {}, sample = [] }: Command): ReadonlySet<string> {
  const named = sample.filter(isObject).flatMap((one) => {
    const args = isObject(one["args"]) ? Object.keys(one["args"]) : [];
    return [...Object.keys(one), ...args];
  });
  return new Set([...Object.keys(params), ...named]);
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
