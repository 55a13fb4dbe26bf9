/** The environment of a command: what the server has, less what is the server's own business, then what the config says. */
import type { Acls, Env } from "../config/sandbox-schema.ts";
import type { Machine } from "./machine.ts";
import type { Identity } from "./policy.ts";
import { inherited, isAsItWas, keptBack } from "./server-variables.ts";

/** `{name: "*", mode: "unset"}` hands on nothing of the server's, wherever it stands in the list. */
const EVERYTHING = "*";

const DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

export interface Environment {
  readonly env: Record<string, string>;
  /** Variables of the server that its commands would have, were they not kept back: see server-variables.ts. */
  readonly keptBack: readonly string[];
}

function handedOn(name: string, value: string): string {
  if (isAsItWas(value)) return value;
  throw new Error(`${name} is not UTF-8 in the server's environment, so it cannot be handed on`);
}

/** `expand` resolves $NAME in values. */
export function compileEnv(
  envs: readonly Env[],
  acls: Acls,
  identity: Identity | undefined,
  machine: Machine,
  expand: (text: string) => string,
): Environment {
  const clean =
    !machine.inherits || envs.some(({ name, mode }) => name === EVERYTHING && mode === "unset");
  const servers = clean ? {} : machine.env;
  const switched = identity !== undefined && identity.uid !== machine.uid;
  const env = inherited(servers, switched);
  env["PATH"] ??= DEFAULT_PATH;
  // The server's HOME and USER would send the command to files of another user; and without any, many programs end.
  const own = () => machine.user(`${machine.uid}`) ?? {};
  const user: Pick<Identity, "name" | "home"> | undefined =
    identity ?? (clean && machine.inherits ? own() : undefined);
  if (user) {
    const { name, home } = user;
    for (const key of ["USER", "LOGNAME"]) {
      if (name === undefined) delete env[key];
      else env[key] = name;
    }
    env["HOME"] = home ?? "/";
  }
  if (acls.path !== undefined) env["PATH"] = expand(acls.path);
  if (acls.ldpath !== undefined) env["LD_LIBRARY_PATH"] = expand(acls.ldpath);
  for (const { name, value, file, mode } of envs) {
    if (name === EVERYTHING && mode !== "unset") throw new Error('"*" can only be unset');
    if (mode === "unset" && name !== EVERYTHING && name.includes("*"))
      throw new Error(
        `${name} would be one variable of that very name: write * alone, or name each`,
      );
    if (mode === "unset" || file !== undefined) delete env[name];
    else if (value !== undefined) env[name] = expand(value);
    else if (machine.env[name] !== undefined) env[name] = handedOn(name, machine.env[name]);
    else throw new Error(`${name} has no value, and the server's environment has none to hand on`);
    if (env[name]?.includes("\0")) throw new Error(`the value of ${name} contains a NUL byte`);
  }
  return { env, keptBack: keptBack(servers, switched).filter((name) => env[name] === undefined) };
}
