/** Whether a filter already denies what the sysctl user.max_user_namespaces is set to 0 for: user namespaces within a sandbox. */
import type { Architecture } from "../../ffi/libseccomp.ts";
import { returnsOf, type Word } from "./bpf-returns.ts";
import type { Policy } from "./policy.ts";

/** [AUDIT_ARCH_…, clone, unshare, clone3] of each ABI that programs may use. The numbers of x32 are those of x86_64 and a bit. */
const X32_BIT = 0x40000000;
const ABIS: Readonly<Record<Architecture, readonly (readonly [number, number, number, number])[]>> =
  {
    x64: [
      [0xc000003e, 56, 272, 435],
      [0xc000003e, X32_BIT | 56, X32_BIT | 272, X32_BIT | 435],
      [0x40000003, 120, 310, 435],
    ],
    arm64: [
      [0xc00000b7, 220, 97, 435],
      [0x40000028, 120, 337, 435],
    ],
  };
const CLONE_NEWUSER = 0x10000000;
const NEWUSER: Word = { known: CLONE_NEWUSER, value: CLONE_NEWUSER };
/** Its flags lie in memory. */
const UNSEEN: Word = { known: 0, value: 0 };

const ACTION = 0xffff0000;
/** KILL_THREAD, KILL_PROCESS, TRAP, ERRNO of seccomp(2). */
const DENYING: ReadonlySet<number> = new Set([0, 0x80000000, 0x00030000, 0x00050000]);
/** In what the supervisor answers by. */
const USER_NOTIF = 0x7fc00000;

/** Of both architectures, as a plan does not say which it is for: a filter denies the calls of the other. */
export function deniesUserNamespaces({ seccomp, told }: Pick<Policy, "seccomp" | "told">): boolean {
  const program = told?.verdicts ?? seccomp;
  if (!program) return false;
  const denied = (arch: number, number: number, first: Word): boolean => {
    const returns = returnsOf(program, { arch, number, first });
    return [...(returns ?? [0x7fff0000])].every((one) => {
      const action = (one & ACTION) >>> 0;
      return DENYING.has(action) || (told !== undefined && action === USER_NOTIF);
    });
  };
  return Object.values(ABIS)
    .flat()
    .every(
      ([arch, clone, unshare, clone3]) =>
        denied(arch, clone, NEWUSER) &&
        denied(arch, unshare, NEWUSER) &&
        denied(arch, clone3, UNSEEN),
    );
}
