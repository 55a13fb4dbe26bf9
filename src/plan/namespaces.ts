/** namespace.shares → which namespaces the sandbox has for itself. See namespaces(7), user_namespaces(7). */
import type { Namespace } from "../config/schema.ts";
import type { Machine } from "./machine.ts";
import type { NamespaceName } from "./policy.ts";
import type { Report } from "./report.ts";

/** Namespace by its key in `shares`. */
const SHARES = {
  users: "user",
  cgroup: "cgroup",
  net: "net",
  ipc: "ipc",
  pid: "pid",
  uts: "uts",
} as const;

export function compileNamespaces(
  namespace: Namespace | undefined,
  path: string,
  machine: Machine,
  report: Report,
): Set<NamespaceName> {
  const own = new Set<NamespaceName>();
  if (namespace === undefined) return own;
  const shares = namespace.shares ?? {};
  // What is not said is kept from the host, as existing configs expect.
  const all = shares.all ?? "default";
  for (const key of ["cgroup", "net", "ipc", "pid", "uts", "users"] as const) {
    const share = shares[key] ?? "default";
    if ((share === "default" ? all : share) === "disable") own.add(SHARES[key]);
  }
  if ((namespace.mounts ?? []).length > 0) own.add("mount");

  const hostname = namespace.opts?.hostname;
  if (hostname !== undefined && !own.has("uts")) {
    report.notice(
      `${path}.opts.hostname`,
      `not applied: the host name belongs to the host unless "uts" is "disable"`,
    );
  }
  if (namespace.opts?.bwrap !== undefined) {
    report.notice(`${path}.opts.bwrap`, "ignored: namespaces are made without an external tool");
  }
  if (!machine.privileged && own.size > 0 && !own.has("user")) {
    if (shares.users === "enable") {
      report.problem(
        `${path}.shares.users`,
        `"enable" cannot work here: an ordinary user needs a private user namespace for ${[...own].join(", ")}; use "default" or "disable", or run as root`,
      );
    } else {
      own.add("user");
    }
  }
  return own;
}
