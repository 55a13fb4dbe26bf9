/** The variables of `$NAME` expansion: the environment, and what spawnbox knows itself. */
import { dirname, resolve } from "node:path";
import type { Scope } from "./expand.ts";

/** Everything the variables depend on; a test hands in its own. */
export interface Host {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly uid: number;
  readonly gid: number;
  readonly pid: number;
  /** The user of the server, where the user database knows it. */
  readonly user?: { readonly name: string; readonly home: string } | undefined;
  readonly hostname: string;
  /** AFB_ROOTDIR unless the environment has it: the working directory. */
  readonly rootdir: string;
  /** AFB_CONFIG unless the environment has it: what --config said. */
  readonly config?: string | undefined;
  now(): Date;
  uuid(): string;
}

export interface SandboxNames {
  readonly api: string;
  readonly sandbox: string;
  /** uid that the commands run under. */
  readonly user?: number | undefined;
}

type Builtins = Readonly<Record<string, (() => string | undefined) | undefined>>;

/** Spellings of older configs. */
const OLD_NAMES: Readonly<Record<string, string>> = {
  SANDBOX: "SANDBOX_UID",
  COMMAND: "COMMAND_UID",
  APINAME: "API_NAME",
  SBIN: "SBINDIR",
};

/**
 * Makes the scopes in which texts are expanded. The environment wins over what only describes the server (LOGNAME,
 * HOME, HOSTNAME, AFB_*, CONFIG_DIR: the directory of the config file), never over what identifies a sandbox, command or process. A name that is not found as
 * written is tried in upper case, as existing configs write `$home`.
 */
export class Variables {
  private readonly overridable: Builtins;
  private readonly server: Builtins;

  constructor(private readonly host: Host) {
    this.overridable = {
      LOGNAME: () => host.user?.name ?? "Unknown",
      HOME: () => host.user?.home ?? "/",
      HOSTNAME: () => host.hostname,
      AFB_ROOTDIR: () => host.rootdir,
      AFB_CONFIG: () => host.config,
      CONFIG_DIR: () => host.config && dirname(resolve(host.rootdir, host.config)),
      AFB_NAME: () => "spawnbox",
    };
    this.server = {
      SBINDIR: () => "/usr/sbin",
      PID: () => String(host.pid),
      UID: () => String(host.uid),
      GID: () => String(host.gid),
      TODAY: () => today(host.now()),
    };
  }

  /** For texts outside any sandbox. */
  api(api: string): Scope {
    return this.scope({ API_NAME: () => api });
  }

  /** For mounts, environment and the like. */
  sandbox({ api, sandbox, user }: SandboxNames): Scope {
    return this.scope(this.sandboxBuiltins(api, sandbox, user));
  }

  /** For the command's own texts. */
  command({ api, sandbox, user, command }: SandboxNames & { readonly command: string }): Scope {
    return this.scope({ ...this.sandboxBuiltins(api, sandbox, user), COMMAND_UID: () => command });
  }

  private sandboxBuiltins(api: string, sandbox: string, user: number | undefined): Builtins {
    return {
      API_NAME: () => api,
      SANDBOX_UID: () => sandbox,
      SBOXUSER: () => (user === undefined ? undefined : String(user)),
    };
  }

  private scope(own: Builtins): Scope {
    // One UUID per scope: a file name in the arguments and one in the environment must agree.
    let uuid: string | undefined;
    const identity: Builtins = { ...this.server, UUID: () => (uuid ??= this.host.uuid()), ...own };
    const find = (name: string): string | undefined => {
      const key = Object.hasOwn(OLD_NAMES, name) ? (OLD_NAMES[name] ?? name) : name;
      return (
        builtin(identity, key) ??
        (Object.hasOwn(this.host.env, name) ? this.host.env[name] : undefined) ??
        builtin(this.overridable, key)
      );
    };
    const known = [...Object.keys(identity), ...Object.keys(this.overridable)];
    return {
      lookup: (name) => find(name) ?? find(name.toUpperCase()),
      names: () => [...known, ...Object.keys(this.host.env)].filter((n) => find(n) !== undefined),
    };
  }
}

const builtin = (builtins: Builtins, name: string): string | undefined =>
  Object.hasOwn(builtins, name) ? builtins[name]?.() : undefined;

/** As existing configs know it: `07-Mar-2024 12:03:04 (UTC)`, in local time. */
function today(date: Date): string {
  const parts = new Intl.DateTimeFormat("en-GB", {
    day: "2-digit",
    month: "short",
    year: "numeric",
    hour: "2-digit",
    minute: "2-digit",
    second: "2-digit",
    hourCycle: "h23",
    timeZoneName: "short",
  }).formatToParts(date);
  const part = (type: Intl.DateTimeFormatPartTypes): string =>
    parts.find((p) => p.type === type)?.value ?? "";
  const time = `${part("hour")}:${part("minute")}:${part("second")}`;
  // Three letters all the year: en-GB says "Sept".
  return `${part("day")}-${part("month").slice(0, 3)}-${part("year")} ${time} (${part("timeZoneName")})`;
}
