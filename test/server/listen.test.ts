/** Why an address cannot be listened on, and where one is, for people. */
import { expect, test } from "bun:test";
import { createServer } from "node:net";
import { exposed, exposedBinder } from "../../src/server/exposed.ts";
import { listen, urlHost } from "../../src/server/listen.ts";

/** What fails as it is to, or listens there. */
function failing(error: Error | undefined, address: { port: number } | string | null = null) {
  const listeners = new Set<(error: Error) => void>();
  return {
    listeners,
    once: (_: "error", listener: (error: Error) => void) => void listeners.add(listener),
    off: (_: "error", listener: (error: Error) => void) => void listeners.delete(listener),
    listen: (_: unknown, listening: () => void) => {
      if (error) for (const listener of listeners) listener(error);
      else listening();
    },
    address: () => address,
  };
}
const coded = (code: string): Error => Object.assign(new Error("it failed"), { code });
const why = (server: Parameters<typeof listen>[0], host = "127.0.0.1") =>
  listen(server, { host, port: 80 }).then(
    (port) => port,
    (error: Error) => error.message,
  );

test.each([
  [
    "EADDRINUSE",
    "the port is in use: stop the program that has it, or choose another port (EADDRINUSE)",
  ],
  [
    "EACCES",
    "not permitted: ports below 1024 need root or CAP_NET_BIND_SERVICE; choose a higher one (EACCES)",
  ],
  [
    "EADDRNOTAVAIL",
    "this machine has no such address: use one of its own, or 0.0.0.0 or :: for all (EADDRNOTAVAIL)",
  ],
  ["ENOTFOUND", "the name is not known: use an address, such as 127.0.0.1 (ENOTFOUND)"],
  ["EAI_AGAIN", "the name cannot be resolved now: use an address, such as 127.0.0.1 (EAI_AGAIN)"],
  ["EODD", "it failed (EODD)"],
])("%s", async (code, advice) => {
  expect(await why(failing(coded(code)))).toBe(`cannot listen on 127.0.0.1:80: ${advice}`);
});

test("an error without a code, and a place without a port", async () => {
  expect(await why(failing(new Error("Failed to listen")), "::1")).toMatch(
    /^cannot listen on \[::1\]:80: Failed to listen; perhaps a filter .*, or --unix PATH; or the kernel has no IPv6: use 0\.0\.0\.0$/,
  );
  expect(await why(failing(new Error("Failed to listen")), "0.0.0.0")).toMatch(
    /: Failed to listen; perhaps a filter .*, or --unix PATH$/,
  );
  for (const address of [null, "/a/path"])
    expect(await why(failing(undefined, address))).toBe("cannot listen on 127.0.0.1:80: no port");
});

test("addresses that are of one link", async () => {
  const real = (host: string) => listen(createServer(), { host, port: 0 });
  for (const host of ["fe80::1", "FEbf::1:2"])
    expect(real(host)).rejects.toThrow(
      `such an address is one of each interface: say which, as in ${host}%eth0 (EINVAL)`,
    );
  expect(real("fe80::1%none-such")).rejects.toThrow(
    /Failed to listen.*; is there an interface "none-such"\? Or perhaps a filter/,
  );
  // Another reason is told as it is.
  expect(await why(failing(coded("EINVAL")), "::1")).toMatch(/it failed \(EINVAL\)$/);
  expect(await why(failing(coded("EODD")), "fe80::1")).toMatch(/it failed \(EODD\)$/);
});

test("what goes wrong later is told to others", async () => {
  const server = failing(undefined, { port: 7 });
  expect(await why(server)).toBe(7);
  expect(server.listeners.size).toBe(0);
});

test("a port that is in use", async () => {
  const [one, other] = [createServer(), createServer()];
  const port = await listen(one, { host: "127.0.0.1", port: 0 });
  expect(port).toBeGreaterThan(0);
  expect(listen(other, { host: "127.0.0.1", port })).rejects.toThrow("the port is in use");
  await new Promise((resolve) => one.close(resolve));
});

test.each([
  ["0.0.0.0", "localhost"],
  ["::", "localhost"],
  ["::1", "[::1]"],
  ["127.0.0.1", "127.0.0.1"],
  ["board.local", "board.local"],
])("%s is %s in a URL", (host, shown) => {
  expect(urlHost(host)).toBe(shown);
});

test("what other machines reach is told with what to do", () => {
  expect(exposed("0.0.0.0:1")).toMatch(/^0\.0\.0\.0:1 is reached .*--tls-cert .*--insecure/);
  expect(exposedBinder("tcp:x")).toMatch(/^tcp:x is reached .*mtls\+tcp: .*--insecure/);
});
