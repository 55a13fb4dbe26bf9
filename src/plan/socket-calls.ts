/**
 * System calls that concern sockets, by their numbers in each interface that a processor has: for filters that are made by hand,
 * which must not depend on libseccomp, and which know the other ABIs, since without a filter of the config's a sandbox runs their
 * programs too.
 */
import type { Architecture } from "../../ffi/libseccomp.ts";
import { Assembly } from "./assembly.ts";
import { ACTIONS } from "./seccomp-action.ts";

/** Those of one interface. */
export interface SocketCalls {
  /** AUDIT_ARCH_… of linux/audit.h. */
  readonly audit: number;
  readonly socket: number;
  readonly socketpair: number;
  readonly sendto: readonly number[];
  readonly sendmsg: readonly number[];
  readonly sendmmsg: readonly number[];
  readonly setsockopt: readonly number[];
  /** The call that hides its arguments in memory: only which of its functions is meant can be seen. */
  readonly socketcall?: number;
}

/** The native one first. Those of x32 are those of x86_64 and a bit, or stand beside them. */
const ABIS: Readonly<Record<Architecture, readonly SocketCalls[]>> = {
  x64: [
    {
      ...{ audit: 0xc000003e, socket: 41, socketpair: 53, setsockopt: [54, 541] },
      ...{ sendto: [44], sendmsg: [46, 518], sendmmsg: [307, 538] },
    },
    {
      ...{ audit: 0x40000003, socket: 359, socketpair: 360, setsockopt: [366], socketcall: 102 },
      ...{ sendto: [369], sendmsg: [370], sendmmsg: [345] },
    },
  ],
  arm64: [
    {
      ...{ audit: 0xc00000b7, socket: 198, socketpair: 199, setsockopt: [208] },
      ...{ sendto: [206], sendmsg: [211], sendmmsg: [269] },
    },
    {
      ...{ audit: 0x40000028, socket: 281, socketpair: 288, setsockopt: [294] },
      ...{ sendto: [290], sendmsg: [296], sendmmsg: [374] },
    },
  ],
};
const X32_BIT = 0x40000000;

/** The same in every ABI. Operations in a ring make and use sockets too (Linux 5.19), where no filter sees them. */
export const IO_URING_SETUP = 425;
/** Functions of socketcall(2): SYS_… of linux/net.h. */
export const SOCKETCALL = {
  ...{ socket: 1, socketpair: 8, sendto: 11, setsockopt: 14, sendmsg: 16, sendmmsg: 20 },
} as const;
/** Of linux/socket.h. */
export const FAMILY = { INET: 2, INET6: 10, NETLINK: 16, PACKET: 17, SMC: 43 } as const;
/** What makes a socket of AF_INET or AF_INET6 one of SMC (Linux 6.11). */
export const IPPROTO_SMC = 256;

/** Offsets in struct seccomp_data; of an int the kernel takes the lower half. */
export const ARGUMENTS = { first: 16, second: 24, third: 32, fourth: 40 } as const;
const DATA = { nr: 0, arch: 4 } as const;

/**
 * The beginning of a filter: goes to the label that stands with the number of the call, else to `go`. Who comes by an interface that
 * is not known is killed.
 */
export function byCall(
  arch: Architecture,
  labels: (calls: SocketCalls) => readonly (readonly [number: number, label: string])[],
): Assembly {
  const code = new Assembly();
  code.load(DATA.arch);
  for (const { audit } of ABIS[arch]) code.equal(audit, `abi ${audit}`);
  code.answer(ACTIONS.KILL_PROCESS);
  for (const calls of ABIS[arch]) {
    code.label(`abi ${calls.audit}`).load(DATA.nr);
    if (arch === "x64") code.and(~X32_BIT);
    for (const [number, label] of labels(calls)) code.equal(number, label);
    if (calls.socketcall !== undefined) code.equal(calls.socketcall, "socketcall");
    code.jump("go");
  }
  return code;
}
