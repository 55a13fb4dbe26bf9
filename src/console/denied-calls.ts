/** What is known of system calls that a sandbox denies. */
import { type Json, objectOf } from "./json.ts";
import { t } from "./text.ts";

/** Names of system calls, and how often each was denied. */
export function deniedOf(status: Json): [string, number][] {
  const { denied } = status;
  return Object.entries(objectOf(denied)).flatMap(([name, count]) =>
    typeof count === "number" ? [[name, count] as [string, number]] : [],
  );
}

/** What a program wants with such a call; undefined for those that are not told of. */
export function meaningOf(call: string): string | undefined {
  const key = MEANINGS.find(([names]) => names.test(call))?.[1];
  return key && t(key);
}

const MEANINGS = [
  [/^(u?mount|umount2|pivot_root|move_mount|open_tree|fs\w+)$/, "callMount"],
  [/^(unshare|setns|clone3?)$/, "callNamespace"],
  [/^(ptrace|process_vm_\w+)$/, "callTrace"],
  [/^(clock_(set|adj)time(64)?|settimeofday|stime|adjtimex)$/, "callClock"],
  [/^(init_module|finit_module|delete_module|kexec\w*)$/, "callModule"],
  [/^(reboot)$/, "callReboot"],
  [/^(socket|socketpair|connect|bind)$/, "callSocket"],
  [/^(bpf|perf_event_open|io_uring\w*)$/, "callKernel"],
  [/^(set(re|res|fs)?[ug]id|setgroups|capset)$/, "callIdentity"],
  [/^(ch(own|mod)\w*|[lf]ch(own|mod)\w*|fchownat|fchmodat2?)$/, "callOwner"],
  [/^(add_key|keyctl|request_key)$/, "callKeys"],
  [/^(sethostname|setdomainname)$/, "callHostname"],
] as const;
