/** libseccomp: rules by name become a BPF program, at boot only. See seccomp_rule_add(3), seccomp_export_bpf(3). */
import { closeSync, readSync, fstatSync } from "node:fs";
import { dlopen, read } from "bun:ffi";
import { defineStruct } from "bun-ffi-structs";
import { errnoName } from "./errno.ts";
import { uint32, uint64 } from "./integer.ts";
import { memfdCreate } from "./libc.ts";
import { pointer } from "./pointer.ts";

const open = () =>
  dlopen("libseccomp.so.2", {
    seccomp_init: { args: ["u32"], returns: "ptr" },
    seccomp_release: { args: ["ptr"], returns: "void" },
    seccomp_syscall_resolve_name: { args: ["cstring"], returns: "i32" },
    seccomp_syscall_resolve_name_arch: { args: ["u32", "cstring"], returns: "i32" },
    seccomp_arch_native: { args: [], returns: "u32" },
    seccomp_arch_add: { args: ["ptr", "u32"], returns: "i32" },
    seccomp_arch_remove: { args: ["ptr", "u32"], returns: "i32" },
    seccomp_version: { args: [], returns: "ptr" },
    seccomp_rule_add_array: { args: ["ptr", "u32", "i32", "u32", "ptr"], returns: "i32" },
    seccomp_attr_set: { args: ["ptr", "u32", "u32"], returns: "i32" },
    seccomp_export_bpf: { args: ["ptr", "i32"], returns: "i32" },
  });
let library: ReturnType<typeof open> | undefined;

function libseccomp() {
  try {
    library ??= open();
  } catch (error) {
    throw new Error(
      "seccomp rules are configured, but libseccomp.so.2 cannot be loaded: install libseccomp2 (Debian) or libseccomp (Yocto)",
      { cause: error },
    );
  }
  return library.symbols;
}

/** Comparisons of struct scmp_arg_cmp. */
export const COMPARE = { ne: 1, lt: 2, le: 3, eq: 4, ge: 5, gt: 6, masked_eq: 7 } as const;
export type Comparison = keyof typeof COMPARE;

export interface ArgCondition {
  index: number;
  op: Comparison;
  value: bigint;
  /** Only with masked_eq. */
  mask?: bigint;
}

export interface Rule {
  syscall: string;
  /** SCMP_ACT_… with its data. */
  action: number;
  args: readonly ArgCondition[];
}

/** struct scmp_arg_cmp { unsigned arg; enum op; uint64_t datum_a, datum_b } */
const ArgCmp = defineStruct([
  ["arg", "u32"],
  ["op", "u32"],
  ["a", "u64"],
  ["b", "u64"],
]);

/** SCMP_FLTATR_ACT_BADARCH, _CTL_OPTIMIZE; the filter kills foreign ABIs and searches a binary tree. */
const ATTRIBUTE = { BAD_ARCH: 2, NO_NEW_PRIVS: 3, OPTIMIZE: 8 } as const;
const KILL_PROCESS = 0x80000000;

/** Architectures that plans are made for, as AUDIT_ARCH_… of linux/audit.h and `process.arch` name them. */
export const ARCHITECTURES = { x64: 0xc000003e, arm64: 0xc00000b7 } as const;
export type Architecture = keyof typeof ARCHITECTURES;
/** And what their processors run besides. */
export const ABIS = { ...ARCHITECTURES, i386: 0x40000003, arm: 0x40000028 } as const;
export type Abi = keyof typeof ABIS;

/**
 * The first of the calls that have the same number on every ABI (Linux 5.1), and all since by number, "" for none: libraries in use
 * know fewer than the kernels they run on, and what they do not know would be left out of a rule for its group without a word.
 */
const FIRST_COMMON = 424;
export const commonCalls: readonly string[] = `
  pidfd_send_signal io_uring_setup io_uring_enter io_uring_register open_tree move_mount fsopen fsconfig fsmount fspick pidfd_open
  clone3 close_range openat2 pidfd_getfd faccessat2 process_madvise epoll_pwait2 mount_setattr quotactl_fd landlock_create_ruleset
  landlock_add_rule landlock_restrict_self memfd_secret process_mrelease futex_waitv set_mempolicy_home_node cachestat fchmodat2
  map_shadow_stack futex_wake futex_wait futex_requeue statmount listmount lsm_get_self_attr lsm_set_self_attr lsm_list_modules
  mseal setxattrat getxattrat listxattrat removexattrat open_tree_attr file_getattr file_setattr listns rseq_slice_yield`
  .trim()
  .split(/\s+/);

