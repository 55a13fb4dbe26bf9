/** namespace.shares → which namespaces the sandbox has for itself. See namespaces(7), user_namespaces(7). */
import type { Namespace } from "../config/sandbox-schema.ts";
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
type Share = keyof typeof SHARES;

/** __NEW_UTS_LEN of sethostname(2). */
const MOST_HOSTNAME = 64;

/** What would end a line or a word of hosts(5), or make it a comment, is none; the kernel takes anything. */
const HOSTNAME = /^[^\s\p{Cc}#]+$/u;

export interface Namespaces {
  readonly own: ReadonlySet<NamespaceName>;
  /** The config itself asks for users of its own; otherwise they come with the server's being no root. */
  readonly asksUsers: boolean;
  /** Network namespace to join, by the path ip-netns(8) keeps it at. */
  readonly joinNet: string | undefined;
}

export function compileNamespaces(
  namespace: Namespace | undefined,
  path: string,
  machine: Machine,
  report: Report,
): Namespaces {
  const own = new Set<NamespaceName>();
  const shares = namespace?.shares ?? {};
  // What is not said is kept from the host, as existing configs expect.
  const all = shares.all ?? "default";
  const named = /^name:(.+)$/.exec(shares.net ?? "")?.[1];
  for (const key of Object.keys(SHARES) as Share[]) {
    if (key === "net" && named !== undefined) continue;
    const share = shares[key] ?? "default";
    if ((share === "default" ? all : share) === "disable") own.add(SHARES[key]);
  }
  if ((namespace?.mounts ?? []).length > 0) own.add("mount");

  if (namespace?.opts?.hostname !== undefined && !own.has("uts")) {
    report.notice(
      `${path}.opts.hostname`,
      `not applied: the host name belongs to the host unless "uts" is "disable"`,
    );
  }
  const bytes = Buffer.byteLength(namespace?.opts?.hostname ?? "");
  if (bytes > MOST_HOSTNAME) {
    report.problem(
      `${path}.opts.hostname`,
      `has ${bytes} bytes; the kernel takes at most ${MOST_HOSTNAME}`,
    );
  }
  if (own.has("uts")) tellHostname(namespace, `${path}.opts.hostname`, report);
  for (const key of ["bwrap", "selinux"] as const) {
    if (namespace?.opts?.[key] === undefined) continue;
    report.notice(`${path}.opts.${key}`, "ignored: namespaces are made without an external tool");
  }
  const asksUsers = own.has("user");
  if (!machine.privileged) asOrdinaryUser(own, named, shares.users, path, machine, report);
  const joinNet = named === undefined ? undefined : `/run/netns/${named}`;
  if (joinNet !== undefined && machine.privileged && !machine.exists(joinNet)) {
    report.notice(
      `${path}.shares.net`,
      `there is no network namespace ${named} (${joinNet}): no command starts until there is: ip netns add ${named}`,
    );
  }
  return { own, asksUsers, joinNet };
}

/** One that hosts(5) would have otherwise is refused only where it is written there: for the kernel it is as good as any. */
function tellHostname(namespace: Namespace | undefined, path: string, report: Report): void {
  const hostname = namespace?.opts?.hostname;
  if (hostname === undefined || HOSTNAME.test(hostname)) return;
  const message = `${JSON.stringify(hostname)} is no host name: letters, digits, - and . only`;
  const isWritten = namespace?.mounts?.some(({ mode }) => mode === "hosts") ?? false;
  if (isWritten || /\p{Cc}/u.test(hostname)) report.problem(path, message);
  else report.notice(path, `${message}; programs may not take it for one`);
}

/** An ordinary user gets namespaces only inside a user namespace of its own. */
function asOrdinaryUser(
  own: Set<NamespaceName>,
  named: string | undefined,
  users: string | undefined,
  path: string,
  machine: Machine,
  report: Report,
): void {
  if (named !== undefined) {
    report.problem(
      `${path}.shares.net`,
      `joining a network namespace needs root, and the server runs as uid ${machine.uid}`,
    );
  }
  if (!own.has("pid")) {
    report.notice(
      path,
      'commands run as the server\'s own user and without a pid namespace: they may kill the server itself; set shares.pid to "disable", or use landlock (from Linux 6.12 on)',
    );
  }
  if (own.size === 0 || own.has("user")) return;
  if (users === "enable") {
    report.problem(
      `${path}.shares.users`,
      `"enable" cannot work here: an ordinary user needs a private user namespace for ${[...own].join(", ")}; use "default" or "disable", or run as root`,
    );
  } else {
    own.add("user");
  }
}
