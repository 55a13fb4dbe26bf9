/** By whom connections are told apart. */
import { expect, test } from "bun:test";
import { connect, createServer, type AddressInfo, type Socket } from "node:net";
import { join } from "node:path";
import { peerName } from "../../src/server/peer-name.ts";
import { isRoot } from "../served.ts";
import { mayTrace, told } from "../strace.ts";

test("peers: users, IPv4 addresses however they are written, networks of IPv6", () => {
  const at = (remoteAddress: string) => peerName({ remoteAddress } as Socket, undefined);
  expect(at("::ffff:10.0.0.1")).toBe(at("10.0.0.1"));
  expect(at("2001:db8:1:2:3:4:5:6")).toBe(at("2001:db8:1:2::9"));
  expect(at("2001:db8:1:2::9")).not.toBe(at("2001:db8:1:3::9"));
  expect(at("fe80::1%eth0")).toBe("fe80:0:0:0/64");
  expect(at("::1")).toBe("0:0:0:0/64");
  // What is left out may be before the end of the network.
  expect(at("2001::3:4:5:6:7:8")).toBe("2001:0:3:4/64");
  // Whoever is on this machine has all of these addresses.
  expect(at("127.0.0.1")).toBe(at("127.255.3.9"));
  expect(at("::ffff:127.0.0.2")).toBe(at("127.0.0.1"));
  const peer = { pid: 1, uid: 7, gid: 7, user: undefined };
  expect(peerName({} as Socket, peer)).toBe("uid 7");
});

/** The name of a process's connection to a server at `host`, as the server sees it. */
async function seen(host: string, target: string, prefix: readonly string[] = []) {
  const { promise: name, resolve } = Promise.withResolvers<string>();
  const server = createServer((socket) => {
    resolve(peerName(socket, undefined));
    socket.end();
  });
  await new Promise<void>((listening) => server.listen(0, host, listening));
  const { port } = server.address() as AddressInfo;
  const program = `exec 3<>/dev/tcp/${target}/${port}; cat <&3`;
  const client = Bun.spawn([...prefix, "bash", "-c", program], {
    stdio: ["ignore", "ignore", "inherit"],
  });
  try {
    return await name;
  } finally {
    await client.exited;
    server.close();
  }
}

const mine = `uid ${process.geteuid?.()} over TCP`;

test("users of this machine, over IPv4, IPv6 and both", async () => {
  expect(await seen("127.0.0.1", "127.0.0.1")).toBe(mine);
  expect(await seen("::1", "::1")).toBe(mine);
  expect(await seen("::", "127.0.0.3")).toBe(mine);
});

test.if(isRoot)("each is another, and who has gone is nobody's", async () => {
  const other = ["setpriv", "--reuid=1234", "--clear-groups"];
  expect(await seen("127.0.0.1", "127.0.0.1", other)).toBe("uid 1234 over TCP");
  const { promise: name, resolve } = Promise.withResolvers<string>();
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    // Its end has been heard of, and nobody has it open any more.
    socket.on("end", () => resolve(peerName(socket, undefined)));
    socket.resume();
  });
  await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
  const { port } = server.address() as AddressInfo;
  const client = connect(port, "127.0.0.1", () => client.destroy());
  expect(await name).toBe("127.0.0.0/8");
  server.close();
});

test.skipIf(!mayTrace()).each([
  ["127.0.0.1", "127.0.0.1", true, "127.0.0.0/8"],
  ["127.0.0.1", "10.0.0.1", true, "127.0.0.0/8"],
  ["10.0.0.1", "127.0.0.1", true, "10.0.0.1"],
  ["::1", "::1", true, "0:0:0:0/64"],
  ["10.0.0.1", "10.0.0.2", false, "10.0.0.1"],
  ["::1", "127.0.0.1", false, "0:0:0:0/64"],
])(
  "where the kernel does not tell users of this machine apart, they share: %s at %s",
  (remoteAddress, localAddress, isAsked, name) => {
    const module = JSON.stringify(join(import.meta.dir, "../../src/server/peer-name.ts"));
    const socket = { remoteAddress, remotePort: 1, localAddress, localPort: 2 };
    const script = `
      const { peerName } = await import(${module});
      console.log(peerName(${JSON.stringify(socket)}, undefined));`;
    const { printed, calls } = told(script, "sendto:error=EPERM");
    expect(printed).toBe(`${name}\n`);
    expect(calls.some((line) => line.includes("EPERM"))).toBe(isAsked);
  },
);
