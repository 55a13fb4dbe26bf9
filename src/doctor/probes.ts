/** Features found out by using them: tiny sandboxes, compiled and launched like any other. */
import { existsSync } from "node:fs";
import type { Config, Sandbox } from "../config/schema.ts";
import { ConfigError } from "../config/problem.ts";
import { launch } from "../launch/launch.ts";
import { LaunchError, type Outcome } from "../launch/task.ts";
import { fill } from "../plan/argv.ts";
import { compile } from "../plan/compile.ts";
import type { Machine } from "../plan/machine.ts";
import { type Feature, type FeatureName, missing, there } from "./feature.ts";
import { kernelFile } from "./host.ts";

type Probe = Omit<Sandbox, "uid" | "commands">;

const namespace = (key: "users" | "pid" | "net" | "ipc" | "uts" | "cgroup"): Probe => ({
  namespace: { shares: { [key]: "disable" } },
});

export const PROBES: readonly (readonly [FeatureName, Probe])[] = [
  ["launch", {}],
  ["namespace-user", namespace("users")],
  ["namespace-pid", namespace("pid")],
  ["namespace-net", namespace("net")],
  ["namespace-ipc", namespace("ipc")],
  ["namespace-uts", namespace("uts")],
  ["namespace-cgroup", namespace("cgroup")],
  [
    "mounts",
    {
      namespace: {
        shares: { pid: "disable" },
        mounts: [
          ...["/usr", "/bin", "/lib", "/lib64"].filter(existsSync).map((target) => ({ target })),
          { target: "/proc", mode: "proc" },
          { target: "/dev", mode: "dev" },
          { target: "/tmp", mode: "tmpfs" },
        ],
      },
    },
  ],
  [
    "seccomp",
    {
      seccomp: {
        default: "SCMP_ACT_ALLOW",
        rules: [{ syscall: "reboot", action: "SCMP_ACT_ERRNO(EPERM)" }],
      },
    },
  ],
  ["families", { network: { families: ["AF_UNIX"] } }],
  ["seccomp-report", { seccomp: { default: "SCMP_ACT_LOG", report: true } }],
];

export async function probeFeatures(machine: Machine): Promise<Feature[]> {
  const features: Feature[] = [];
  for (const [name, probe] of PROBES) features.push(await tried(name, probe, machine));
  const labels = machine.labelModule();
  features.push(
    labels === undefined
      ? missing("label", "no active security module has labels", remedyOf("label", machine))
      : there("label", labels),
    machine.privileged
      ? await tried("user-switch", { acls: { user: "65534", group: "65534" } }, machine)
      : missing(
          "user-switch",
          `the server runs as uid ${machine.uid}`,
          remedyOf("user-switch", machine),
        ),
  );
  return features;
}

export async function tried(name: FeatureName, probe: Probe, machine: Machine): Promise<Feature> {
  const config: Config = {
    metadata: { uid: "doctor", api: "doctor" },
    sandboxes: [
      {
        acls: machine.privileged ? { user: "root" } : {},
        ...probe,
        uid: name,
        commands: [{ uid: "true", exec: { cmdpath: "/bin/true" } }],
      },
    ],
  };
  try {
    const [api] = compile([{ file: "doctor", config }], {
      machine,
      checkEncoder: (_name, _plugin, opts) => ({ problems: [], notices: [], opts }),
    });
    const plan = api?.sandboxes[0]?.plans[0];
    if (!plan) throw new Error("no plan");
    const ignore = () => {};
    const task = await launch(plan, fill(plan.argv, undefined), { stdout: ignore, stderr: ignore });
    return found(name, await task.ended, machine);
  } catch (error) {
    if (!(error instanceof LaunchError || error instanceof ConfigError)) throw error;
    return missing(name, error.message, remedyOf(name, machine));
  }
}

/** How a command ended that does nothing. */
export function found(
  name: FeatureName,
  { exit, signal }: Pick<Outcome, "exit" | "signal">,
  machine: Pick<Machine, "privileged">,
): Feature {
  if (exit === 0) return there(name, "works");
  const how = signal === undefined ? `exit code ${exit}` : `killed by signal ${signal}`;
  return missing(name, how, remedyOf(name, machine));
}

/** @param file as {@link kernelFile} */
export function remedyOf(
  name: FeatureName,
  { privileged }: Pick<Machine, "privileged">,
  file = kernelFile,
): string {
  if (name === "launch")
    return "the launcher cannot run here at all: see memfd and the calls above";
  if (name === "user-switch") {
    return "acls.user, group and groups need a server of root, and a container that maps all users";
  }
  if (name === "label")
    return "acls.label needs SELinux, Smack or AppArmor in lsm= of the kernel command line";
  if (name === "seccomp-report") {
    return "Linux 5.6, and ptrace(2) of children allowed: kernel.yama.ptrace_scope at most 2 for root, 1 for others; a filter that is told cannot be inside another";
  }
  if (name === "seccomp") return "install libseccomp2, and use a kernel with CONFIG_SECCOMP_FILTER";
  if (name === "families")
    return 'a kernel with CONFIG_SECCOMP_FILTER; "network": {"families": "all"} does without';
  // Root needs no user namespace for the others.
  const remedy = privileged && name !== "namespace-user" ? undefined : userNamespaceRemedy(file);
  return (
    remedy ??
    "a kernel with CONFIG_NAMESPACES, and a container that may use it (--privileged, or --security-opt)"
  );
}

/** Who turned user namespaces off. See user_namespaces(7), and the restriction of AppArmor since Ubuntu 23.10. */
function userNamespaceRemedy(file: typeof kernelFile): string | undefined {
  if (file("/proc/sys/user/max_user_namespaces") === "0") {
    return "sysctl user.max_user_namespaces=10000";
  }
  if (file("/proc/sys/kernel/unprivileged_userns_clone") === "0") {
    return "sysctl kernel.unprivileged_userns_clone=1, or run the server as root";
  }
  if (file("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") === "1") {
    return "an AppArmor profile with `userns,` for spawnbox, or sysctl kernel.apparmor_restrict_unprivileged_userns=0, or run the server as root";
  }
  return undefined;
}
