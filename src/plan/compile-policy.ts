/** One sandbox of a config → its policy: everything the launcher will do before the command, but the limits of each command. */
import type { Acls } from "../config/sandbox-schema.ts";
import type { Sandbox } from "../config/schema.ts";
import { boundCaps } from "./bounding.ts";
import { compileCaps } from "./caps.ts";
import { compileCgroups } from "./cgroup.ts";
import { looseLimits } from "./cgroup-grip.ts";
import { compileFamilies } from "./families.ts";
import { deniedCaps } from "./denied-caps.ts";
import { familiesFilter } from "./families-filter.ts";
import { compileIdentity } from "./identity.ts";
import { compileLabel, neededSignals } from "./label.ts";
import { compileLandlock } from "./landlock.ts";
import type { Machine } from "./machine.ts";
import { compileMounts } from "./mounts.ts";
import { compileNamespaces } from "./namespaces.ts";
import { outOfReach } from "./out-of-reach.ts";
import type { Identity, MountStep, SandboxPolicy } from "./policy.ts";
import type { Report } from "./report.ts";
import { compileServerGroups } from "./server-groups.ts";
import { compileSeccomp } from "./seccomp.ts";
import { View } from "./view.ts";
import { capabilityShort } from "./words.ts";

const DEFAULT_UMASK = 0o022;

/** Who the commands run as; told first, since the texts of the sandbox may name it. */
export function compileWho(
  acls: Acls,
  path: string,
  machine: Machine,
  report: Report,
): Identity | undefined {
  if (acls.runmod === "admin" && !machine.privileged) {
    report.problem(`${path}.acls.runmod`, `"admin": this config must be served by root`);
  }
  if (acls.runmod === "user" && machine.privileged) {
    report.problem(`${path}.acls.runmod`, `"user": this config must not be served by root`);
  }
  return compileIdentity(acls, `${path}.acls`, machine, report);
}

/** `expand` replaces $NAME in the texts of the sandbox. */
export function compilePolicy(
  sandbox: Sandbox,
  path: string,
  identity: Identity | undefined,
  machine: Machine,
  expandText: (text: string) => string,
  report: Report,
): SandboxPolicy {
  const acls = sandbox.acls ?? {};
  const network = compileNamespaces(sandbox.namespace, `${path}.namespace`, machine, report);
  const { own: namespaces, joinNet } = network;
  const families = compileFamilies(sandbox.network, `${path}.network`, network, report);
  const hostname = sandbox.namespace?.opts?.hostname;
  const asked: [string, MountStep][] = [];
  const mountContext = {
    ...{ own: namespaces, identity, hostname, machine, expand: expandText },
    asked: (at: string, step: MountStep) => void asked.push([at, step]),
  };
  const mounts = compileMounts(sandbox.namespace, `${path}.namespace`, mountContext, report);
  const view = new View(mounts, machine.files);
  const chdir = report.attempt(`${path}.acls.chdir`, () =>
    directoryInside(absolute(expandText(acls.chdir ?? "/")), mounts && view, (message) =>
      report.notice(`${path}.acls.chdir`, message),
    ),
  );
  const groups = compileServerGroups(acls, `${path}.acls.groups`, machine, report);
  const newPrivs = compileNewPrivs(sandbox, path, machine, report);
  if (newPrivs && families && !machine.privileged && !namespaces.has("user")) {
    report.problem(
      `${path}.network.families`,
      "cannot be combined with newPrivs here: an ordinary user's filter needs no_new_privs, or a user namespace",
    );
  }
  const landlock = compileLandlock(
    sandbox.landlock,
    `${path}.landlock`,
    {
      expand: expandText,
      machine,
      view,
      seesOwners: machine.privileged || !namespaces.has("user"),
    },
    report,
  );
  const policy: SandboxPolicy = {
    privileged: machine.privileged,
    server: { uid: machine.uid, gid: machine.gid, groups: groups.kept },
    groups: groups.set,
    identity,
    umask: acls.umask === undefined ? DEFAULT_UMASK : Number.parseInt(acls.umask, 8),
    chdir: chdir ?? "/",
    namespaces,
    joinNet,
    hostname,
    mounts,
    caps: compileCaps(
      sandbox.caps,
      `${path}.caps`,
      { identity, namespaces: network, newPrivs, machine },
      report,
    ),
    noNewPrivs: !newPrivs,
    // Within a user namespace root would have all of them over what the sandbox is made of.
    ...(newPrivs && sandbox.caps === undefined && !namespaces.has("user") && { gains: true }),
    cgroup: cgroupsOf(sandbox.cgroups, `${path}.cgroups`, machine, report),
    landlock,
    label: compileLabel(
      report.attempt(`${path}.acls.label`, () => acls.label && expandText(acls.label)),
      `${path}.acls.label`,
      machine,
      report,
    ),
    nice: acls.nice,
    families: families && {
      names: families.names,
      protocols: families.protocolNames,
      filter: sandbox.seccomp ? undefined : familiesFilter(families, machine.arch),
    },
    ...compileSeccomp(
      withExpandedPath(sandbox.seccomp, expandText),
      families,
      landlock?.filter !== undefined,
      `${path}.seccomp`,
      machine,
      report,
    ),
  };
  if (newPrivs) report.notice(`${path}.acls.newPrivs`, gained(sandbox, policy));
  // A filter that was made elsewhere needs no library here, and is its maker's affair.
  if (sandbox.seccomp?.rulespath === undefined)
    for (const denied of deniedCaps(policy, machine)) report.notice(`${path}.caps`, denied);
  for (const [at, step] of asked) {
    const words = outOfReach(step, policy, machine);
    if (words !== undefined) report.notice(at, words);
  }
  const loose = looseLimits(policy);
  if (loose !== undefined) report.notice(`${path}.cgroups`, loose);
  const signals = neededSignals(policy);
  if (signals !== undefined) report.notice(`${path}.acls.label`, signals);
  return policy;
}

