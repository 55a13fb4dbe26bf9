/**
 * How much a command could reach if it turned against the machine: 0 for next to nothing, 10 for everything that the
 * server itself can. A sum of weights, for comparing sandboxes, not a measure of danger.
 */
import type { Sandbox } from "../config/schema.ts";
import type { Plan } from "./plan.ts";
import { INTERNET_FAMILIES, isHeld } from "./families.ts";
import type { Policy } from "./policy.ts";
import { capabilityNumbers, capabilityWords } from "./words.ts";

/** A protection that is missing. */
export interface Finding {
  readonly what: string;
  readonly weight: number;
  /** How much thought the remedy takes: 1 none, 2 a look at what the command needs. */
  readonly effort: 1 | 2;
  /** Keys of the sandbox that remedy it; none when it may be the very purpose. */
  readonly fix?: Partial<Sandbox>;
}

export interface Exposure {
  /** 0 to 10, one decimal. */
  readonly score: number;
  /** The worst first. */
  readonly findings: readonly Finding[];
}

/** With one of these a command can take over the machine, namespaces or not. */
const POWERFUL = capabilityNumbers([
  "DAC_OVERRIDE",
  "DAC_READ_SEARCH",
  "SETUID",
  "SYS_MODULE",
  "SYS_RAWIO",
  "SYS_PTRACE",
  "SYS_ADMIN",
  "SYS_BOOT",
  "MKNOD",
  "BPF",
  "MAC_ADMIN",
]);
const SCRATCH = ["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty"];

export function exposure({ policy, timeout }: Pick<Plan, "policy" | "timeout">): Exposure {
  const findings = [
    ...identity(policy),
    ...capabilities(policy),
    ...files(policy),
    ...namespaces(policy),
    ...sockets(policy),
    ...kernel(policy),
    ...limits(policy, timeout),
  ].sort((a, b) => b.weight - a.weight);
  const sum = findings.reduce((total, { weight }) => total + weight, 0);
  return { score: Math.round(Math.min(10, sum) * 10) / 10, findings };
}

/** The `count` remedies that give most for the least thought. */
export function improvements({ findings }: Exposure, count = 3): Finding[] {
  return findings
    .filter(({ fix }) => fix !== undefined)
    .sort((a, b) => a.effort - b.effort || b.weight - a.weight)
    .slice(0, count);
}

/** The lines of a sandbox that remedy a finding, such as `"caps": []`. */
export const fixLine = (fix: Partial<Sandbox>): string =>
  JSON.stringify(fix, null, 1).replace(/\n\s*/g, " ").slice(2, -2);

function identity({
  identity: id,
  privileged,
  noNewPrivs,
  server,
  groups: set,
}: Policy): Finding[] {
  const found: Finding[] = [];
  if (privileged && (!id || id.uid === 0)) {
    found.push({ what: "runs as root", weight: 2, effort: 2, fix: { acls: { user: "nobody" } } });
  }
  if (!noNewPrivs) {
    const fix = { acls: { newPrivs: false } };
    found.push({
      what: "can gain privileges by set-user-id programs",
      weight: 1.2,
      effort: 2,
      fix,
    });
  }
  const groups = (id?.groups ?? set ?? server.groups).length;
  if (groups > 0) {
    const what = `has ${groups} supplementary group${groups > 1 ? "s" : ""}`;
    found.push({ what, weight: Math.min(0.3, groups / 10), effort: 2 });
  }
  return found;
}

function capabilities({ caps, identity: id, privileged, namespaces: own }: Policy): Finding[] {
  if (caps === undefined) {
    if (!privileged || (id && id.uid !== 0)) return [];
    return [{ what: "has every capability", weight: 1.5, effort: 1, fix: { caps: [] } }];
  }
  // Those of a user namespace of its own only reach what belongs to that namespace.
  const share = own.has("user") ? 0.4 : 1;
  return caps.map((cap) => ({
    what: `has the capability ${capabilityWords(cap)}`,
    weight: (POWERFUL.has(cap) ? 1 : 0.2) * share,
    effort: 2,
  }));
}

