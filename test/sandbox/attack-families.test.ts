/** Attacks through sockets of families that no network namespace holds: they are the machine's, whatever network a command has. */
import { describe, expect, test } from "bun:test";
import { users } from "../served.ts";
import { serving } from "../serving.ts";
import { acls, full, python, pythonScript, serveSandboxes } from "./attack.ts";

/** What this kernel may have of families that are the same in all networks; the first is in most. */
const SHARED = [40, 38, 3, 5, 8, 9, 20, 21, 24, 26, 30, 31, 33, 34, 35, 36, 37, 39, 41, 42, 43, 45];
const HELD = [1, 2, 10, 16, 17, 15, 29, 44];
const INTERNET = [1, 2, 10, 16];
const NO_FAMILY = "EAFNOSUPPORT";
const pooled = { ...python, pool: 1 };
const netOnly = { acls, namespace: { shares: { net: "disable" } } };
const rules = { default: "SCMP_ACT_ALLOW", rules: { syscall: "acct", action: "SCMP_ACT_KILL" } };

/** The sandbox, and the families that it may use. */
const sandboxes: [uid: string, sandbox: object, held: readonly number[]][] = [
  ["minimal", { profile: "minimal", acls: { user: "daemon" } }, HELD],
  ["device", { profile: "device", acls: { user: "daemon" } }, HELD],
  ["network", { profile: "network", acls: { user: "daemon" } }, INTERNET],
  ["net", netOnly, HELD],
  ["full", { acls, namespace: full }, HELD],
  ["rules", { ...netOnly, seccomp: rules }, HELD],
  ["told", { ...netOnly, seccomp: { ...rules, report: true } }, HELD],
  ["caps", { ...netOnly, caps: ["NET_RAW", "NET_ADMIN"] }, HELD],
  ["unix", { acls, network: { families: ["AF_UNIX"] } }, [1]],
  ["none", { acls, network: { families: [] } }, []],
];
const config = [
  ...sandboxes.map(([uid, sandbox]) => ({
    uid,
    ...sandbox,
    commands: [python, { ...pooled, uid: "warm" }],
  })),
  { uid: "all", ...netOnly, network: { families: "all" }, commands: python },
  { uid: "host", acls, commands: python },
];

/** Prints for each family what socket says to four types, and socketpair; then what io_uring_setup says. */
const PROBE = (families: readonly number[]) => `
import json, socket
pair = ctypes.create_string_buffer(8)
for f in ${JSON.stringify(families)}:
    said = [attempt(lambda: socket.socket(f, t).close()) or "ok" for t in (1, 2, 3, 5)]
    print(json.dumps([f, *said, call(${process.arch === "x64" ? 53 : 199}, f, 1, 0, pair)]))
print(json.dumps(call("io_uring_setup", 1, ctypes.create_string_buffer(128))))`;

describe.each(users)("served by %s", (user) => {
  const served = serving(() => serveSandboxes(config, { user }));
  const run = async (verb: string, script: string) => {
    const { stdout = [], stderr = [] } = await served.run(`a/${verb}`, {
      script: pythonScript(script),
    });
    expect(stderr).toEqual([]);
    return stdout;
  };

  const probe = async (verb: string, families: readonly number[]) => {
    const said = (await run(verb, PROBE(families))).map((line): unknown => JSON.parse(line));
    const ring = said.pop() as string;
    const each = said as [number, ...string[]][];
    return { ring, families: new Map(each.map(([family, ...errnos]) => [family, errnos])) };
  };

  test.each(
    sandboxes.flatMap(([uid, , held]) =>
      ["py", "warm"].map((verb): [string, readonly number[]] => [`${uid}/${verb}`, held]),
    ),
  )("[socket families] what no network namespace holds cannot be made: %s", async (verb, held) => {
    const refused = [...new Set([...SHARED, ...HELD])].filter((family) => !held.includes(family));
    const { families, ring } = await probe(verb, refused);
    expect([...families]).toEqual(refused.map((family) => [family, Array(5).fill(NO_FAMILY)]));
    expect(["ENOSYS", "EPERM"]).toContain(ring);
    // What else it may have is up to the kernel, which was asked without any filter.
    const kernel = await probe("host/py", held);
    const { families: allowed } = await probe(verb, held);
    const inKernel = (said: readonly string[]) => said.some((errno) => errno !== NO_FAMILY);
    for (const [family, said] of kernel.families)
      expect([family, inKernel(allowed.get(family) ?? [])]).toEqual([family, inKernel(said)]);
    for (const family of INTERNET.filter((one) => held.includes(one)))
      expect([family, (allowed.get(family) ?? []).includes("ok")]).toEqual([family, true]);
  });

  test("[socket families] without the filter the machine's are there, so that the attack is one", async () => {
    const vsock = async (verb: string) => (await probe(verb, [40])).families.get(40);
    const host = (await vsock("host/py")) ?? [];
    expect(await vsock("all/py")).toEqual(host);
  });

  test("names are resolved, interfaces listed and local services reached in a private network", async () => {
    const lines = await run(
      "minimal/py",
      `
import socket
print(socket.if_nameindex())
a, b = socket.socketpair(); a.send(b"x"); print(b.recv(1))
server = socket.create_server(("127.0.0.1", 0))
socket.create_connection(server.getsockname()).send(b"y"); print(server.accept()[0].recv(1))
print(socket.getaddrinfo("127.0.0.1", 80)[0][4])`,
    );
    expect(lines).toEqual(["[(1, 'lo')]", "b'x'", "b'y'", "('127.0.0.1', 80)"]);
  });

  test("a denied family is told by the name of its call", async () => {
    const script = "import socket\ntry: socket.socket(40, 1)\nexcept OSError: pass";
    const { status } = await served.run("a/told/py", { script });
    expect(status).toMatchObject({ denied: { socket: 1 } });
  });

  test("info tells the families", async () => {
    const { response } = await served.call("a/info");
    const { groups } = response as { groups: { uid: string; families?: string[] }[] };
    const of = (uid: string) => groups.find((group) => group.uid === uid)?.families;
    expect(of("network")).toEqual(["AF_UNIX", "AF_INET", "AF_INET6", "AF_NETLINK"]);
    expect(of("unix")).toEqual(["AF_UNIX"]);
    expect(of("host")).toBeUndefined();
  });
});
