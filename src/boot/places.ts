/** Where early boot has its files. */
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";

const CONFIG_DIR = "/etc/spawnbox";
/** What is served before the real init, for help texts. */
export const EARLY_CONFIGS = `${CONFIG_DIR}/early.json and early-*.json`;

/** The configs of early boot that are there, sorted. */
export function earlyConfigs(dir = CONFIG_DIR): string[] {
  if (!existsSync(dir)) return [];
  return readdirSync(dir)
    .filter((name) => /^early(-.*)?\.json$/.test(name))
    .toSorted()
    .map((name) => join(dir, name));
}

/** Tells who serves since then: `{"pid": …, "urls": […]}`. */
export const ANNOUNCEMENT = "/run/spawnbox/early.json";
/** Where the service that comes later reaches that server, as root only. */
export const CONTROL = "/run/spawnbox/early.sock";
