/**
 * The filter that lets a command make sockets of some families only. What is refused fails as on a kernel without it:
 * EAFNOSUPPORT, of a protocol of AF_NETLINK EPROTONOSUPPORT.
 *
 * Made by hand, since a private network must not depend on libseccomp; and it knows the other ABIs of its architecture, since
 * without a filter of the config's a sandbox runs their programs too.
 */
import { constants } from "node:os";
import type { Architecture } from "../../ffi/libseccomp.ts";
import { Assembly } from "./assembly.ts";
import { chain, decode, RET_A, RET_K } from "./bpf.ts";
import type { Families } from "./families.ts";
import { ACTIONS, errnoAction } from "./seccomp-action.ts";

/** Numbers of a system call interface. */
interface Abi {
  /** AUDIT_ARCH_… of linux/audit.h. */
  readonly audit: number;
  readonly socket: number;
  readonly socketpair: number;
  /** The call that hides its arguments in memory: only which of its functions is meant can be seen. */
  readonly socketcall?: number;
}

/** The native one first. The numbers of x32 are those of x86_64 and a bit. */
const ABIS: Readonly<Record<Architecture, readonly Abi[]>> = {
  x64: [
    { audit: 0xc000003e, socket: 41, socketpair: 53 },
    { audit: 0x40000003, socket: 359, socketpair: 360, socketcall: 102 },
  ],
  arm64: [
    { audit: 0xc00000b7, socket: 198, socketpair: 199 },
    { audit: 0x40000028, socket: 281, socketpair: 288 },
  ],
};
const X32_BIT = 0x40000000;
/** The same in every ABI. Operations in a ring make sockets too (Linux 5.19), where no filter sees them. */
const IO_URING_SETUP = 425;
/** SYS_SOCKET and SYS_SOCKETPAIR of linux/net.h. */
const SOCKETCALLS = [1, 8];

const FAMILY = { INET: 2, INET6: 10, NETLINK: 16, PACKET: 17, SMC: 43 } as const;
/** SOCK_PACKET with AF_INET is AF_PACKET, and IPPROTO_SMC with AF_INET or AF_INET6 (Linux 6.11) is AF_SMC. */
const SOCK_PACKET = 10;
const SOCK_TYPE_MASK = 0xf;
const IPPROTO_SMC = 256;

const NO_FAMILY = errnoAction(constants.errno.EAFNOSUPPORT);
const NO_PROTOCOL = errnoAction(constants.errno.EPROTONOSUPPORT);
const NO_CALL = errnoAction(constants.errno.ENOSYS);
/** SECCOMP_RET_TRACE with a number of our own, which `chain` replaces. */
const UNDECIDED = 0x7ff05b0f;

/** Offsets in struct seccomp_data; of an int the kernel takes the lower half. */
const DATA = { nr: 0, arch: 4, family: 16, type: 24, protocol: 32 } as const;

/** Answers `otherwise` to all that it does not refuse. */
export function familiesFilter(
  { families, protocols }: Pick<Families, "families" | "protocols">,
  arch: Architecture,
  otherwise: number = ACTIONS.ALLOW,
): Uint8Array {
  const code = new Assembly();
  code.load(DATA.arch);
  for (const { audit } of ABIS[arch]) code.equal(audit, `abi ${audit}`);
  code.answer(ACTIONS.KILL_PROCESS);
  for (const { audit, socket, socketpair, socketcall } of ABIS[arch]) {
    code.label(`abi ${audit}`).load(DATA.nr);
    if (arch === "x64") code.and(~X32_BIT);
    code.equal(socket, "socket").equal(socketpair, "socket").equal(IO_URING_SETUP, "ring");
    if (socketcall !== undefined) code.equal(socketcall, "socketcall");
    code.jump("go");
  }
  code.label("ring").answer(NO_CALL);
  code.label("socketcall").load(DATA.family);
  for (const call of SOCKETCALLS) code.equal(call, "no family");
  code.jump("go");

  code.label("socket").load(DATA.family);
  for (const family of families) code.equal(family, labelOf(family));
  code.label("no family").answer(NO_FAMILY);
  code.label("inet").load(DATA.type).and(SOCK_TYPE_MASK);
  if (!families.has(FAMILY.PACKET)) code.equal(SOCK_PACKET, "no protocol");
  code.label("inet6").load(DATA.protocol);
  if (!families.has(FAMILY.SMC)) code.equal(IPPROTO_SMC, "no protocol");
  code.jump("go");
  code.label("netlink").load(DATA.protocol);
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
