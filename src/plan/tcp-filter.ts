/**
 * The filter beside Landlock's rules for TCP ports, which Linux asks of sockets of TCP alone, and in bind(2) and connect(2) alone.
 * A socket of MPTCP or SMC talks to who speaks TCP as well, and what is sent with MSG_FASTOPEN connects without a connect(2). They
 * fail as where the kernel has none of them, on which programs do without. In a ring (io_uring) no filter would see them.
 * TCP_ULP makes a socket of TCP one of SMC (Linux 5.17); whether it does, or only has the kernel speak TLS, is in memory.
 */
import { constants } from "node:os";
import type { Architecture } from "../../ffi/libseccomp.ts";
import { Assembly } from "./assembly.ts";
import { ACTIONS, errnoAction } from "./seccomp-action.ts";

/** Numbers of a system call interface. */
interface Abi {
  /** AUDIT_ARCH_… of linux/audit.h. */
  readonly audit: number;
  readonly socket: number;
  readonly sendto: readonly number[];
  readonly sendmsg: readonly number[];
  readonly sendmmsg: readonly number[];
  readonly setsockopt: readonly number[];
  /** The call that hides its arguments in memory: only which of its functions is meant can be seen. */
  readonly socketcall?: number;
}

/** Those of x32 are those of x86_64 and a bit, or stand beside them. */
const ABIS: Readonly<Record<Architecture, readonly Abi[]>> = {
  x64: [
    {
      ...{ audit: 0xc000003e, socket: 41, setsockopt: [54, 541] },
      ...{ sendto: [44], sendmsg: [46, 518], sendmmsg: [307, 538] },
    },
    {
      ...{ audit: 0x40000003, socket: 359, setsockopt: [366], socketcall: 102 },
      ...{ sendto: [369], sendmsg: [370], sendmmsg: [345] },
    },
  ],
  arm64: [
    {
      ...{ audit: 0xc00000b7, socket: 198, setsockopt: [208] },
      ...{ sendto: [206], sendmsg: [211], sendmmsg: [269] },
    },
    {
      ...{ audit: 0x40000028, socket: 281, setsockopt: [294] },
      ...{ sendto: [290], sendmsg: [296], sendmmsg: [374] },
    },
  ],
};
const X32_BIT = 0x40000000;
/** The same in every ABI. */
const IO_URING_SETUP = 425;
/** SYS_… of linux/net.h. */
const SOCKETCALL = { socket: 1, sendto: 11, setsockopt: 14, sendmsg: 16, sendmmsg: 20 } as const;

const FAMILY = { INET: 2, INET6: 10, SMC: 43 } as const;
/** IPPROTO_SMC (Linux 6.11), IPPROTO_MPTCP (5.6). */
const PROTOCOLS = [256, 262];
const MSG_FASTOPEN = 0x20000000;
/** Of linux/tcp.h, at the level IPPROTO_TCP. */
const TCP_ULP = 31;
const IPPROTO_TCP = 6;

const NO_FAMILY = errnoAction(constants.errno.EAFNOSUPPORT);
const NO_PROTOCOL = errnoAction(constants.errno.EPROTONOSUPPORT);
/** As with net.ipv4.tcp_fastopen=0. */
const NO_FAST_OPEN = errnoAction(constants.errno.EOPNOTSUPP);
/** As where the kernel has none of that name. */
const NO_ULP = errnoAction(constants.errno.ENOENT);
const NO_CALL = errnoAction(constants.errno.ENOSYS);

/** Offsets in struct seccomp_data of the lower halves, which are all of an int. */
const DATA = { nr: 0, arch: 4, first: 16, second: 24, third: 32, fourth: 40 } as const;

/** @param connects the ports that may be connected to are listed */
export function tcpFilter(arch: Architecture, connects: boolean): Uint8Array {
  const code = new Assembly();
  code.load(DATA.arch);
  for (const { audit } of ABIS[arch]) code.equal(audit, `abi ${audit}`);
  code.answer(ACTIONS.KILL_PROCESS);
  for (const { audit, socket, sendto, sendmsg, sendmmsg, setsockopt, socketcall } of ABIS[arch]) {
    code.label(`abi ${audit}`).load(DATA.nr);
    if (arch === "x64") code.and(~X32_BIT);
    code.equal(socket, "socket").equal(IO_URING_SETUP, "no call");
    for (const number of setsockopt) code.equal(number, "option");
    if (connects) {
      for (const number of sendmsg) code.equal(number, "third");
      for (const number of [...sendto, ...sendmmsg]) code.equal(number, "fourth");
    }
    if (socketcall !== undefined) code.equal(socketcall, "socketcall");
    code.jump("go");
  }
  code.label("socketcall").load(DATA.first).equal(SOCKETCALL.socket, "no family");
  code.equal(SOCKETCALL.setsockopt, "no call");
  if (connects)
    for (const name of ["sendto", "sendmsg", "sendmmsg"] as const)
      code.equal(SOCKETCALL[name], "no call");
  code.jump("go");
  code.label("no call").answer(NO_CALL);

  code.label("socket").load(DATA.first).equal(FAMILY.INET, "inet").equal(FAMILY.INET6, "inet");
  code.equal(FAMILY.SMC, "no family").jump("go");
  code.label("no family").answer(NO_FAMILY);
  code.label("inet").load(DATA.third);
  for (const protocol of PROTOCOLS) code.equal(protocol, "no protocol");
  code.jump("go");
  code.label("no protocol").answer(NO_PROTOCOL);

  code.label("option").load(DATA.second).equal(IPPROTO_TCP, "option of TCP").jump("go");
  code.label("option of TCP").load(DATA.third).equal(TCP_ULP, "no ULP").jump("go");
  code.label("no ULP").answer(NO_ULP);

  code.label("third").load(DATA.third).jump("flags");
  code.label("fourth").load(DATA.fourth);
  code.label("flags").and(MSG_FASTOPEN).equal(MSG_FASTOPEN, "no fast open").jump("go");
  code.label("no fast open").answer(NO_FAST_OPEN);
  return code.label("go").answer(ACTIONS.ALLOW).program();
}
