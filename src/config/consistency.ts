/** What one value of a config demands of another: the checks that need no machine. */
import type { Draft } from "./conform.ts";
import { compileParams } from "./params.ts";
import { element, type Report } from "./place.ts";
import type { Config } from "./schema.ts";
import { isObject } from "../object.ts";
import { BUILTIN_API, BUILTIN_VERBS, EXEC_VERB, verbOf } from "./verbs.ts";

/** Reports contradictions and duplicates among the parts that are there. */
export function checkConsistency(config: Draft<Config>, report: Report): void {
  const api = config.metadata?.api;
  if (api === BUILTIN_API) {
    report("metadata.api", `the API \`${api}\` is built in; choose another name`);
  }
  const fault = api === undefined ? undefined : unnameable(api);
  if (fault !== undefined) report("metadata.api", `the API ${JSON.stringify(api)} ${fault}`);
  const sandboxes = config.sandboxes ?? [];
  const uids = unique("sandbox uid", report);
  const verbs = unique("verb", report);
  const builtins = new Set(BUILTIN_VERBS);
  if (sandboxes.some((sandbox) => sandbox?.exec === true)) builtins.add(EXEC_VERB);
  const checkVerb = (verb: string, path: () => string) => {
    const fault = unnameable(verb);
    if (fault !== undefined) return report(path(), `the verb ${JSON.stringify(verb)} ${fault}`);
    if (builtins.has(verb)) {
      report(path(), `the verb \`${verb}\` is built in; rename it, or give its sandbox a prefix`);
    } else {
      verbs(verb, path);
    }
  };

  for (const [s, sandbox] of sandboxes.entries()) {
    if (sandbox === undefined) continue;
    const place = element("sandboxes", s);
    if (sandbox.uid !== undefined) uids(sandbox.uid, () => `${place}.uid`);
    if (sandbox.seccomp?.rules !== undefined && sandbox.seccomp.rulespath !== undefined) {
      report(`${place}.seccomp`, "`rules` and `rulespath` exclude each other; keep one");
    }
    for (const [e, env] of (sandbox.envs ?? []).entries()) {
      if (env?.file === undefined) continue;
      const at = `${element(`${place}.envs`, e)}.file`;
      if (env.value !== undefined) report(at, "`value` and `file` exclude each other; keep one");
      if (env.mode === "unset")
        report(at, "what is unset has no value: take `file` or `mode` away");
    }
    const commandUids = unique("command uid of this sandbox", report);
    for (const [c, command] of (sandbox.commands ?? []).entries()) {
      // Of thousands most are right, and nobody asks.
      const where = () => element(`${place}.commands`, c);
      for (const [a, arg] of (command?.exec?.args ?? []).entries()) {
        if (arg === undefined || typeof arg === "string") continue;
        if (arg.arg !== undefined || arg.file !== undefined) continue;
        report(
          element(`${where()}.exec.args`, a),
          "missing key `arg` or `file`: what the argument is",
        );
      }
      if (command?.params !== undefined) compileParams(command.params, `${where()}.params`, report);
      if (command?.tool?.result !== undefined)
        checkResult(command.tool.result, command.encoder?.output, `${where()}.tool.result`, report);
      if (command?.uid === undefined) continue;
      const itself = () => `${where()}.uid`;
      const fresh = commandUids(command.uid, itself);
      const { uid, prefix } = sandbox;
      // Without its sandbox's uid the verb is unknown; a uid given twice is already told.
      if (!fresh || uid === undefined) continue;
      checkVerb(verbOf({ sandboxes }, { uid, prefix }, { uid: command.uid }), itself);
    }
  }
  for (const [i, extra] of (config.extra ?? []).entries()) {
    if (extra?.uid !== undefined) checkVerb(extra.uid, () => `${element("extra", i)}.uid`);
  }
}

/** Programs are told that what it prints is so: it is looked at as the arguments are. */
function checkResult(
  result: unknown,
  encoder: string | undefined,
  path: string,
  report: Report,
): void {
  if (encoder !== "json")
    return report(path, "only the encoder json makes a value: say `encoder`: `json`");
  if (!isObject(result) || result["type"] !== "object")
    return report(path, 'expected a JSON Schema with "type": "object"');
  compileParams({ result }, path, (at, message) =>
    report(
      at.startsWith(`${path}.result`) ? path + at.slice(`${path}.result`.length) : at,
      message,
    ),
  );
}

/** Remembers names; a name met again is reported together with where it stood first, and answered with false. */
function unique(what: string, report: Report) {
  const seen = new Map<string, () => string>();
  return (name: string, path: () => string): boolean => {
    const first = seen.get(name);
    if (first === undefined) {
      seen.set(name, path);
      return true;
    }
    report(path(), `duplicate ${what} \`${name}\`: already at ${first()}`);
    return false;
  };
}

/** Why no URL can name the API or verb, if so: clients and proxies fold `.` and `..`, and blanks end a request line. */
export function unnameable(name: string): string | undefined {
  if (/[\s\p{Cc}]/u.test(name)) return "contains a blank or a control character";
  if (name.split("/").some((part) => part === "." || part === ".."))
    return 'has a part "." or ".."';
  if (!name.isWellFormed()) return "contains half of a surrogate pair";
  return undefined;
}
