/**
 * Capabilities that a sandbox would hold and that would do nothing. A capability counts in the user namespace of its holder, and over
 * what belongs to that: with users of its own a command has power over its own network, processes and System V IPC, and none over
 * the host's. See capabilities(7), user_namespaces(7).
 */
import type { NamespaceName } from "./policy.ts";
import { capabilityNumber } from "./words.ts";

/** Which namespace has what a capability acts on; machine: none has, so it counts with the host's users only. */
type Scope = "machine" | "net" | "ipc" | "pid" | "ids";

const NAMES: Readonly<Record<Scope, string>> = {
  machine:
    "SYS_MODULE SYS_RAWIO SYS_PACCT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE LINUX_IMMUTABLE IPC_LOCK AUDIT_WRITE AUDIT_CONTROL AUDIT_READ MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND PERFMON BPF",
  net: "NET_ADMIN NET_RAW NET_BIND_SERVICE NET_BROADCAST",
  ipc: "IPC_OWNER",
  pid: "KILL SYS_PTRACE SYS_BOOT CHECKPOINT_RESTORE",
  ids: "CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID SETFCAP SETUID SETGID",
};
const SCOPE: ReadonlyMap<number, Scope> = new Map(
  (Object.keys(NAMES) as Scope[]).flatMap((scope) =>
    NAMES[scope].split(" ").map((name): [number, Scope] => [capabilityNumber(name), scope]),
  ),
);
/** Those that act on the host's even where the users are the host's, unless these namespaces are the host's too. */
const HOSTS_ONLY: ReadonlyMap<number, readonly (readonly [NamespaceName, string])[]> = new Map([
  [capabilityNumber("SYS_BOOT"), [["pid", "reboot(2) only ends the sandbox"]]],
  [capabilityNumber("AUDIT_CONTROL"), [["pid", "auditing is configured from the host's only"]]],
  [capabilityNumber("AUDIT_READ"), [["net", "the audit log is told in the host's only"]]],
]);

const THINGS = {
  machine: "the machine itself",
  net: "a network that is not the sandbox's",
  ipc: "the host's System V IPC",
  pid: "the host's processes",
} as const;
const KEYS = { net: "net", ipc: "ipc", pid: "pid" } as const;
const OWN = { net: "a network", ipc: "System V IPC", pid: "processes" } as const;

/** Why the capability does nothing in such a sandbox, and which keys make it real; undefined where it does something. */
export function voidness(
  cap: number,
  own: ReadonlySet<NamespaceName>,
  privileged: boolean,
): string | undefined {
  for (const [namespace, why] of HOSTS_ONLY.get(cap) ?? []) {
    if (own.has(namespace))
      return `${why}: set namespace.shares.${namespace} to "enable"${users(own)}`;
  }
  const scope = SCOPE.get(cap);
  if (!own.has("user") || scope === undefined || scope === "ids") return undefined;
  if (scope !== "machine" && own.has(scope)) return undefined;
  const why = `it acts on ${THINGS[scope]}, where only capabilities of the host's users count, and the sandbox has users of its own`;
  const root = privileged ? "" : "serve as root and ";
  const other =
    scope === "machine" || cap === SYS_BOOT
      ? ""
      : `, or namespace.shares.${KEYS[scope]} to "disable" for ${OWN[scope]} of its own`;
  return `${why}: ${root}set namespace.shares.users to "enable"${other}`;
}

const SYS_BOOT = capabilityNumber("SYS_BOOT");
const users = (own: ReadonlySet<NamespaceName>): string =>
  own.has("user") ? ", and namespace.shares.users too" : "";

/** Whether it acts on files and ids, of which a user namespace has a few only. */
export const isOfIds = (cap: number): boolean => SCOPE.get(cap) === "ids";
