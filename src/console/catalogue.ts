/** What the server has: its APIs, their sandboxes and verbs, and what the caller may know of each sandbox. */
import type { Api, Explained, Sandbox, Verb } from "./model.ts";
import { signal } from "./signal.ts";
import { call, succeeded } from "./connection.ts";
import { type Json, isObject, listOf, numberOf, objectOf, textOf, textsOf } from "./json.ts";

/** undefined before the server has told. */
export const catalogue = signal<readonly Api[] | undefined>(undefined);
/** Why it has not. */
export const problem = signal("");

/** This server calls boards of a fleet. */
export const isOperator = signal(false);

export const verbsOf = ({ sandboxes, others }: Pick<Api, "sandboxes" | "others">): Verb[] => [
  ...sandboxes.flatMap(({ verbs }) => verbs),
  ...others,
];

export const findSandbox = (api: string, uid: string): Sandbox | undefined =>
  catalogue.value?.find(({ name }) => name === api)?.sandboxes.find((one) => one.uid === uid);

export const findVerb = (api: string, verb: string): Verb | undefined =>
  catalogue.value
    ?.filter(({ name }) => name === api)
    .flatMap(verbsOf)
    .find(({ name }) => name === verb);

/** Whether the caller lacks something for it, as far as the server tells. */
export function isLocked({ api, name, sandbox, privileges }: Verb): boolean {
  if (privileges.length === 0 || sandbox === undefined) return false;
  return !findSandbox(api, sandbox)?.explained?.verbs.includes(name);
}

export async function loadCatalogue(): Promise<void> {
  const [apis, explain] = await Promise.all([
    call("monitor/get", { apis: true }),
    call("monitor/explain"),
  ]);
  if (!succeeded(apis)) {
    problem.value = apis.info;
    return;
  }
  problem.value = "";
  const explained = succeeded(explain) ? listOf(explain.response).filter(isObject) : [];
  const all = objectOf(objectOf(apis.response)["apis"]);
  const described = Object.entries(all);
  isOperator.value = "/fleet/boards" in objectOf(objectOf(all["monitor"])["paths"]);
  catalogue.value = await Promise.all(
    described
      .filter(([name]) => name !== "monitor")
      .map(([name, about]) => readApi(name, objectOf(about), explained)),
  );
}

async function readApi(name: string, openapi: Json, explained: readonly Json[]): Promise<Api> {
  const told = await call(`${name}/info`);
  const info = objectOf(told.response);
  const groups = listOf(info["groups"]).filter(isObject);
  const paths = objectOf(openapi["paths"]);
  const sandboxes = groups
    .filter(({ uid }) => uid !== "extra")
    .map((group) => readSandbox(name, group, paths, explained));
  const known = new Set(sandboxes.flatMap(({ verbs }) => verbs.map((verb) => verb.name)));
  const others = Object.entries(paths)
    .map(([path, about]) => readVerb(name, path.slice(1), objectOf(about), {}, undefined))
    .filter(({ name: verb }) => !known.has(verb) && !["ping", "info", "exec"].includes(verb));
  return {
    name,
    info: textOf(objectOf(openapi["info"])["description"]),
    sandboxes,
    others,
    notices: noticesOf(info),
  };
}

function readSandbox(api: string, group: Json, paths: Json, explained: readonly Json[]): Sandbox {
  const uid = textOf(group["uid"]) ?? "";
  const mine = explained.find((one) => one["api"] === api && one["sandbox"] === uid);
  return {
    api,
    uid,
    info: textOf(group["info"]),
    verbs: listOf(group["verbs"])
      .filter(isObject)
      .map((verb) => {
        const name = textOf(verb["verb"]) ?? "";
        return readVerb(api, name, objectOf(paths[`/${name}`]), verb, uid);
      }),
    exec: group["exec"] === true,
    execPrivileges: textsOf(group["privileges"]),
    notices: noticesOf(group),
    explained: mine && readExplained(mine),
  };
}

function readExplained(told: Json): Explained {
  const exposure = objectOf(told["exposure"]);
  return {
    verbs: textsOf(told["verbs"]),
    steps: textsOf(told["steps"]),
    score: numberOf(exposure["score"]) ?? 0,
    findings: listOf(exposure["findings"])
      .filter(isObject)
      .map(({ what, weight }) => ({ what: textOf(what) ?? "", weight: numberOf(weight) ?? 0 })),
    improvements: listOf(told["improvements"])
      .filter(isObject)
      .map(({ what, set }) => ({ what: textOf(what) ?? "", set })),
  };
}

const noticesOf = (group: Json): string[] =>
  listOf(group["notices"])
    .filter(isObject)
    .map(({ path, message }) => `${textOf(path) ?? ""}: ${textOf(message) ?? ""}`);

function readVerb(
  api: string,
  name: string,
  openapi: Json,
  verb: Json,
  sandbox: string | undefined,
): Verb {
  const about = objectOf(openapi["get"] ?? openapi["post"]);
  const usage = objectOf(objectOf(verb["usage"])["args"]);
  const params = objectOf(verb["params"]);
  const samples = listOf(verb["sample"]).filter(isObject);
  return {
    api,
    name,
    uid: textOf(verb["uid"]) ?? name,
    sandbox,
    info: textOf(verb["info"]) ?? textOf(about["description"]),
    params: listOf(about["parameters"])
      .filter(isObject)
      .map((one) => {
        const param = textOf(one["name"]) ?? "";
        const schema = { ...objectOf(one["schema"]), ...objectOf(params[param]) };
        const help = textOf(schema["description"]) ?? textOf(usage[param]);
        return { name: param, required: one["required"] === true, schema, help };
      }),
    // Those that start something.
    samples: samples.filter(({ action }) => action === undefined || action === "start"),
    privileges: textsOf(verb["privileges"] ?? about["x-permissions"]),
    confirm: verb["confirm"] === true || about["x-confirm"] === true,
    unavailable: textOf(verb["unavailable"]),
    fed: numberOf(verb["input"]) !== undefined,
    task: sandbox !== undefined,
  };
}
