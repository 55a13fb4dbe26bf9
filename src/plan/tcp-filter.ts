/**
 * The filter beside Landlock's rules for TCP ports, which Linux asks of sockets of TCP alone, and in bind(2) and connect(2) alone.
 * A socket of MPTCP or SMC talks to who speaks TCP as well, and what is sent with MSG_FASTOPEN connects without a connect(2). They
 * fail as where the kernel has none of them, on which programs do without. In a ring (io_uring) no filter would see them.
 * TCP_ULP makes a socket of TCP one of SMC (Linux 5.17); whether it does, or only has the kernel speak TLS, is in memory.
 */
import { constants } from "node:os";
import type { Architecture } from "../../ffi/libseccomp.ts";
import { ACTIONS, errnoAction } from "./seccomp-action.ts";
import {
  ARGUMENTS,
  byCall,
  FAMILY,
  IO_URING_SETUP,
  IPPROTO_SMC,
  SOCKETCALL,
} from "./socket-calls.ts";

/** Linux 5.6. */
const IPPROTO_MPTCP = 262;
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

/** @param connects the ports that may be connected to are listed */
export function tcpFilter(arch: Architecture, connects: boolean): Uint8Array {
  const code = byCall(arch, ({ socket, sendto, sendmsg, sendmmsg, setsockopt }) => [
    [socket, "socket"],
    [IO_URING_SETUP, "no call"],
    ...setsockopt.map((number) => [number, "option"] as const),
    ...(connects ? sendmsg.map((number) => [number, "third"] as const) : []),
    ...(connects ? [...sendto, ...sendmmsg].map((number) => [number, "fourth"] as const) : []),
  ]);
  code.label("socketcall").load(ARGUMENTS.first).equal(SOCKETCALL.socket, "no family");
  code.equal(SOCKETCALL.setsockopt, "no call");
  if (connects)
    for (const name of ["sendto", "sendmsg", "sendmmsg"] as const)
      code.equal(SOCKETCALL[name], "no call");
  code.jump("go");
  code.label("no call").answer(NO_CALL);

  code.label("socket").load(ARGUMENTS.first).equal(FAMILY.INET, "inet").equal(FAMILY.INET6, "inet");
  code.equal(FAMILY.SMC, "no family").jump("go");
  code.label("no family").answer(NO_FAMILY);
  code.label("inet").load(ARGUMENTS.third);
  for (const protocol of [IPPROTO_SMC, IPPROTO_MPTCP]) code.equal(protocol, "no protocol");
  code.jump("go");
  code.label("no protocol").answer(NO_PROTOCOL);

  code.label("option").load(ARGUMENTS.second).equal(IPPROTO_TCP, "option of TCP").jump("go");
  code.label("option of TCP").load(ARGUMENTS.third).equal(TCP_ULP, "no ULP").jump("go");
  code.label("no ULP").answer(NO_ULP);

  code.label("third").load(ARGUMENTS.third).jump("flags");
  code.label("fourth").load(ARGUMENTS.fourth);
  code.label("flags").and(MSG_FASTOPEN).equal(MSG_FASTOPEN, "no fast open").jump("go");
  code.label("no fast open").answer(NO_FAST_OPEN);
  return code.label("go").answer(ACTIONS.ALLOW).program();
}
