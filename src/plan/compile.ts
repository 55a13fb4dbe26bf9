/** Checked configs → plans. Every problem and notice of every config is collected before anything is refused. */
import { expand } from "../config/expand.ts";
import type { LoadedConfig } from "../config/load.ts";
import { compileParams } from "../config/params.ts";
import { ConfigError, type Problem } from "../config/problem.ts";
import type { Acls, Command, Config, Sandbox } from "../config/schema.ts";
import { Variables } from "../config/variables.ts";
import { EXEC_VERB, verbOf } from "../config/verbs.ts";
import { parseTemplate, TemplateError } from "./argv.ts";
import { compileCaps } from "./caps.ts";
import { encodePolicy } from "./encode.ts";
import { compileCgroups } from "./cgroup.ts";
import { compileEnv } from "./env.ts";
import { compileIdentity } from "./identity.ts";
import { compileLandlock } from "./landlock.ts";
import { compileLimits } from "./limits.ts";
import type { Machine } from "./machine.ts";
import { compileMounts } from "./mounts.ts";
import { compileNamespaces } from "./namespaces.ts";
import type { ActionPlans, ApiPlan, Plan, PluginPlan, SandboxPlan } from "./plan.ts";
import type { Policy } from "./policy.ts";
import { checkProgram } from "./program.ts";
import { applyProfile } from "./profile.ts";
import { mergedReport } from "./profile-merge.ts";
import { Report } from "./report.ts";
import { compileSeccomp } from "./seccomp.ts";
import { View } from "./view.ts";

const DEFAULT_UMASK = 0o022;

/** Messages on an encoder and its options; none when it can be used. */
export type CheckEncoder = (
  name: string,
  plugin: string | undefined,
  opts: Record<string, unknown>,
) => string[];

/** What a config has besides sandboxes. It is compiled where modules can be loaded: see src/plugins. */
export type Extend = (
  loaded: LoadedConfig,
  context: {
    /** Every config that is served together with this one. */
    readonly all: readonly LoadedConfig[];
    readonly expand: (text: string) => string;
    readonly report: Report;
  },
) => {
  readonly plugins: readonly PluginPlan[];
  readonly actions: ActionPlans;
  /** Knows the encoders of the plugins too. */
  readonly checkEncoder: CheckEncoder;
};

export interface CompileOptions {
  readonly machine: Machine;
  readonly checkEncoder: CheckEncoder;
  /** Without it plugins and actions are refused. */
  readonly extend?: Extend;
}

/** @throws ConfigError with every problem of every config */
export function compile(loaded: readonly LoadedConfig[], options: CompileOptions): ApiPlan[] {
  const problems: Problem[] = [];
  const blobs = new Map<string, Uint8Array>();
  const apis = loaded.map((one) => {
    const report = new Report(one.file);
    const api = new ConfigCompiler(one, options, report, blobs).api(loaded);
    problems.push(...report.problems);
    return api;
  });
  const names = new Set(apis.map((api) => api.api.toLowerCase()));
  loaded.forEach(({ file, config }) => {
    for (const [i, name] of (config.metadata.require ?? []).entries()) {
      if (names.has(name.toLowerCase())) continue;
      problems.push({
        file,
        path: `metadata.require[${i}]`,
        message: `no API ${JSON.stringify(name)} is loaded`,
      });
    }
  });
  if (problems.length > 0) throw new ConfigError(problems);
  return apis;
}

/** Keys that are understood, and whose feature is not here yet: refused, never silently left out. */
function unsupported(config: Config, report: Report): void {
  const later = (path: string) => report.problem(path, "not supported yet: remove it");
  for (const [i, sandbox] of config.sandboxes.entries()) {
    if (sandbox.acls?.label !== undefined) later(`sandboxes[${i}].acls.label`);
  }
}

/** Plugins and actions where nobody can compile them. */
function refuseExtensions(config: Config, report: Report): void {
  for (const key of ["plugins", "onload", "onstart", "events", "extra"] as const) {
    if ((config[key] ?? []).length > 0) report.problem(key, "cannot be compiled here");
  }
}

/** What the commands of a sandbox share. */
interface SandboxContext {
  readonly sandbox: Sandbox;
  readonly policy: Omit<Policy, "rlimits">;
  readonly env: Record<string, string>;
  readonly names: { api: string; sandbox: string; user: number };
  /** Throws when the program cannot be executed inside. */
  readonly checkProgram: (program: string) => void;
}

/** Remembers that a check has passed: a thousand commands may run one program. */
function once(check: (value: string) => void): (value: string) => void {
  const passed = new Set<string>();
  return (value) => {
    if (passed.has(value)) return;
    check(value);
    passed.add(value);
  };
}

class ConfigCompiler {
  readonly #config: Config;
  readonly #variables: Variables;
  #checkEncoder: CheckEncoder;

