/** Checked configs → plans. Every problem and notice of every config is collected before anything is refused. */
import { findCased } from "../cased.ts";
import { expand } from "../config/expand.ts";
import { compileLimits, unboundProcesses } from "./limits.ts";
import { Blobs, Policies } from "./policies.ts";
import type { LoadedConfig } from "../config/load.ts";
import { suggestion } from "../config/nearest.ts";
import { ConfigError, type Problem } from "../config/problem.ts";
import type { Command } from "../config/command-schema.ts";
import type { Config, Sandbox } from "../config/schema.ts";
import { Variables } from "../config/variables.ts";
import { BUILTIN_API, verbOf } from "../config/verbs.ts";
import {
  type CheckEncoder,
  compileCommand,
  compileExec,
  privilegesOf,
  type SandboxContext,
} from "./compile-command.ts";
import { checkImports, compileImports } from "./compile-imports.ts";
import { compilePolicy, compileWho } from "./compile-policy.ts";
import { compileStop } from "./ending.ts";
import { compileEnv } from "./env.ts";
import { compileSecrets } from "./secrets.ts";
import type { Machine } from "./machine.ts";
import type { ActionPlans, ApiPlan, PluginPlan, SandboxPlan, UnavailableVerb } from "./plan.ts";
import { applyProfile } from "./profile.ts";
import { mergedReport } from "./profile-merge.ts";
import { Programs } from "./programs.ts";
import { Report } from "./report.ts";
import { withSharedPlaces } from "./shared-places.ts";

export type { CheckEncoder };

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
  const blobs = new Blobs();
  const programs = new Programs(options.machine);
  const apis = loaded.map((one) => {
    const report = new Report(one.file);
    const api = new ConfigCompiler(one, options, report, blobs, programs).api(loaded);
    problems.push(...report.problems);
    return api;
  });
  problems.push(...checkImports(apis));
  const names = new Set([
    BUILTIN_API,
    ...apis.flatMap(({ api, imports = [] }) => [api, ...imports.map(({ name }) => name)]),
  ]);
  loaded.forEach(({ file, config }) => {
    for (const [i, name] of (config.metadata.require ?? []).entries()) {
      if (findCased(name, names) !== undefined) continue;
      problems.push({
        file,
        path: `metadata.require[${i}]`,
        message: `no API ${JSON.stringify(name)} is loaded${suggestion(name, names)}`,
      });
    }
  });
  if (problems.length > 0) throw new ConfigError(problems);
  return [...withSharedPlaces(apis, blobs)];
}

/** Plugins and actions where nobody can compile them. */
function refuseExtensions(config: Config, report: Report): void {
  for (const key of ["plugins", "onload", "onstart", "events", "extra"] as const) {
    if ((config[key] ?? []).length > 0) report.problem(key, "cannot be compiled here");
  }
}

class ConfigCompiler {
  readonly #config: Config;
  readonly #variables: Variables;
  #checkEncoder: CheckEncoder;

