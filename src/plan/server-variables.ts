/**
 * Variables of the server's environment that no command inherits, and why: the one list that the launch, `explain` and the reference
 * follow. Out are what belongs to the server, and what makes a program run code, read options or load libraries that its own
 * command line does not name. What only changes how a program prints, buffers, sorts or finds data stays in.
 *
 * A config that wants one of them names it, in `envs` or as $NAME.
 */
interface Kept {
  /** Names separated by spaces; `*` at the end stands for any rest. */
  readonly names: string;
  readonly why: string;
  /** Nobody misses it, so `explain` does not tell. */
  readonly quiet?: true;
}

export const KEPT_BACK: readonly Kept[] = [
  { names: "SPAWNBOX_* AFB_SPAWN_CONFIG", why: "settings and tokens of spawnbox" },
  {
    names: "BUN_* JSC_* MIMALLOC_* NODE_CHANNEL_* NODE_UNIQUE_ID",
    why: "switches and channels of the server's own runtime, which would reach commands that have the same one",
  },
  {
    names:
      "NOTIFY_SOCKET WATCHDOG_* LISTEN_* FDSTORE INVOCATION_ID JOURNAL_STREAM LOG_NAMESPACE MAINPID PIDFILE SYSTEMD_* MANAGERPID MANAGERPIDFDID CREDENTIALS_DIRECTORY RUNTIME_DIRECTORY STATE_DIRECTORY CACHE_DIRECTORY LOGS_DIRECTORY CONFIGURATION_DIRECTORY MEMORY_PRESSURE_* TRIGGER_* MONITOR_* SERVICE_RESULT EXIT_CODE EXIT_STATUS REMOTE_ADDR REMOTE_PORT",
    why: "what the service manager gives to its service: sd_notify(3), sd_listen_fds(3), systemd.exec(5)",
  },
  { names: "SUDO_*", why: "who called sudo(8)" },
  { names: "npm_* INIT_CWD COLOR", why: "what npm tells its scripts" },
  {
    names: "_ OLDPWD PWD SHLVL COLUMNS LINES",
    why: "state of the shell and the terminal that the server was started from",
    quiet: true,
  },
  {
    names: "LD_* GLIBC_TUNABLES GCONV_PATH GETCONF_DIR LOCPATH NLSPATH MALLOC_CHECK_ MALLOC_TRACE",
    why: "the loader and the C library: libraries, converters and message formats from elsewhere, see ld.so(8)",
  },
  {
    names:
      "BASH_ENV ENV BASH_FUNC_* BASH_LOADABLES_PATH BASH_XTRACEFD SHELLOPTS BASHOPTS IFS PS4 CDPATH GLOBIGNORE PROMPT_COMMAND FPATH ZDOTDIR",
    why: "shells: files and functions that run before a script, options, and how its words are split and its paths found",
  },
  {
    names:
      "PYTHONPATH PYTHONHOME PYTHONSTARTUP PYTHONINSPECT PYTHONUSERBASE PYTHONPLATLIBDIR PYTHONEXECUTABLE PYTHONBREAKPOINT PYTHONWARNINGS PYTHONCASEOK PYTHONPYCACHEPREFIX PYTHON_PRESITE",
    why: "Python: where modules and compiled code come from, and what is imported or run besides the script",
  },
  {
    names: "PERL5* PERLLIB PERLIO PERLIO_DEBUG",
    why: "Perl: options, modules, debugger, layers of its files",
  },
  { names: "RUBYOPT RUBYLIB RUBYSHELL", why: "Ruby: options, libraries, shell" },
  {
    names:
      "NODE_OPTIONS NODE_PATH NODE_REPL_EXTERNAL_MODULE NODE_COMPILE_CACHE NODE_V8_COVERAGE NODE_TLS_REJECT_UNAUTHORIZED",
    why: "Node.js: options, modules and compiled code from elsewhere, files it writes, checks it leaves out",
  },
  {
    names: "JAVA_TOOL_OPTIONS JDK_JAVA_OPTIONS _JAVA_OPTIONS",
    why: "Java: options of the virtual machine, agents among them",
  },
  {
    names: "DOTNET_STARTUP_HOOKS CORECLR_* COR_*",
    why: ".NET: code before the program, profilers",
  },
  { names: "LUA_INIT* LUA_PATH* LUA_CPATH*", why: "Lua: code before the script, modules" },
  { names: "PHPRC PHP_INI_SCAN_DIR", why: "PHP: settings, which can load code" },
  { names: "R_PROFILE* R_ENVIRON* R_LIBS*", why: "R: code before the script, packages" },
  {
    names: "TCLLIBPATH TCL_LIBRARY TK_LIBRARY",
    why: "Tcl: packages, and the scripts it starts with",
  },
  { names: "ERL_FLAGS ERL_AFLAGS ERL_ZFLAGS ERL_LIBS", why: "Erlang: options, libraries" },
  { names: "AWKPATH AWKLIBPATH", why: "gawk: sources and extensions" },
  {
    names: "VIMINIT EXINIT LESSOPEN LESSCLOSE",
    why: "vi and less: commands they run at their start",
  },
  {
    names:
      "GIT_CONFIG* GIT_EXEC_PATH GIT_TEMPLATE_DIR GIT_DIR GIT_COMMON_DIR GIT_WORK_TREE GIT_INDEX_FILE GIT_OBJECT_DIRECTORY GIT_ALTERNATE_OBJECT_DIRECTORIES GIT_SSH GIT_SSH_COMMAND GIT_PROXY_COMMAND GIT_ASKPASS GIT_EDITOR GIT_SEQUENCE_EDITOR GIT_PAGER GIT_EXTERNAL_DIFF",
    why: "git: settings, hooks and programs it runs, and the repository that a hook was called for",
  },
  {
    names: "OPENSSL_CONF OPENSSL_ENGINES OPENSSL_MODULES SSLKEYLOGFILE",
    why: "OpenSSL: modules from elsewhere, and a file with the keys of connections",
  },
];