function files({ mounts, landlock }: Policy): Finding[] {
  if (mounts === undefined) {
    const fix: Partial<Sandbox> = { profile: "minimal" };
    return landlock
      ? [{ what: "sees the host's files, as far as Landlock allows", weight: 0.5, effort: 2, fix }]
      : [{ what: "sees all files of the host", weight: 1.5, effort: 2, fix }];
  }
  return mounts.flatMap((step): Finding[] => {
    if (step.kind !== "bind") return [];
    if (step.source === "/dev") {
      const fix: Partial<Sandbox> = { namespace: { mounts: [{ target: "/dev", mode: "dev" }] } };
      return [{ what: "sees all devices of the host", weight: 0.5, effort: 2, fix }];
    }
    if (step.target === "/" && step.source === "/")
      return [{ what: "sees all files of the host", weight: 1.2, effort: 2 }];
    if (step.flags.readonly || step.source === "/proc" || SCRATCH.includes(step.source)) return [];
    const system = /^\/(etc|usr|bin|sbin|lib\w*|boot|root|home|var|run|sys)?$/.test(step.source);
    return [
      {
        what: `can write to ${step.source} of the host`,
        weight: system ? 1 : 0.2,
        effort: 2,
      },
    ];
  });
}

function namespaces({ namespaces: own, joinNet, landlock }: Policy): Finding[] {
  const found: Finding[] = [];
  const missing = (key: "users" | "net" | "pid" | "ipc" | "uts", what: string, weight: number) => {
    const fix: Partial<Sandbox> = { namespace: { shares: { [key]: "disable" } } };
    found.push({ what, weight, effort: 1, fix });
  };
  if (joinNet !== undefined) {
    found.push({ what: `uses the network ${joinNet}`, weight: 0.5, effort: 2 });
  } else if (!own.has("net")) {
    missing("net", "uses the host's network", landlock && landlock.net > 0n ? 0.6 : 1);
  }
  if (!own.has("pid")) missing("pid", "sees the host's processes", 0.7);
  if (!own.has("user")) missing("users", "shares the host's user ids", 0.4);
  if (!own.has("ipc")) missing("ipc", "shares the host's System V IPC and message queues", 0.3);
  if (!own.has("uts")) missing("uts", "shares the host's name", 0.1);
  return found;
}

/** What a network of its own does not keep from the host. */
function sockets({ families, namespaces: own, joinNet }: Policy): Finding[] {
  if (!own.has("net") && joinNet === undefined) return [];
  const fix: Partial<Sandbox> = { network: { families: [...INTERNET_FAMILIES] } };
  if (!families) {
    const what = "may use sockets that its network does not hold, such as AF_VSOCK";
    return [{ what, weight: 0.3, effort: 1, fix }];
  }
  return families.names
    .filter((name) => !isHeld(name))
    .map((name) => ({ what: `shares ${name} with the host`, weight: 0.1, effort: 2 }));
}

function kernel({ seccomp, abi }: Policy): Finding[] {
  if (seccomp && abi === undefined) return [];
  if (seccomp) return [{ what: `may use the system calls of ${abi} too`, weight: 0.2, effort: 2 }];
  const fix: Partial<Sandbox> = {
    seccomp: {
      default: "SCMP_ACT_ERRNO(EPERM)",
      rules: [{ syscall: "@system-service", action: "SCMP_ACT_ALLOW" }],
    },
  };
  return [{ what: "may use every system call", weight: 1.5, effort: 2, fix }];
}

function limits({ rlimits, cgroup }: Policy, timeout: number): Finding[] {
  const found: Finding[] = [];
  if (rlimits.length === 0 && !cgroup) {
    const fix = { limits: { nofile: "1024", nproc: "512", core: "0" } };
    found.push({ what: "has no resource limits", weight: 0.5, effort: 1, fix });
  }
  if (timeout === 0) {
    found.push({
      what: "may run for ever",
      weight: 0.2,
      effort: 1,
      fix: { acls: { timeout: 60 } },
    });
  }
  return found;
}
