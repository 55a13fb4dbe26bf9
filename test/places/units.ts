/** Units of the virtual machine: the hardening of systemd.exec(5), one directive at a time and all together. */
import type { User } from "../served.ts";

export interface Unit {
  readonly name: string;
  readonly properties: readonly string[];
  readonly users: readonly User[];
}

const one = (users: readonly User[], ...properties: string[]): Unit => ({
  ...{ name: properties.map((property) => `\`${property}\``).join(" "), properties, users },
});
/** Otherwise what is denied kills, and nobody can say why. */
const DENIED = "SystemCallErrorNumber=EPERM";
const ROOT: readonly User[] = ["root"];
const BOTH: readonly User[] = ["root", "ordinary user"];

/** What `systemd-analyze security` asks for of a service with a network, and no profile is hurt by. */
const HARMLESS = [
  "NoNewPrivileges=yes",
  "PrivateTmp=yes",
  "PrivateIPC=yes",
  "ProtectSystem=strict",
  "ProtectHome=yes",
  "ProtectClock=yes",
  "ProtectKernelModules=yes",
  "ProtectControlGroups=yes",
  "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6",
  "RestrictRealtime=yes",
  "RestrictSUIDSGID=yes",
  "LockPersonality=yes",
  "SystemCallArchitectures=native",
  "UMask=0077",
  "KeyringMode=private",
];
const ADMIN_ONLY = [
  ...HARMLESS,
  "ProtectHostname=yes",
  "PrivateDevices=yes",
  "ProtectKernelTunables=yes",
  "ProtectKernelLogs=yes",
  "ProtectProc=invisible",
  "ProcSubset=pid",
  "RestrictNamespaces=yes",
];

export const UNITS: readonly Unit[] = [
  { name: "no options", properties: [], users: BOTH },
  one(ROOT, "NoNewPrivileges=yes"),
  one(ROOT, "PrivateTmp=yes"),
  one(ROOT, "PrivateDevices=yes"),
  one(ROOT, "PrivateNetwork=yes"),
  one(ROOT, "PrivateIPC=yes"),
  one(BOTH, "PrivateUsers=yes"),
  one(ROOT, "ProtectSystem=strict"),
  one(ROOT, "ProtectHome=yes"),
  one(ROOT, "ProtectHostname=yes"),
  one(ROOT, "ProtectClock=yes"),
  one(BOTH, "ProtectKernelTunables=yes"),
  one(ROOT, "ProtectKernelModules=yes"),
  one(ROOT, "ProtectKernelLogs=yes"),
  one(ROOT, "ProtectControlGroups=yes"),
  one(BOTH, "ProtectProc=invisible"),
  one(ROOT, "ProcSubset=pid"),
  one(ROOT, "RestrictAddressFamilies=AF_UNIX"),
  one(ROOT, "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6"),
  one(BOTH, "RestrictNamespaces=yes"),
  one(ROOT, "RestrictRealtime=yes"),
  one(ROOT, "RestrictSUIDSGID=yes"),
  one(ROOT, "LockPersonality=yes"),
  one(ROOT, "MemoryDenyWriteExecute=yes"),
  one(ROOT, "SystemCallArchitectures=native"),
  one(BOTH, "SystemCallFilter=@system-service", DENIED),
  one(ROOT, "SystemCallFilter=@system-service @mount @sandbox", DENIED),
  one(BOTH, "SystemCallFilter=@system-service @mount @sandbox @privileged", DENIED),
  one(BOTH, "SystemCallFilter=~@privileged", DENIED),
  one(ROOT, "SystemCallFilter=~@resources", DENIED),
  one(ROOT, "CapabilityBoundingSet=~CAP_SYS_ADMIN"),
  one(BOTH, "CapabilityBoundingSet="),
  one(["ordinary user"], "DynamicUser=yes"),
  one(ROOT, "LimitNOFILE=512"),
  one(ROOT, "TasksMax=64"),
  one(ROOT, "Delegate=yes"),
  one(ROOT, "SecureBits=noroot"),
  one(["ordinary user"], "AmbientCapabilities=CAP_SYS_ADMIN"),
  one(ROOT, "ProtectSystem=full"),
  one(ROOT, "PrivateMounts=yes"),
  one(ROOT, "ReadOnlyPaths=/"),
  one(ROOT, "InaccessiblePaths=/sys"),
  one(ROOT, "InaccessiblePaths=/dev/shm"),
  one(BOTH, "NoExecPaths=/", "ExecPaths=/usr"),
  one(ROOT, "TemporaryFileSystem=/var"),
  one(ROOT, "IPAddressDeny=any"),
  one(ROOT, "DevicePolicy=closed"),
  one(BOTH, "LimitNPROC=64"),
  one(BOTH, "LimitMEMLOCK=0"),
  one(ROOT, "SystemCallFilter=~@mount", DENIED),
  one(ROOT, "SystemCallFilter=~@keyring", DENIED),
  one(ROOT, "SystemCallFilter=~@debug", DENIED),
  one(ROOT, "SystemCallFilter=~@ipc", DENIED),
  {
    name: `all of ${HARMLESS.map((property) => `\`${property}\``).join(" ")}`,
    properties: HARMLESS,
    users: BOTH,
  },
  {
    name: `these with ${ADMIN_ONLY.filter((property) => !HARMLESS.includes(property))
      .map((property) => `\`${property}\``)
      .join(" ")}`,
    properties: ADMIN_ONLY,
    users: BOTH,
  },
];

/** Names of places in the order of {@link UNITS}, those of other machines behind the plain one. */
export function orderOfUnits(places: readonly string[]): string[] {
  const rank = (place: string) =>
    UNITS.findIndex(({ name }) => place === name || place.startsWith(`${name}, `));
  return [...new Set(places)].toSorted((a, b) => rank(a) - rank(b) || a.length - b.length);
}

/** In the machine, for an ordinary user. */
export const UNIT_USER = "daemon";