/** Of the server's user: kept back where commands run as another, who has neither its files nor its session. */
export const OF_ITS_USER: Kept = {
  names:
    "XDG_CONFIG_HOME XDG_DATA_HOME XDG_STATE_HOME XDG_CACHE_HOME XDG_RUNTIME_DIR XDG_SESSION_* DBUS_SESSION_BUS_ADDRESS SSH_AUTH_SOCK SSH_AGENT_PID XAUTHORITY MAIL",
  why: "files and session of the server's user; they are kept back only where the commands run as another user, who gets a HOME, USER and LOGNAME of its own",
};

function matcher(kept: readonly Kept[]): (name: string) => boolean {
  const names = kept.flatMap((one) => one.names.split(" "));
  const exact = new Set(names.filter((name) => !name.endsWith("*")));
  const prefixes = names.filter((name) => name.endsWith("*")).map((name) => name.slice(0, -1));
  // Each sandbox asks for the same: those that the server has.
  const known = new Map<string, boolean>();
  return (name) => {
    const is =
      known.get(name) ?? (exact.has(name) || prefixes.some((prefix) => name.startsWith(prefix)));
    known.set(name, is);
    return is;
  };
}

const isKeptBack = matcher(KEPT_BACK);
const isQuiet = matcher(KEPT_BACK.filter(({ quiet }) => quiet));
const isOfItsUser = matcher([OF_ITS_USER]);

type Environment = Readonly<Record<string, string | undefined>>;

/** The runtime reads its environment as UTF-8, and puts U+FFFD for what is none: what that was nobody knows any more. */
export const isAsItWas = (text: string): boolean => !text.includes("\ufffd");

/** What of the server's environment is for those whom it starts; `switched`: as another user. */
export function inherited(env: Environment, switched = false): Record<string, string> {
  const result: Record<string, string> = Object.create(null);
  for (const [name, value] of Object.entries(env)) {
    if (value === undefined || isKeptBack(name) || (switched && isOfItsUser(name))) continue;
    if (isAsItWas(`${name}=${value}`)) result[name] = value;
  }
  return result;
}

/** Those kept back, by name: what `explain` tells. */
export const keptBack = (env: Environment, switched = false): string[] => {
  const handedOn = inherited(env, switched);
  return Object.keys(env)
    .filter((name) => !Object.hasOwn(handedOn, name) && !isQuiet(name))
    .sort();
};

/** The table of them in the reference. */
export const variablesMarkdown = (): string =>
  [
    "| Variables | Why commands do not inherit them |",
    "|---|---|",
    ...[...KEPT_BACK, OF_ITS_USER].map(
      ({ names, why }) => `| ${names.replace(/\S+/g, "`$&`")} | ${why} |`,
    ),
    "",
  ].join("\n");
