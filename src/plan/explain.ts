/** A plan in words: one line per thing the launcher does, in the order of enforcement. */
import { boundCaps } from "./bounding.ts";
import { INSTRUCTION_BYTES } from "./bpf.ts";
import { httpWords } from "./http-status.ts";
import { webhookWords } from "./webhook.ts";
import type {
  FamiliesPolicy,
  LabelPolicy,
  LandlockPolicy,
  MountFlags,
  MountStep,
  Policy,
  PtyPolicy,
  ToldCalls,
} from "./policy.ts";
import { placeOf } from "../config/binder-uri.ts";
import { stopWords } from "./ending.ts";
import type { ImportPlan, Plan } from "./plan.ts";
import { groupsWords } from "./server-groups.ts";
import { capabilityWords, NAMESPACE_WORDS, rlimitWords } from "./words.ts";

function flagWords(flags: MountFlags): string {
  const words = [
    flags.readonly ? "read-only" : "writable",
    flags.nosuid ? "nosuid" : "",
    flags.nodev ? "nodev" : "",
    flags.noexec ? "noexec" : "",
  ];
  return words.filter((word) => word !== "").join(", ");
}

function mountWords(step: MountStep, { namespaces }: Pick<Policy, "namespaces">): string {
  switch (step.kind) {
    case "bind":
      return `mount ${step.target} from ${step.source}${step.optional ? ", if it is there," : ""} (${flagWords(step.flags)})`;
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
      return `mount ${step.target} as ${namespaces.has("ipc") ? "message queues of its own" : "the message queues of the host"}`;
    case "sys":
      return `mount ${step.target} as a read-only sysfs of its own network`;
    case "rebind":
      return `make ${step.target} ${flagWords(step.flags)}`;
    case "file":
      return step.named
        ? `put a file with localhost and the host name at ${step.target}`
        : `put a file of ${step.content.length} bytes, made at boot, at ${step.target}`;
    case "lock":
      return `hold a lock on ${step.target}`;
    case "seal":
      return `make ${step.target} read-only`;
  }
}

function identityWords({ identity, server, groups: set }: Policy): string {
  if (!identity) {
    const given = set?.length ? `groups ${set.join(", ")}` : "no supplementary groups";
    const groups =
      server.groups.length > 0
        ? `the server's own supplementary groups ${groupsWords(server.groups)}`
        : given;
    return `run as the server's own user, uid ${server.uid}, gid ${server.gid}, ${groups}`;
  }
  const groups =
    identity.groups.length > 0 ? `groups ${identity.groups.join(", ")}` : "no supplementary groups";
  const name = identity.name === undefined ? "" : ` (${identity.name})`;
  return `run as uid ${identity.uid}${name}, gid ${identity.gid}, ${groups}`;
}

/** LANDLOCK_ACCESS_FS_… of landlock(7). */
const LANDLOCK = { EXECUTE: 1n, WRITE_FILE: 2n } as const;

function landlockWords({ paths, ports, net }: LandlockPolicy): string[] {
  const may = (access: bigint) =>
    [
      "read",
      (access & LANDLOCK.WRITE_FILE) > 0n ? "write" : "",
      (access & LANDLOCK.EXECUTE) > 0n ? "execute" : "",
    ]
      .filter((word) => word !== "")
      .join(" and ");
  const groups = Map.groupBy(paths, ([, access]) => may(access));
  const places = [...groups].map(
    ([words, list]) => `${words} ${list.map(([path]) => path).join(", ")}`,
  );
  const numbers = [...new Set(ports.map(([port]) => port))].join(", ") || "none";
  return [
    `Landlock: no files but below these: ${places.join("; ") || "none"}`,
    ...(net > 0n
      ? [
          `Landlock: TCP ports only ${numbers}; no MPTCP, no TCP Fast Open, no TCP_ULP (kernel TLS), no io_uring, which evade that`,
        ]
      : []),
  ];
}

const MODULES = { selinux: "SELinux context", smack: "Smack label", apparmor: "AppArmor profile" };

const labelWords = ({ module, text }: LabelPolicy): string =>
  `${MODULES[module]} ${module === "apparmor" ? text.slice("exec ".length) : text}`;

const toldWords = ({ all }: ToldCalls): string =>
  all
    ? "the outcome names the calls that the filter denies or logs"
    : "the outcome names the calls whose action is SCMP_ACT_NOTIFY";

function familiesWords({ names, protocols }: FamiliesPolicy): string[] {
  const netlink = protocols.map((name) => name.slice("NETLINK_".length)).join(", ");
  return [
    names.length > 0
      ? `sockets only of ${names.join(", ")}: others fail with EAFNOSUPPORT; no io_uring, which evades that`
      : "no sockets: they fail with EAFNOSUPPORT; no io_uring, which evades that",
    ...(protocols.length > 0 ? [`AF_NETLINK only with the protocols ${netlink}`] : []),
  ];
}

function ptyWords({ columns, rows, origin }: PtyPolicy): string {
  const from = {
    own: "of its own devpts, mounted nowhere",
    mounted: `of its own devpts${origin.kind === "mounted" ? ` at ${origin.path}` : ""}`,
    machine: "of the machine's devpts",
  }[origin.kind];
  return `a terminal ${from}, ${columns} columns and ${rows} rows: stderr comes in stdout, there is nothing to read, and nothing can be typed (TIOCSTI, TIOCLINUX)`;
}