function commonNumber(name: string): number | undefined {
  const place = commonCalls.indexOf(name);
  return place < 0 ? undefined : FIRST_COMMON + place;
}

/** Number of a syscall there; undefined when nobody knows it, a negative number when only other architectures have it. */
export function resolveSyscall(name: string, abi: Abi): number | undefined {
  const number = libseccomp().seccomp_syscall_resolve_name_arch(ABIS[abi], name);
  return number === -1 ? commonNumber(name) : number;
}

/** Whether compileFilter() takes a rule for it: where the library does not know a call, its number counts on this processor alone. */
export function takesRule(name: string, abi: Abi): boolean {
  const lib = libseccomp();
  return lib.seccomp_syscall_resolve_name(name) !== -1 || lib.seccomp_arch_native() === ABIS[abi];
}

/** Version of the library, such as `2.5.4`. Throws when it is not there. See seccomp_version(3). */
export function libseccompVersion(): string {
  const place = pointer(libseccomp().seccomp_version());
  if (place === null) throw new Error("libseccomp tells no version");
  return [0, 4, 8].map((offset) => read.u32(place, offset)).join(".");
}

function must(result: number, what: string): void {
  if (result < 0) throw new Error(`libseccomp: ${what}: ${errnoName(-result)}`);
}

/** The library asks seccomp(2) which actions there are. */
const NO_SECCOMP =
  "seccomp(2) cannot be asked: it is denied by a filter around this process (SystemCallFilter=seccomp of the unit), or not in this kernel";

/**
 * Compiles rules that it takes into struct sock_filter[] for one ABI; every other one, x32 included, is killed. Two
 * rules must not say different things of the same calls. Errors name the rule.
 */
export function compileFilter(defaultAction: number, rules: readonly Rule[], abi: Abi): Uint8Array {
  const lib = libseccomp();
  const context = pointer(lib.seccomp_init(uint32(defaultAction, "action")));
  if (context === null) throw new Error(`libseccomp: the default action is not valid here`);
  try {
    must(lib.seccomp_attr_set(context, ATTRIBUTE.BAD_ARCH, KILL_PROCESS), NO_SECCOMP);
    const native = lib.seccomp_arch_native();
    if (native !== ABIS[abi]) {
      must(lib.seccomp_arch_add(context, ABIS[abi]), `architecture ${abi}`);
      must(lib.seccomp_arch_remove(context, native), "native architecture");
    }
    // Level 2 exists since 2.5.0; an older library keeps its linear search.
    lib.seccomp_attr_set(context, ATTRIBUTE.OPTIMIZE, 2);
    for (const rule of rules) {
      // A rule that does what happens anyway is refused by the library (EACCES) and adds nothing.
      if (rule.action === defaultAction) continue;
      // A rule takes the number of this machine, or its stand-in; the library translates it for the filter's.
      const known = lib.seccomp_syscall_resolve_name(rule.syscall);
      const number = known === -1 ? commonNumber(rule.syscall) : known;
      if (number === undefined) throw new Error(`unknown syscall ${rule.syscall}`);
      const args = new Uint8Array(
        ArgCmp.packList(
          rule.args.map(({ index, op, value, mask }) =>
            op === "masked_eq"
              ? { arg: index, op: COMPARE[op], a: uint64(mask ?? 0xffffffffn), b: uint64(value) }
              : { arg: index, op: COMPARE[op], a: uint64(value), b: 0n },
          ),
        ),
      );
      const place = args.length > 0 ? args : null;
      const added = lib.seccomp_rule_add_array(
        context,
        uint32(rule.action, "action"),
        number,
        rule.args.length,
        place,
      );
      if (added < 0 && errnoName(-added) === "EEXIST") {
        throw new Error(`the rules of ${rule.syscall} contradict each other: keep one of them`);
      }
      must(added, `rule ${rule.syscall}`);
    }
    const fd = memfdCreate("spawnbox-bpf", false);
    try {
      must(lib.seccomp_export_bpf(context, fd), "export");
      const program = new Uint8Array(fstatSync(fd).size);
      readSync(fd, program, 0, program.length, 0);
      return program;
    } finally {
      closeSync(fd);
    }
  } finally {
    lib.seccomp_release(context);
  }
}
