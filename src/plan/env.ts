/** The environment of a command: what the server has, less what is the server's own business, then what the config says. */
import type { Acls, Env } from "../config/sandbox-schema.ts";
import type { Machine } from "./machine.ts";
import type { Identity } from "./policy.ts";

/**
 * Never handed on: settings and tokens of spawnbox, the engine's switches and channels (BUN_OPTIONS would reach a Bun-compiled
 * command), what the service manager gives its service (sd_notify(3), sd_listen_fds(3), credentials and directories, see
 * systemd.exec(5)), what sudo(8) tells about the caller, and what makes a loader or shell run code before the command does.
 * A config that wants one of them names it, in `envs` or as $NAME.
 */
const OWN = [
  /^(SPAWNBOX_|AFB_SPAWN_CONFIG$)/,
  /^(BUN_|JSC_|MIMALLOC_|NODE_OPTIONS$|NODE_CHANNEL_|NODE_UNIQUE_ID$|NODE_EXTRA_CA_CERTS$|NODE_TLS_)/,
  /^(NOTIFY_SOCKET|WATCHDOG_|LISTEN_|FDSTORE$|INVOCATION_ID$|JOURNAL_STREAM$|LOG_NAMESPACE$|MAINPID$|PIDFILE$|SYSTEMD_)/,
  /^(MANAGERPID(FDID)?|CREDENTIALS_DIRECTORY|(RUNTIME|STATE|CACHE|LOGS|CONFIGURATION)_DIRECTORY)$/,
  /^(MEMORY_PRESSURE_|TRIGGER_|MONITOR_|SERVICE_RESULT$|EXIT_(CODE|STATUS)$|REMOTE_(ADDR|PORT)$)/,
  /^SUDO_/,
  /^(LD_|GCONV_PATH$|GLIBC_TUNABLES$|MALLOC_|BASH_ENV$|ENV$|BASH_FUNC_|IFS$|SHELLOPTS$|BASHOPTS$|PS4$|PYTHON|PERL5|RUBYOPT$)/,
  /^(npm_|INIT_CWD$|COLOR$)/,
  /^(_|OLDPWD|PWD|SHLVL|COLUMNS|LINES)$/,
];

type Environment = Readonly<Record<string, string | undefined>>;

/** What of the server's environment is for those whom it starts. */
export function inherited(env: Environment): Record<string, string> {
  const result: Record<string, string> = Object.create(null);
  for (const [name, value] of Object.entries(env)) {
    if (value !== undefined && !OWN.some((own) => own.test(name))) result[name] = value;
  }
  return result;
}

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
  const clean =
    !machine.inherits || envs.some(({ name, mode }) => name === EVERYTHING && mode === "unset");
  const env = inherited(clean ? {} : machine.env);
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