  constructor(
    readonly loaded: LoadedConfig,
    readonly options: CompileOptions,
    readonly report: Report,
    readonly blobs: Map<string, Uint8Array>,
  ) {
    const { machine } = options;
    this.#config = loaded.config;
    this.#checkEncoder = options.checkEncoder;
    this.#variables = new Variables({
      ...machine,
      config: loaded.file,
      user: machine.user(`${machine.uid}`),
    });
  }

  api(all: readonly LoadedConfig[]): ApiPlan {
    const { uid, api, info, version, author } = this.#config.metadata;
    unsupported(this.#config, this.report);
    const extension = this.#extend(all);
    const sandboxes = this.#config.sandboxes.map((sandbox, i) =>
      this.#sandbox(sandbox, `sandboxes[${i}]`),
    );
    return {
      file: this.loaded.file,
      uid,
      api,
      ...(info !== undefined && { info }),
      ...(version !== undefined && { version }),
      ...(author !== undefined && { author }),
      sandboxes,
      notices: this.report.notices,
      ...(extension && { plugins: extension.plugins, actions: extension.actions }),
    };
  }

  #extend(all: readonly LoadedConfig[]): ReturnType<Extend> | undefined {
    const { extend } = this.options;
    if (!extend) {
      refuseExtensions(this.#config, this.report);
      return undefined;
    }
    const scope = this.#variables.global();
    const expandText = (text: string) => expand(text, scope);
    const extension = extend(this.loaded, { all, expand: expandText, report: this.report });
    this.#checkEncoder = extension.checkEncoder;
    return extension;
  }

  #sandbox(own: Sandbox, path: string): SandboxPlan {
    const { machine } = this.options;
    const sandbox = applyProfile(own, machine);
    const report = mergedReport(this.report, path, own, sandbox);
    const acls = sandbox.acls ?? {};
    this.#runmod(acls, path);
    const identity = compileIdentity(acls, `${path}.acls`, machine, report);
    const names = {
      api: this.#config.metadata.api,
      sandbox: sandbox.uid,
      user: identity?.uid ?? machine.uid,
    };
    const scope = this.#variables.sandbox(names);
    const expandText = (text: string) => expand(text, scope);

    const { own: namespaces, joinNet } = compileNamespaces(
      sandbox.namespace,
      `${path}.namespace`,
      machine,
      report,
    );
    const mountContext = { own: namespaces, identity, machine, expand: expandText };
    const mounts = compileMounts(sandbox.namespace, `${path}.namespace`, mountContext, report);
    const chdir = report.attempt(`${path}.acls.chdir`, () =>
      absolute(expandText(acls.chdir ?? "/")),
    );
    const env = report.attempt(`${path}.envs`, () =>
      compileEnv(sandbox.envs ?? [], acls, identity, machine, expandText),
    );
    const policy: Omit<Policy, "rlimits"> = {
      privileged: machine.privileged,
      server: { uid: machine.uid, gid: machine.gid },
      identity,
      umask: acls.umask === undefined ? DEFAULT_UMASK : Number.parseInt(acls.umask, 8),
      chdir: chdir ?? "/",
      namespaces,
      joinNet,
      hostname: sandbox.namespace?.opts?.hostname,
      mounts,
      caps: compileCaps(
        sandbox.caps,
        `${path}.caps`,
        identity,
        namespaces.has("user"),
        machine,
        report,
      ),
      noNewPrivs: !this.#newPrivs(sandbox, path),
      cgroup: compileCgroups(sandbox.cgroups, `${path}.cgroups`, report),
      landlock: compileLandlock(sandbox.landlock, `${path}.landlock`, expandText, machine, report),
      nice: acls.nice,
      seccomp: compileSeccomp(
        this.#expandRules(sandbox, expandText),
        `${path}.seccomp`,
        machine,
        report,
      ),
    };
    const view = new View(mounts, machine.files);
    const context = {
      sandbox,
      policy,
      env: env ?? {},
      names,
      checkProgram: once((file) => checkProgram(view, file)),
    };
    const plans = sandbox.commands.flatMap((command, i) => {
      const plan = this.#command(command, `${path}.commands[${i}]`, context);
      return plan ? [plan] : [];
    });
    const exec = sandbox.exec ? this.#exec(path, context) : undefined;
    return {
      uid: sandbox.uid,
      ...(sandbox.info !== undefined && { info: sandbox.info }),
      plans,
      ...(exec && { exec }),
    };
  }

  /** What the exec verb adds a program and its arguments to. */
  #exec(path: string, { sandbox, policy, env, names }: SandboxContext): Plan | undefined {
    const message = "whoever may call exec can run any program in this sandbox";
    const who = sandbox.privilege ? `, with the privilege ${sandbox.privilege}` : "";
    this.report.notice(`${path}.exec`, message + who);
    const rlimits = this.report.attempt(`${path}.limits`, () =>
      compileLimits({ ...sandbox.limits }),
    );
    if (!rlimits) return undefined;
    const whole: Policy = { ...policy, rlimits };
    return {
      api: names.api,
      verb: EXEC_VERB,
      command: EXEC_VERB,
      sandbox: sandbox.uid,
      privileges: sandbox.privilege ? [sandbox.privilege] : [],
      timeout: Math.round((sandbox.acls?.timeout ?? 0) * 1000),
      concurrency: 0,
      ...(sandbox.detach === false && { detach: false }),
      verbose: sandbox.verbose ?? 0,
      encoder: { name: "text", opts: {} },
      argv: { elements: [], names: new Set() },
      env,
      policy: whole,
      ops: this.#intern(encodePolicy(whole)),
    };
  }

  #runmod(acls: Acls, path: string): void {
    const { privileged } = this.options.machine;
    if (acls.runmod === "admin" && !privileged) {
      this.report.problem(`${path}.acls.runmod`, `"admin": this config must be served by root`);
    }
    if (acls.runmod === "user" && privileged) {
      this.report.problem(`${path}.acls.runmod`, `"user": this config must not be served by root`);
    }
  }

  /** Said out loud, since it gives set-user-id programs their power back. */
  #newPrivs(sandbox: Sandbox, path: string): boolean {
    if (!sandbox.acls?.newPrivs) return false;
    const at = `${path}.acls.newPrivs`;
    if (sandbox.seccomp !== undefined || sandbox.landlock !== undefined) {
      this.report.problem(
        at,
        "cannot be combined with seccomp or landlock: both need no_new_privs once privileges are dropped",
      );
    }
    this.report.notice(
      at,
      "commands of this sandbox can gain privileges through set-user-id programs and file capabilities",
    );
    return true;
  }

  #expandRules(sandbox: Sandbox, expandText: (text: string) => string): Sandbox["seccomp"] {
    if (sandbox.seccomp?.rulespath === undefined) return sandbox.seccomp;
    return { ...sandbox.seccomp, rulespath: expandText(sandbox.seccomp.rulespath) };
  }

  #command(
    command: Command,
    path: string,
    { sandbox, policy: sandboxPolicy, env, names, checkProgram: check }: SandboxContext,
  ): Plan | undefined {
    const { report } = this;
    const scope = this.#variables.command({ ...names, command: command.uid });
    const expandText = (text: string) => expand(text, scope);
    const before = report.problems.length;

    const argv = this.#template(command, `${path}.exec`, expandText);
    const program = argv?.elements[0]?.[0];
    if (program?.kind === "text") report.attempt(`${path}.exec.cmdpath`, () => check(program.text));
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
    for (const message of this.#checkEncoder(output, plugin, expanded ?? {}))
      report.problem(`${path}.encoder`, message);

    const rlimits = report.attempt(`${path}.limits`, () =>
      compileLimits({ ...sandbox.limits, ...command.limits }),
    );
    if (!argv || !expanded || !rlimits || report.problems.length > before) return undefined;

    const policy: Policy = { ...sandboxPolicy, rlimits };
    const { info, usage, sample } = command;
    return {
      api: names.api,
      verb: verbOf(this.#config, sandbox, command),
      command: command.uid,
      sandbox: sandbox.uid,
      ...(info !== undefined && { info }),
      ...(usage !== undefined && { usage }),
      ...(sample !== undefined && { sample }),
      privileges: [sandbox.privilege, command.privilege].filter(
        (name) => name !== undefined && name !== "",
      ) as string[],
      timeout: Math.round((command.timeout ?? sandbox.acls?.timeout ?? 0) * 1000),
      concurrency: command.single ? 1 : (command.concurrency ?? 0),
      ...((command.detach ?? sandbox.detach) === false && { detach: false }),
      verbose: command.verbose ?? sandbox.verbose ?? 0,
      encoder: { name: output, ...(plugin !== undefined && { plugin }), opts: expanded },
      argv,
      ...(params && { params }),
      env,
      policy,
      ops: this.#intern(encodePolicy(policy)),
    };
  }

  #template(command: Command, path: string, expandText: (text: string) => string) {
    try {
      return parseTemplate(command.exec.cmdpath, command.exec.args ?? [], expandText);
    } catch (error) {
      if (!(error instanceof TemplateError)) throw error;
      for (const fault of error.faults) this.report.problem(`${path}.${fault.path}`, fault.message);
      return undefined;
    }
  }

  /** Equal blobs are one object: a thousand commands of one sandbox share one memfd. */
  #intern(blob: Uint8Array): Uint8Array {
    const key = Bun.hash.xxHash3(blob).toString() + blob.length;
    const known = this.blobs.get(key);
    if (known && Buffer.compare(known, blob) === 0) return known;
    this.blobs.set(key, blob);
    return blob;
  }
}

function absolute(path: string): string {
  if (!path.startsWith("/")) throw new Error(`${JSON.stringify(path)} must be an absolute path`);
  if (path.includes("\0")) throw new Error("contains a NUL byte");
  return path;
}
