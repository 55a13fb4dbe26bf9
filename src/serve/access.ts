/** Who may call what: --access, else the file in its place, else only root and the server's user. */
import { existsSync } from "node:fs";
import { Access } from "../access/access.ts";
import { thisSystem } from "../access/accounts.ts";
import {
  DEFAULT_SERVICE,
  parseService,
  SERVICE_VARIABLE,
  type ServiceAddress,
} from "../access/cynagora/address.ts";
import { DEFAULT_FILE, loadAccess } from "../access/load.ts";
import { ungranted, unneeded, unshown } from "../access/notices.ts";
import { MONITOR_PRIVILEGES } from "../api/monitor.ts";
import { ConfigError, type Problem } from "../config/problem.ts";
import type { Machine } from "../plan/machine.ts";
import type { ApiPlan } from "../plan/plan.ts";
import { DOCTOR_PRIVILEGE } from "../doctor/verb.ts";
import { CALL_PRIVILEGE, LOOK_PRIVILEGE } from "../fleet/privileges.ts";
import { METRICS_PRIVILEGE } from "../metrics/verb.ts";
import { RELOAD_PRIVILEGE } from "../service/reload-verb.ts";
import { apisOfAll } from "../command-line/apis.ts";
import type { Source } from "../command-line/config-option.ts";
import type { Options, Values } from "../manual/options.ts";
import type { LoadedTls } from "./tls.ts";

export const ACCESS = {
  access: {
    argument: "FILE",
    text:
      `who may call verbs that need a privilege (default ${DEFAULT_FILE}, if it exists); ` +
      "none: only root and the server's user, over a unix socket; open: whoever can connect",
    words: ["none", "open"],
    path: "file",
  },
  cynagora: {
    argument: "SOCKET",
    omissible: /^(?:unix|tcp):/,
    text:
      "ask the permission service Cynagora too, for what that does not give: unix:PATH, unix:@NAME or tcp:HOST:PORT " +
      `(default $${SERVICE_VARIABLE}, else ${DEFAULT_SERVICE})`,
    path: "file",
  },
} as const satisfies Options;

/** Who may call: what the command line says of it. */
export interface AccessOptions {
  /** A file, `none` or `open`; undefined: the default. */
  readonly access: string | undefined;
  /** The permission service that is asked; undefined: none. */
  readonly cynagora: ServiceAddress | undefined;
}

/** @throws TypeError, which is wrong usage */
export function accessOptions(
  { access, cynagora }: Values<typeof ACCESS>,
  env: Readonly<Record<string, string | undefined>>,
): AccessOptions {
  if (access === "") throw new TypeError("--access: expected a file, none, or open");
  if (cynagora === undefined) return { access, cynagora };
  const variable = env[SERVICE_VARIABLE] || undefined;
  const spec = cynagora || (variable ?? DEFAULT_SERVICE);
  const from = cynagora === "" && variable ? `${SERVICE_VARIABLE}=` : "--cynagora ";
  const address = parseService(spec);
  if (address) return { access, cynagora: address };
  throw new TypeError(`${from}${spec}: expected unix:PATH, unix:@NAME or tcp:HOST:PORT`);
}

export interface Loaded {
  readonly apis: ApiPlan[];
  readonly access: Access;
  /** Somebody has said who may call what: in an access file, or by a permission service. */
  readonly guarded: boolean;
  /** Those about a config name its file. */
  readonly notices: readonly Problem[];
  /** What TCP endpoints show and trust; undefined where they are in the clear. */
  readonly tls?: LoadedTls | undefined;
}

const NO_SERVICE =
  "cynagora-only: nobody could call anything that needs a privilege without the permission service: say --cynagora, or remove this key";

/**
 * Configs, access and certificates together, since a reload takes all or nothing.
 * @param asks a permission service is asked besides
 * @param more privileges that are asked for by no verb of a config, besides the usual ones
 * @param tls of the server that is to be; without, nobody knows what it shows and trusts
 * @throws ConfigError with every problem of both
 */
export function load(
  sources: readonly Source[],
  option: string | undefined,
  machine?: Machine,
  asks = false,
  more: readonly string[] = [],
  tls?: () => LoadedTls | undefined,
): Loaded {
  const problems: Problem[] = [];
  const attempt = <T>(step: () => T): T | undefined => {
    try {
      return step();
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      problems.push(...error.problems);
      return undefined;
    }
  };
  const apis = attempt(() => apisOfAll(sources, machine));
  const accounts = thisSystem();
  const file = option ?? (existsSync(DEFAULT_FILE) ? DEFAULT_FILE : "none");
  const access = attempt(() => {
    if (file === "none") return new Access([], accounts.uid);
    if (file === "open") {
      return new Access([{ who: { kind: "anyone" }, privileges: "all" }], accounts.uid);
    }
    const { rules, serviceOnly } = loadAccess(file, accounts);
    if (serviceOnly && !asks)
      throw new ConfigError([{ file, path: "access", message: NO_SERVICE }]);
    return new Access(rules, accounts.uid, serviceOnly);
  });
  const secured = attempt(() => tls?.());
  if (!apis || !access || problems.length > 0) throw new ConfigError(problems);
  const open = "whoever can connect has every privilege, that of reloading included";
  const notices = [
    ...(secured?.notices ?? []),
    ...(file === "open" ? [{ file: "--access open", path: "", message: open }] : []),
    ...(tls && secured?.options.requestCert !== true ? unshown(access, file) : []),
    ...unneeded(access, file, apis, [
      ...MONITOR_PRIVILEGES,
      RELOAD_PRIVILEGE,
      DOCTOR_PRIVILEGE,
      METRICS_PRIVILEGE,
      LOOK_PRIVILEGE,
      CALL_PRIVILEGE,
      ...more,
    ]),
    // What the service grants is not known before it is asked.
    ...(asks ? [] : ungranted(access, apis, accounts.uid)),
  ];
  // Where the option says none, somebody has said it.
  const guarded = asks || (file !== "open" && (option !== undefined || file !== "none"));
  return { apis, access, guarded, notices, tls: secured };
}
