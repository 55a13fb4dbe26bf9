/**
 * acls.label → where and what the launcher writes, so that the command runs under a security module's label: an SELinux
 * context, a Smack label or the name of an AppArmor profile. See proc_pid_attr(5).
 */
import type { Machine } from "./machine.ts";
import type { SandboxPolicy } from "./policy.ts";
import type { LabelPolicy } from "./policy.ts";
import type { Report } from "./report.ts";

type LabelModule = LabelPolicy["module"];

/**
 * SELinux and AppArmor change the label at the exec of the command. Smack has no such attribute: there the whole set-up runs
 * under the label too, which its capabilities exempt from Smack's rules.
 */
const ATTRIBUTE: Readonly<Record<LabelModule, (label: string) => LabelPolicy>> = {
  selinux: (text) => ({ module: "selinux", file: "/proc/self/attr/exec", text }),
  smack: (text) => ({ module: "smack", file: "/proc/self/attr/smack/current", text }),
  apparmor: (name) => ({
    module: "apparmor",
    file: "/proc/self/attr/apparmor/exec",
    text: `exec ${name}`,
  }),
};

/** What a policy needs so that the launcher may signal who runs under the label. */
const SIGNALS: Readonly<Record<LabelModule, string>> = {
  selinux: "an allow rule from the server's domain for process { signal sigkill }",
  smack: "write access of the server's label to this one",
  apparmor: 'the rule "signal (receive) peer=unconfined," in the profile',
};

/**
 * Without a pid namespace, whose end takes everything in it along, a command ends by a signal, which the
 * security module may forbid even to root (cgroup.kill it cannot).
 * @returns what the policy of such a label has to allow
 */
export function neededSignals({ label, namespaces }: SandboxPolicy): string | undefined {
  if (!label || namespaces.has("pid")) return undefined;
  return `without a pid namespace, stop and time-out reach the command only as far as ${label.module} lets the server signal it: see to ${SIGNALS[label.module]}, or set shares.pid to "disable"`;
}

/** `label` may say whose it is, as in `apparmor:vpn`; without, it is that of the module that is active here. */
export function compileLabel(
  label: string | undefined,
  path: string,
  machine: Machine,
  report: Report,
): LabelPolicy | undefined {
  if (label === undefined) return undefined;
  const [, named, text] = /^(?:(selinux|smack|apparmor):)?(.*)$/s.exec(label)! as unknown as [
    string,
    LabelModule | undefined,
    string,
  ];
  if (text === "" || /[\0\n]/.test(text)) {
    report.problem(path, "must be a label: not empty, and one line");
    return undefined;
  }
  if (!machine.inherits) {
    // A plan file is made for another machine.
    if (named) return ATTRIBUTE[named](text);
    const example = `"selinux:${text}", "smack:${text}" or "apparmor:${text}"`;
    report.problem(path, `say whose label it is, for a machine that is not this one: ${example}`);
    return undefined;
  }
  const active = machine.labelModule();
  if (active === undefined) {
    report.problem(
      path,
      "cannot be applied: neither SELinux nor Smack nor AppArmor is active in this kernel (lsm= of its command line)",
    );
    return undefined;
  }
  if (named !== undefined && named !== active) {
    report.problem(path, `is one of ${named}, and the active security module is ${active}`);
    return undefined;
  }
  return ATTRIBUTE[active](text);
}
