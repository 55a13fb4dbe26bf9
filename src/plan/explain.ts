/** A plan in words: one line per thing the launcher does, in the order of enforcement. */
import type { MountFlags, MountStep, Policy } from "./policy.ts";
import type { Plan } from "./plan.ts";

function flagWords(flags: MountFlags): string {
  const words = [
    flags.readonly ? "read-only" : "writable",
    flags.nosuid ? "nosuid" : "",
    flags.nodev ? "nodev" : "",
    flags.noexec ? "noexec" : "",
  ];
  return words.filter((word) => word !== "").join(", ");
}

function mountWords(step: MountStep): string {
  switch (step.kind) {
    case "bind":
      return `mount ${step.target} from ${step.source} (${flagWords(step.flags)})`;
    case "tmpfs":
      return `mount ${step.target} as an empty tmpfs${step.size ? ` of at most ${step.size}` : ""} (${flagWords(step.flags)})`;
    case "symlink":
      return `link ${step.target} to ${step.text}`;
    case "dir":
      return `make the directory ${step.target}`;
    case "proc":
      return `mount ${step.target} as the proc of its own processes`;
    case "devpts":
      return `mount ${step.target} as pseudo terminals of its own`;
    case "mqueue":
      return `mount ${step.target} as message queues of its own`;
    case "sys":
      return `mount ${step.target} as a read-only sysfs of its own network`;
    case "rebind":
      return `make ${step.target} ${flagWords(step.flags)}`;
    case "file":
      return `put a file of ${step.content.length} bytes, made at boot, at ${step.target}`;
    case "lock":
      return `hold a lock on ${step.target}`;
    case "seal":
      return `make ${step.target} read-only`;
  }
}

function identityWords({ identity, server }: Policy): string {
  if (!identity) return `run as the server's own user, uid ${server.uid}, gid ${server.gid}`;
  const groups =
    identity.groups.length > 0 ? `groups ${identity.groups.join(", ")}` : "no supplementary groups";
  const name = identity.name === undefined ? "" : ` (${identity.name})`;
  return `run as uid ${identity.uid}${name}, gid ${identity.gid}, ${groups}`;
}

/** In the order of the launcher; the last line is the command itself. */
export function explain(plan: Plan): string[] {
  const { policy } = plan;
  const lines: string[] = [];
  if (policy.namespaces.size > 0)
    lines.push(`own namespaces: ${[...policy.namespaces].join(", ")}`);
  if (policy.mounts) {
    lines.push("start from an empty, read-only root", ...policy.mounts.map(mountWords));
  } else {
    lines.push("see the whole file system of the host");
  }
  if (policy.hostname !== undefined && policy.namespaces.has("uts"))
    lines.push(`host name ${policy.hostname}`);
  for (const [resource, value] of policy.rlimits)
    lines.push(`limit resource ${resource} to ${value < 0n ? "unlimited" : value}`);
  if (policy.umask !== undefined) lines.push(`umask ${policy.umask.toString(8).padStart(3, "0")}`);
  if (policy.chdir !== undefined) lines.push(`working directory ${policy.chdir}`);
  lines.push(identityWords(policy));
  if (policy.caps)
    lines.push(
      policy.caps.length > 0
        ? `capabilities ${policy.caps.join(", ")}, no others`
        : "no capabilities",
    );
  else lines.push("capabilities untouched");
  if (policy.noNewPrivs) lines.push("no new privileges");
  lines.push(
    policy.seccomp
      ? `seccomp filter of ${policy.seccomp.length / 8} instructions`
      : "no seccomp filter",
  );
  lines.push(plan.timeout > 0 ? `killed after ${plan.timeout / 1000} s` : "no time limit");
  const argv = plan.argv.elements.map((pieces) =>
    pieces
      .map((piece) =>
        piece.kind === "text" ? piece.text : piece.required ? `%${piece.name}%` : `?${piece.name}?`,
      )
      .join(""),
  );
  lines.push(`execute ${argv.map((element) => JSON.stringify(element)).join(" ")}`);
  return lines;
}