  constructor(
    readonly loaded: LoadedConfig,
    readonly options: CompileOptions,
    readonly report: Report,
    readonly blobs: Blobs,
    readonly programs: Programs,
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
    const { uid, api, info, version, author, date, http } = this.#config.metadata;
    if (date !== undefined) this.report.notice("metadata.date", "not used, here or in `info`");
    const extension = this.#extend(all);
    const scope = this.#variables.api(api);
    const expandText = (text: string) => expand(text, scope);
    const imports = compileImports(this.loaded, this.options.machine, expandText, this.report);
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
      ...(http === "afb" && { http }),
      sandboxes,
      notices: this.report.notices,
      ...(extension && { plugins: extension.plugins, actions: extension.actions }),
      ...(imports.length > 0 && { imports }),
      ...this.#offered(sandboxes, extension),
    };
  }

  /** A name that is no verb is a mistake; one that is missing here may be had elsewhere. */
  #offered(
    sandboxes: readonly SandboxPlan[],
    extension: ReturnType<Extend> | undefined,
  ): Pick<ApiPlan, "mcp"> {
    const { mcp } = this.#config;
    if (!mcp) return {};
    const verbs = [
      ...sandboxes.flatMap(({ plans, unavailable = [] }) => [...plans, ...unavailable]),
    ].map(({ verb }) => verb);
    verbs.push(...(extension?.actions.extra ?? []).map(({ uid }) => uid));
    const known = new Set(verbs.map((verb) => verb.toLowerCase()));
    for (const [i, name] of mcp.entries()) {
      if (/[*?]|^!\(/.test(name) || known.has(name.toLowerCase())) continue;
      this.report.notice(`mcp[${i}]`, `no verb \`${name}\` to offer${suggestion(name, verbs)}`);
    }
    return { mcp };
  }

  #extend(all: readonly LoadedConfig[]): ReturnType<Extend> | undefined {
    const { extend } = this.options;
    if (!extend) {
      refuseExtensions(this.#config, this.report);
      return undefined;
    }
    const scope = this.#variables.api(this.#config.metadata.api);
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
    const before = this.report.problems.length;
    const identity = compileWho(acls, path, machine, report);
    const names = {
      api: this.#config.metadata.api,
      sandbox: sandbox.uid,
      user: identity?.uid ?? machine.uid,
    };
    const scope = this.#variables.sandbox(names);
    const expandText = (text: string) => expand(text, scope);

    const policy = compilePolicy(sandbox, path, identity, machine, expandText, report);
    const environment = report.attempt(`${path}.envs`, () =>
      compileEnv(sandbox.envs ?? [], acls, identity, machine, expandText),
    );
    const secrets = report.attempt(`${path}.envs`, () =>
      compileSecrets(sandbox.envs ?? [], sandbox.envfile ?? [], expandText),
    );
    const unbound = unboundProcesses(own.limits, policy);
    if (unbound !== undefined) report.notice(`${path}.limits.nproc`, unbound);
    // What stands against the whole sandbox here stops nobody who can do without it.
    const found = own.optional ? this.report.take(before) : [];
    const against = found.map(({ message }) => message).join("; ") || undefined;
    const env = environment?.env ?? {};
    const programs = this.programs.inside(policy, env);
    const context: SandboxContext = {
      sandbox,
      policy,
      env,
      keptBack: environment?.keptBack ?? [],
      secrets,
      api: names.api,
      audit: this.#config.audit,
      history: this.#config.history,
      stop: compileStop(sandbox.stop, `${path}.stop`, report),
      ownLimits: own.limits,
      rlimits: report.attempt(`${path}.limits`, () => compileLimits(sandbox.limits)) ?? [],
      report: this.report,
      machine,
      programs,
      checkEncoder: this.#checkEncoder,
      policies: new Policies(policy, this.blobs),
    };
    const unavailable: UnavailableVerb[] = [];
    const missing = (place: string, verb: string, command: Command, reason: string) => {
      report.notice(place, `not available: ${reason}`);
      const { uid, info } = command;
      const privileges = privilegesOf(sandbox, command);
      unavailable.push({
        ...{ verb, command: uid, privileges, reason },
        ...(info !== undefined && { info }),
      });
    };
    const plans = sandbox.commands.flatMap((command, i) => {
      const scope = this.#variables.command({ ...names, command: command.uid });
      const verb = verbOf(this.#config, sandbox, command);
      const place = `${path}.commands[${i}]`;
      const plan = compileCommand(command, place, verb, scope, context);
      if (plan === undefined) return [];
      const why = against ?? ("missing" in plan ? plan.missing : undefined);
      if (why !== undefined) missing(place, verb, command, why);
      return "missing" in plan || against !== undefined ? [] : [plan];
    });
    const exec = sandbox.exec && against === undefined ? compileExec(path, context) : undefined;
    return {
      uid: sandbox.uid,
      ...(sandbox.info !== undefined && { info: sandbox.info }),
      plans,
      ...(unavailable.length > 0 && { unavailable }),
      ...(exec && { exec }),
    };
  }
}