/** An ordinary user often has no part of the hierarchy, and no way to one; root has, so there what is configured must be had. */
function cgroupsOf(
  cgroups: Sandbox["cgroups"],
  path: string,
  machine: Machine,
  report: Report,
): SandboxPolicy["cgroup"] {
  const policy = compileCgroups(cgroups, path, report);
  return policy && { ...policy, optional: policy.optional || !machine.privileged };
}

/** Said out loud, since it gives set-user-id programs their power back. */
function compileNewPrivs(
  sandbox: Sandbox,
  path: string,
  machine: Machine,
  report: Report,
): boolean {
  if (!sandbox.acls?.newPrivs) return false;
  const at = `${path}.acls.newPrivs`;
  if (sandbox.seccomp !== undefined || sandbox.landlock !== undefined) {
    report.problem(
      at,
      "cannot be combined with seccomp or landlock: both need no_new_privs once privileges are dropped",
    );
  }
  if (machine.inherits && machine.noNewPrivs) {
    report.notice(
      at,
      "not applied: the server itself runs under no_new_privs, which nothing takes back (NoNewPrivileges= of systemd, and what implies it)",
    );
    return false;
  }
  return true;
}

/** What newPrivs gives, at most. */
function gained(sandbox: Sandbox, policy: SandboxPolicy): string {
  const mounts = sandbox.namespace?.mounts ?? [];
  if (mounts.length > 0 && !mounts.some(({ suid }) => suid))
    return 'gives nothing: no mount of this sandbox has "suid": true, without which what is on it gives no privileges';
  const bound = boundCaps(policy);
  if (bound) {
    const most = bound.length > 0 ? ` but ${bound.map(capabilityShort).join(", ")}` : "";
    return `commands of this sandbox can become other users through set-user-id programs, and gain no capabilities by files${most}`;
  }
  const todo = policy.privileged
    ? "name caps, such as [], to bound them"
    : 'caps does not bound them where the server is an ordinary user\'s, unless namespace.shares.users is "disable"';
  return `commands of this sandbox can gain every capability of root, over the host too, through set-user-id programs and file capabilities: ${todo}`;
}

function withExpandedPath(
  seccomp: Sandbox["seccomp"],
  expandText: (text: string) => string,
): Sandbox["seccomp"] {
  if (seccomp?.rulespath === undefined) return seccomp;
  return { ...seccomp, rulespath: expandText(seccomp.rulespath) };
}

/**
 * Existing configs name directories of the host which their mounts do not show. Without mounts a directory that is missing is
 * one to be made before the launch, which fails otherwise.
 */
function directoryInside(
  path: string,
  view: View | undefined,
  notice: (message: string) => void,
): string {
  if (!view || view.mayHaveDirectory(path)) return path;
  notice(`there is no directory ${path} inside the mounts: the commands start in /`);
  return "/";
}

function absolute(path: string): string {
  if (!path.startsWith("/")) throw new Error(`${JSON.stringify(path)} must be an absolute path`);
  if (path.includes("\0")) throw new Error("contains a NUL byte");
  return path;
}
