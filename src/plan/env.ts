/** The environment of a command: what the server has, less what is the server's own business, then what the config says. */
import type { Acls, Env } from "../config/sandbox-schema.ts";
import type { Machine } from "./machine.ts";
import type { Identity } from "./policy.ts";

/**
 * Never handed on: the engine's switches (BUN_OPTIONS would reach a Bun-compiled command), the service manager's channels
 * (sd_notify(3), sd_listen_fds(3)), credentials, and what makes a loader or shell run code before the command does.
 */
const OWN = [
  /^BUN_/,
  /^NODE_OPTIONS$/,
  /^(NOTIFY_SOCKET|WATCHDOG_|LISTEN_|INVOCATION_ID$|JOURNAL_STREAM$|MAINPID$|MANAGERPID$|SYSTEMD_EXEC_PID$|CREDENTIALS_DIRECTORY$)/,
  /^(LD_|GCONV_PATH$|GLIBC_TUNABLES$|MALLOC_|BASH_ENV$|ENV$|BASH_FUNC_|IFS$|SHELLOPTS$|BASHOPTS$|PS4$|PYTHON|PERL5|RUBYOPT$)/,
  /^(npm_|INIT_CWD$|COLOR$|AFB_SPAWN_CONFIG$)/,
  /^(_|OLDPWD|PWD|SHLVL|COLUMNS|LINES)$/,
];

/** `{name: "*", mode: "unset"}` hands on nothing of the server's, wherever it stands in the list. */
const EVERYTHING = "*";

const DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** `expand` resolves $NAME in values. */
export function compileEnv(
  envs: readonly Env[],
  acls: Acls,
  identity: Identity | undefined,
  machine: Machine,
  expand: (text: string) => string,
): Record<string, string> {
  const env: Record<string, string> = Object.create(null);
  const clean =
    !machine.inherits || envs.some(({ name, mode }) => name === EVERYTHING && mode === "unset");
  for (const [name, value] of Object.entries(clean ? {} : machine.env)) {
    if (value !== undefined && !OWN.some((own) => own.test(name))) env[name] = value;
  }
  env["PATH"] ??= DEFAULT_PATH;
  if (identity) {
    // The server's HOME and USER would send the command to files of another user.
    const { name, home } = identity;
    for (const key of ["USER", "LOGNAME"]) {
      if (name === undefined) delete env[key];
      else env[key] = name;
    }
    env["HOME"] = home ?? "/";
  }
  if (acls.path !== undefined) env["PATH"] = expand(acls.path);
  if (acls.ldpath !== undefined) env["LD_LIBRARY_PATH"] = expand(acls.ldpath);
  for (const { name, value, mode } of envs) {
    if (name === EVERYTHING && mode !== "unset") throw new Error('"*" can only be unset');
    if (mode === "unset") delete env[name];
    else if (value !== undefined) env[name] = expand(value);
    else if (machine.env[name] !== undefined) env[name] = machine.env[name];
    else throw new Error(`${name} has no value, and the server's environment has none to hand on`);
    if (env[name]?.includes("\0")) throw new Error(`the value of ${name} contains a NUL byte`);
  }
  return env;
}
