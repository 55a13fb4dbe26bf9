/** Where early boot has its files. */

/** What is served before the real init. */
export const EARLY_CONFIG = "/etc/spawnbox/early.json";
/** Tells who serves since then: `{"pid": …, "urls": […]}`. */
export const ANNOUNCEMENT = "/run/spawnbox/early.json";
/** Where the service that comes later reaches that server, as root only. */
export const CONTROL = "/run/spawnbox/early.sock";
