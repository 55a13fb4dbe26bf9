/**
 * The filter that lets a command make sockets of some families only. What is refused fails as on a kernel without it:
 * EAFNOSUPPORT, of a protocol of AF_NETLINK EPROTONOSUPPORT.
 */
import { constants } from "node:os";
import type { Architecture } from "../../ffi/libseccomp.ts";
import { chain, decode, RET_A, RET_K } from "./bpf.ts";
import type { Families } from "./families.ts";
import { ACTIONS, errnoAction } from "./seccomp-action.ts";
import {
  ARGUMENTS,
  byCall,
  FAMILY,
  IO_URING_SETUP,
  IPPROTO_SMC,
  SOCKETCALL,
} from "./socket-calls.ts";

/** SOCK_PACKET with AF_INET is AF_PACKET, and IPPROTO_SMC with AF_INET or AF_INET6 (Linux 6.11) is AF_SMC. */
const SOCK_PACKET = 10;
const SOCK_TYPE_MASK = 0xf;

const NO_FAMILY = errnoAction(constants.errno.EAFNOSUPPORT);
const NO_PROTOCOL = errnoAction(constants.errno.EPROTONOSUPPORT);
const NO_CALL = errnoAction(constants.errno.ENOSYS);
/** SECCOMP_RET_TRACE with a number of our own, which `chain` replaces. */
const UNDECIDED = 0x7ff05b0f;

/** Answers `otherwise` to all that it does not refuse. */
export function familiesFilter(
  { families, protocols }: Pick<Families, "families" | "protocols">,
  arch: Architecture,
  otherwise: number = ACTIONS.ALLOW,
): Uint8Array {
  const code = byCall(arch, ({ socket, socketpair }) => [
    [socket, "socket"],
    [socketpair, "socket"],
    [IO_URING_SETUP, "ring"],
  ]);
  code.label("ring").answer(NO_CALL);
  code.label("socketcall").load(ARGUMENTS.first);
  for (const name of ["socket", "socketpair"] as const) code.equal(SOCKETCALL[name], "no family");
  code.jump("go");

  code.label("socket").load(ARGUMENTS.first);
  for (const family of families) code.equal(family, labelOf(family));
  code.label("no family").answer(NO_FAMILY);
  code.label("inet").load(ARGUMENTS.second).and(SOCK_TYPE_MASK);
  if (!families.has(FAMILY.PACKET)) code.equal(SOCK_PACKET, "no protocol");
  code.label("inet6").load(ARGUMENTS.third);
  if (!families.has(FAMILY.SMC)) code.equal(IPPROTO_SMC, "no protocol");
  code.jump("go");
  code.label("netlink").load(ARGUMENTS.third);
  for (const protocol of protocols) code.equal(protocol, "go");
  code.label("no protocol").answer(NO_PROTOCOL);
  return code.label("go").answer(otherwise).program();
}

function labelOf(family: number): string {
  if (family === FAMILY.INET) return "inet";
  if (family === FAMILY.INET6) return "inet6";
  return family === FAMILY.NETLINK ? "netlink" : "go";
}

/**
 * Adds the filter to one of a config's: what that lets go on is asked here, so that the stricter answer holds, as the kernel has
 * it with two filters. One program instead of two, as calls can be told of one only.
 * @param goesOn whether a call with this answer may be carried out
 * @throws Error when the whole is longer than the kernel takes
 */
export function withFamilies(
  program: Uint8Array,
  families: Families,
  arch: Architecture,
  goesOn: (action: number) => boolean,
): Uint8Array {
  const returns = decode(program).filter(({ code }) => code === RET_K || code === RET_A);
  try {
    // What it computes cannot be told apart, so it is asked second.
    if (returns.some(({ code }) => code === RET_A))
      return chain(familiesFilter(families, arch, UNDECIDED), UNDECIDED, program);
    const actions = new Set(returns.map(({ k }) => k).filter(goesOn));
    return [...actions].reduce(
      (whole, action) => chain(whole, action, familiesFilter(families, arch, action)),
      program,
    );
  } catch (error) {
    throw new Error(
      `together with network.families ${error instanceof Error ? error.message : String(error)}; "families": "all" leaves them out`,
      { cause: error },
    );
  }
}
