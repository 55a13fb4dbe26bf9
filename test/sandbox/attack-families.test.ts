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
  ["raising", { ...netOnly, acls: { ...acls, newPrivs: true } }, HELD],
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

/** By int 0x80: socket and socketpair of AF_VSOCK, socketcall, a ring; then socket of AF_UNIX. */
const INT80 = `
import mmap
def int80(number, *args):
    code = b"\\x53"
    for register, value in zip((b"\\xb8", b"\\xbb", b"\\xb9", b"\\xba"), (number, *args)):
        code += register + value.to_bytes(4, "little")
    page = mmap.mmap(-1, 4096, prot=7); page.write(code + b"\\xcd\\x80\\x5b\\xc3")
    r = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))()
    return errno.errorcode[-r] if r < 0 else "ok"
print(int80(359, 40, 1, 0), int80(360, 40, 1, 0), int80(102, 1, 0, 0), int80(425, 1, 0, 0), int80(359, 1, 1, 0))`;

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

  /** What the kernel says, which is asked without any filter. */
  const kernel = new Map<readonly number[], ReturnType<typeof probe>>();
  const kernelOf = (held: readonly number[]) => {
    const asked = kernel.get(held) ?? probe("host/py", held);
    kernel.set(held, asked);
    return asked;
  };

  test.each(
    sandboxes.flatMap(([uid, , held]) =>
      ["py", "warm"].map((verb): [string, readonly number[]] => [`${uid}/${verb}`, held]),
    ),
  )("[socket families] what no network namespace holds cannot be made: %s", async (verb, held) => {
    const refused = [...new Set([...SHARED, ...HELD])].filter((family) => !held.includes(family));
    const { families: allowed, ring } = await probe(verb, [...refused, ...held]);
    expect(refused.map((family) => [family, allowed.get(family)])).toEqual(
      refused.map((family) => [family, Array(5).fill(NO_FAMILY)]),
    );
    expect(["ENOSYS", "EPERM"]).toContain(ring);
    // What else it may have is up to the kernel.
    const inKernel = (said: readonly string[]) => said.some((errno) => errno !== NO_FAMILY);
    for (const [family, said] of (await kernelOf(held)).families)
      expect([family, inKernel(allowed.get(family) ?? [])]).toEqual([family, inKernel(said)]);
    for (const family of INTERNET.filter((one) => held.includes(one)))
      expect([family, (allowed.get(family) ?? []).includes("ok")]).toEqual([family, true]);
  });

  test("[socket families] without the filter the machine's are there, so that the attack is one", async () => {
    const vsock = async (verb: string) => (await probe(verb, [40])).families.get(40);
    const host = (await vsock("host/py")) ?? [];
    expect(await vsock("all/py")).toEqual(host);
  });

  test("[socket families] nor through the numbers of 32-bit programs", async () => {
    if (process.arch !== "x64") return;
    const lines = (verb: string) => run(verb, INT80);
    const host = await lines("all/py");
    // A kernel without 32-bit emulation ends who tries, without a word.
    if (host.length === 0) return;
    // The first two and the ring depend on the kernel.
    expect(host[0]?.split(" ")).toMatchObject({ 2: "EFAULT", 4: "ok" });
    expect(await lines("net/py")).toEqual([`${NO_FAMILY} ${NO_FAMILY} ${NO_FAMILY} ENOSYS ok`]);
  });

  test("the filter takes set-user-id programs nothing", async () => {
    const [line] = await run(
      "raising/py",
      'print([l.split()[1] for l in open("/proc/self/status") if l.startswith(("NoNewPrivs:", "Seccomp:"))])',
    );
    expect(line).toBe("['0', '2']");
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
