/** TCP ports as Landlock opens them, without any namespace: as root and as an ordinary user. */
import { afterAll, describe, expect, test } from "bun:test";
import { landlockAbi } from "../../ffi/landlock.ts";
import { users } from "../served.ts";
import { serving } from "../serving.ts";
import { acls, py, python, serveSandboxes } from "./attack.ts";

const PORTS_SINCE = 4;
const listen = () =>
  Bun.listen({
    hostname: "127.0.0.1",
    port: 0,
    socket: { data() {}, open: (one) => void one.end() },
  });
const open = listen();
const closed = listen();
/** Free a moment ago. */
const freePort = () => {
  const server = listen();
  server.stop(true);
  return server.port;
};
const [bindable, other] = [freePort(), freePort()];
afterAll(() => {
  for (const server of [open, closed]) server.stop(true);
});

const files = {
  exec: ["/usr", "/bin", "/lib", "/lib64"],
  ro: ["/etc"],
  rw: ["/dev/null", "/proc"],
};
const config = [
  {
    uid: "both",
    acls,
    landlock: { ...files, connectTcp: [open.port], bindTcp: [bindable] },
    commands: python,
  },
  { uid: "connects", acls, landlock: { ...files, connectTcp: [] }, commands: python },
  { uid: "any", acls, landlock: files, commands: python },
];
const SCRIPT = `
import socket
def tcp(what, port):
    with socket.socket() as one: return attempt(getattr(one, what), ("127.0.0.1", port)) or "ok"
print(*(tcp("connect", port) for port in (${open.port}, ${closed.port})), *(tcp("bind", port) for port in (${bindable}, ${other})))`;

/** What a kernel may not have, or may not let pass, is no way in either. */
const AROUND = `
import socket
MPTCP, SMC, AF_SMC, MSG_FASTOPEN = 262, 256, 43, 0x20000000
closed = ("127.0.0.1", ${closed.port})
def made(family, protocol): socket.socket(family, socket.SOCK_STREAM, protocol).close()
def sendto(flags):
    with socket.socket() as one: one.sendto(b"x", flags, closed)
def sendmsg(flags):
    with socket.socket() as one: one.sendmsg([b"x"], [], flags, closed)
def layered():
    # A kernel with MPTCP has this one, and would say ENOTSUP to it.
    with socket.socket() as one: one.setsockopt(socket.IPPROTO_TCP, 31, b"mptcp")
def usual():
    one, other = socket.socketpair()
    one.send(b"x")
    one.sendmsg([b"y"])
    return other.recv(2).decode()
print(attempt(made, 2, MPTCP), attempt(made, 10, MPTCP), attempt(made, 2, SMC), attempt(made, AF_SMC, 0), attempt(made, 2, 6), attempt(made, 2, 0))
print(attempt(layered), attempt(sendto, MSG_FASTOPEN), attempt(sendmsg, MSG_FASTOPEN | socket.MSG_NOSIGNAL), usual())`;

describe.skipIf(landlockAbi() < PORTS_SINCE).each(users)("served by %s", (user) => {
  const served = serving(() => serveSandboxes(config, { user }));

  test.each([
    ["both", "ok EACCES ok EACCES"],
    ["connects", "EACCES EACCES ok ok"],
    ["any", "ok ok ok ok"],
  ])(
    "[landlock] only the listed TCP ports are connected to and bound: %s",
    async (sandbox, expected) => {
      const { lines, errors } = await py(served, sandbox, SCRIPT);
      expect({ lines, errors }).toEqual({ lines: [expected], errors: [] });
    },
  );

  test("[landlock] nothing goes around the ports: MPTCP, SMC, upper layer protocols, TCP Fast Open", async () => {
    for (const sandbox of ["both", "connects"]) {
      const { lines, errors } = await py(served, sandbox, AROUND);
      expect({ lines, errors }).toEqual({
        lines: [
          "EPROTONOSUPPORT EPROTONOSUPPORT EPROTONOSUPPORT EAFNOSUPPORT None None",
          "ENOENT ENOTSUP ENOTSUP xy",
        ],
        errors: [],
      });
    }
  });
});