/** What the sandbox does, one line per step, in the order of the launcher. */
export function explainPolicy(policy: Policy): string[] {
  const { namespaces, mounts, hostname, umask, chdir, caps, seccomp } = policy;
  const lines: string[] = [];
  if (namespaces.size > 0)
    lines.push(`has its own ${[...namespaces].map((name) => NAMESPACE_WORDS[name]).join(", ")}`);
  if (policy.joinNet !== undefined) lines.push(`join the network ${policy.joinNet}`);
  if (policy.cgroup) lines.push("start in a control group of its own");
  if (mounts && mounts[0]?.target !== "/") lines.push("start from an empty, read-only root");
  if (mounts) lines.push(...mounts.map((step) => mountWords(step, policy)));
  else lines.push("see the whole file system of the host");
  if (hostname !== undefined && namespaces.has("uts")) lines.push(`host name ${hostname}`);
  if (policy.pty) lines.push(ptyWords(policy.pty));
  for (const [resource, value] of policy.rlimits) lines.push(rlimitWords(resource, value));
  if (policy.nice !== undefined) lines.push(`nice value ${policy.nice}`);
  if (umask !== undefined) lines.push(`umask ${umask.toString(8).padStart(3, "0")}`);
  lines.push(identityWords(policy));
  if (caps === undefined) lines.push("every capability of root");
  else if (caps.length === 0) lines.push("no capabilities");
  else lines.push(`capabilities ${caps.map(capabilityWords).join(", ")}, no others`);
  if (chdir !== undefined) lines.push(`working directory ${chdir}`);
  lines.push(
    policy.noNewPrivs
      ? "no new privileges"
      : `NEW PRIVILEGES by set-user-id programs and file capabilities: ${boundCaps(policy) ? "other users, and no other capabilities" : "every capability of root"}`,
  );
  if (policy.label) lines.push(labelWords(policy.label));
  if (policy.landlock) lines.push(...landlockWords(policy.landlock));
  if (policy.families) lines.push(...familiesWords(policy.families));
  else lines.push("sockets of every address family");
  lines.push(
    seccomp
      ? `system calls only through a filter of ${seccomp.length / INSTRUCTION_BYTES} instructions`
      : policy.families || policy.landlock?.filter || policy.pty
        ? "every other system call: no seccomp filter of its own"
        : "every system call: no seccomp filter",
  );
  if (policy.abi) lines.push(`programs of ${policy.abi} may run too`);
  if (policy.told) lines.push(toldWords(policy.told));
  return lines;
}

/** In the order of the launcher; the last line is the command itself. */
export function explain(plan: Plan): string[] {
  const lines = explainPolicy(plan.policy);
  if (plan.pool)
    lines.push(`${plan.pool.size} of these are kept ready, with all but the filter done`);
  if (plan.keptBack)
    lines.push(
      `variables of the server that are not handed on: ${plan.keptBack.join(", ")}; envs can name them`,
    );
  lines.push(...secretWords(plan));
  if (plan.webhook) lines.push(webhookWords(plan.webhook));
  const { name, plugin, opts } = plan.encoder;
  if (name === "file" && plugin === undefined)
    lines.push(
      `over REST its output is the answer itself: ${[opts["type"] ?? "bytes", opts["name"]].filter((word) => word !== undefined).join(", ")}`,
    );
  if (plan.http) lines.push(httpWords(plan.http));
  if (plan.input !== undefined)
    lines.push(`stdin: what its callers give it, at most ${plan.input} bytes`);
  if (plan.confirm) lines.push("clients ask a person before they start it");
  if (plan.audited) lines.push("not started before that is written to the audit");
  const over = plan.stop ? "told to end" : "killed";
  lines.push(plan.timeout > 0 ? `${over} after ${plan.timeout / 1000} s` : "no time limit");
  if (plan.stop) lines.push(stopWords(plan.stop));
  const argv = plan.argv.elements.map((pieces) =>
    pieces
      .map((piece) =>
        piece.kind === "text"
          ? piece.text
          : piece.kind === "file"
            ? `<${piece.path}>`
            : piece.required
              ? `%${piece.name}%`
              : `?${piece.name}?`,
      )
      .join(""),
  );
  const program = argv.map((element) => JSON.stringify(element)).join(" ");
  // The plan of exec has none.
  lines.push(`execute ${program || "what the caller names"}`);
  return lines;
}

/** Where they come from, and nothing of what they are. */
function secretWords({ secrets }: Plan): string[] {
  if (!secrets) return [];
  return [
    ...secrets.files.map(
      ({ path, optional }) =>
        `variables of ${path}, read at each launch${optional ? ", where it is there" : ""}`,
    ),
    ...Object.entries(secrets.env).map(
      ([name, file]) => `${name}: what is in ${file} at each launch`,
    ),
  ];
}

/** An API of another binder, in one line. */
export function importWords(plan: ImportPlan): string {
  const { name, remote, speech, uri, optional, privileges, verbs } = plan;
  const there = remote === name ? "" : ` as ${remote ?? "the API without a name"}`;
  const who = plan.private
    ? "only actions and extra verbs call it"
    : privileges.length > 0
      ? `who has ${privileges.join(", ")} may call it`
      : "whoever may call here may call it";
  return [
    `${name}/${verbs ? verbs.join(", ") : "*"}: of another binder, at ${placeOf(uri)}${there}, by ${speech === "ws" ? "WSAPI" : "RPC v3"}`,
    optional ? "the server starts without it too" : "the start waits for it",
    who,
  ].join("; ");
}
