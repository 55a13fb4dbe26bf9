/** Who may call what: --access, else the file in its place, else only root and the server's user. */
import { existsSync } from "node:fs";
import { Access } from "../access/access.ts";
import { thisSystem } from "../access/accounts.ts";
import { DEFAULT_FILE, loadAccess } from "../access/load.ts";
import { ungranted, unneeded } from "../access/notices.ts";
import { MONITOR_PRIVILEGES } from "../api/monitor.ts";
import { ConfigError, type Problem } from "../config/problem.ts";
import type { Machine } from "../plan/machine.ts";
import type { ApiPlan } from "../plan/plan.ts";
import { RELOAD_PRIVILEGE } from "../service/reload-verb.ts";
import { apisOfAll } from "../command-line/apis.ts";
import type { Source } from "../command-line/config-option.ts";
import type { Options } from "../manual/options.ts";

export const ACCESS = {
  access: {
    argument: "FILE",
    text:
      `who may call verbs that need a privilege (default ${DEFAULT_FILE}, if it exists); ` +
      "none: only root and the server's user, over a unix socket; open: whoever can connect",
    words: ["none", "open"],
    path: "file",
  },
} as const satisfies Options;

export interface Loaded {
  readonly apis: ApiPlan[];
  readonly access: Access;
  /** Those about a config name its file. */
  readonly notices: readonly Problem[];
}

/** Configs and access together, since a reload takes both or nothing. @throws ConfigError with every problem of both */
export function load(
  sources: readonly Source[],
  option: string | undefined,
  machine?: Machine,
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
    return new Access(loadAccess(file, accounts), accounts.uid);
  });
  if (!apis || !access) throw new ConfigError(problems);
  const open = "whoever can connect has every privilege, that of reloading included";
  const notices = [
    ...(file === "open" ? [{ file: "--access open", path: "", message: open }] : []),
    ...unneeded(access, file, apis, [...MONITOR_PRIVILEGES, RELOAD_PRIVILEGE]),
    ...ungranted(access, apis, accounts.uid),
  ];
  return { apis, access, notices };
}
