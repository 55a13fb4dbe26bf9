/** Attacks through what the kernel shares beyond files: sockets, System V IPC, shared memory, keyrings, cgroups. */
import { describe, expect, test } from "bun:test";
import { createServer, type Server } from "node:net";
import { dlopen } from "bun:ffi";
import { users } from "../served.ts";
import { serving } from "../serving.ts";
import {
  acls,
  commands,
  plainAndFull,
  py,
  python,
  scoped,
  serveSandboxes,
  withMounts,
} from "./attack.ts";

const config = [
  ...plainAndFull,
  { uid: "net", acls, namespace: { shares: { net: "disable" } }, commands },
  { uid: "ipc", acls, namespace: { shares: { ipc: "disable" } }, commands },
  { uid: "minimal", profile: "minimal", acls: { user: "daemon" }, commands: python },
  {
    uid: "sys",
    acls,
    namespace: withMounts({ target: "/sys", mode: "sys" }),
    commands,
  },
  ...(scoped
    ? [
        {
          uid: "landlock",
          acls,
          landlock: { exec: ["/usr", "/bin", "/lib", "/lib64", "/etc"], connectTcp: [1] },
          commands,
        },
      ]
    : []),
];

const listening = (path: string | number): Promise<Server> => {
  const { promise, resolve, reject } = Promise.withResolvers<Server>();
  const server = createServer((socket) => socket.end("reached"));
  server.once("error", reject);
  const ready = () => resolve(server);
  if (typeof path === "number") server.listen(path, "127.0.0.1", ready);
  else server.listen(path, ready);
  return promise;
};

/** Puts this process, and so the server that it starts, into a new session keyring with a secret; false without keyrings. */
function secretInSessionKeyring(description: string): boolean {
  if (process.arch !== "x64") return false;
  const { symbols } = dlopen("libc.so.6", {
    syscall: { args: ["i64", "i64", "ptr", "ptr", "i64", "i64"], returns: "i64" },
  });
  const text = (value: string) => Buffer.from(`${value}\0`);
  const JOIN_SESSION_KEYRING = 1;
  const KEYCTL = 250;
  const ADD_KEY = 248;
  if (symbols.syscall(KEYCTL, JOIN_SESSION_KEYRING, null, null, 0, 0) < 0n) return false;
  const add = dlopen("libc.so.6", {
    syscall: { args: ["i64", "ptr", "ptr", "ptr", "i64", "i64"], returns: "i64" },
  });
  const secret = text("secret");
  return (
    add.symbols.syscall(ADD_KEY, text("user"), text(description), secret, secret.length, -3) >= 0n
  );
}

describe.each(users)("served by %s", (user) => {
  const key = `spawnbox-secret-${process.pid}`;
  let keyrings = false;
  const served = serving(() => {
    keyrings = secretInSessionKeyring(key);
    return serveSandboxes(config, { user });
  });

  test.each(["net", "full", "minimal", ...(scoped ? ["landlock"] : [])])(
    "[network] neither abstract sockets nor services on 127.0.0.1 of the host are reached: %s",
    async (sandbox) => {
      const name = `\0spawnbox-attack-${process.pid}-${sandbox}-${user.length}`;
      using _abstract = disposable(await listening(name));
      const tcp = await listening(0);
      using _tcp = disposable(tcp);
      const address = tcp.address();
      const port = typeof address === "object" && address !== null ? address.port : 0;
      const { lines, errors } = await py(
        served,
        sandbox,
        `
import socket
def reach(family, address):
    s = socket.socket(family); s.settimeout(2)
    return attempt(lambda: s.connect(address)) or "reached"
print(reach(socket.AF_UNIX, ${JSON.stringify(name)}), reach(socket.AF_INET, ("127.0.0.1", ${port})), reach(socket.AF_INET, ("127.0.0.1", ${new URL(served.url).port})))`,
      );
      expect(errors).toEqual([]);
      expect(lines[0]).not.toContain("reached");
      expect(lines[0]?.split(" ")).toHaveLength(3);
    },
  );

  test("[network] the very same sockets are reached with the host's network, so that the attack is one", async () => {
    const name = `\0spawnbox-attack-${process.pid}-open-${user.length}`;
    using _abstract = disposable(await listening(name));
    const { lines } = await py(
      served,
      "plain",
      `
import socket
s = socket.socket(socket.AF_UNIX); s.connect(${JSON.stringify(name)}); print(s.recv(7).decode())`,
    );
    expect(lines).toEqual(["reached"]);
  });

  test.each(["ipc", "full"])(
    "[ipc] System V shared memory is gone after the exit: %s",
    async (sandbox) => {
      const segment = 0x5bbb0000 + (process.pid & 0xffff);
      const make = `print(call("shmget", ${segment}, 4096, 0o1666))`;
      const look = `print(call("shmget", ${segment}, 0, 0))`;
      expect((await py(served, sandbox, `${make}\n${look}`)).lines).toEqual(["ok", "ok"]);
      expect((await py(served, sandbox, look)).lines).toEqual(["ENOENT"]);
      expect((await py(served, "plain", look)).lines).toEqual(["ENOENT"]);
    },
  );

  test("[ipc] /dev/shm and /tmp of one launch are not those of the next, nor the host's", async () => {
    const files = `["/dev/shm/spawnbox-left", "/tmp/spawnbox-left"]`;
    await py(served, "full", `for f in ${files}: open(f, "w").write("x")`);
    for (const sandbox of ["full", "plain"]) {
      const { lines } = await py(served, sandbox, `print([os.path.exists(f) for f in ${files}])`);
      expect(lines).toEqual(["[False, False]"]);
    }
  });

  test.each(["plain", "full"])(
    "[keyrings] keys in the session keyring of the server are out of reach: %s",
    async (sandbox) => {
      if (!keyrings) return;
      const { lines } = await py(
        served,
        sandbox,
        `
buffer = ctypes.create_string_buffer(64)
for ring in (-3, -4, -5):
    if call("keyctl", 10, ring, b"user", b"${key}", 0) == "ok":
        id = call.result
        print("found", call("keyctl", 11, id, buffer, 64), buffer.value)
if call("request_key", b"user", b"${key}", None, 0) == "ok": print("requested")
print("tried")`,
      );
      expect(lines).toEqual(["tried"]);
    },
  );

  test.each(["plain", "full"])(
    "[keyrings] keys that a command leaves in its session keyring are gone after its exit: %s",
    async (sandbox) => {
      if (!keyrings) return;
      const left = `spawnbox-left-${process.pid}-${sandbox}`;
      const add = await py(
        served,
        sandbox,
        `print(call("add_key", b"user", b"${left}", b"v", 1, -3))`,
      );
      expect(add.lines).toHaveLength(1);
      const { lines } = await py(
        served,
        sandbox,
        `print(call("keyctl", 10, -3, b"user", b"${left}", 0), call("request_key", b"user", b"${left}", None, 0))`,
      );
      expect(lines[0]).not.toContain("ok");
    },
  );

  test.each(["full", "minimal"])(
    "[keyrings] those of its user, which outlive every process, are not the host's: %s",
    async (sandbox) => {
      if (!keyrings) return;
      const left = `spawnbox-user-${process.pid}-${sandbox}`;
      const { lines } = await py(
        served,
        sandbox,
        `print([call("add_key", b"user", b"${left}", b"v", 1, ring) for ring in (-4, -5)])`,
      );
      expect(lines).toEqual([sandbox === "full" ? "['ok', 'ok']" : "['EPERM', 'EPERM']"]);
      for (const look of [sandbox, "plain"]) {
        const again = await py(
          served,
          look,
          `print("ok" in [call("keyctl", 10, ring, b"user", b"${left}", 0) for ring in (-4, -5)])`,
        );
        expect(again.lines).toEqual(["False"]);
      }
    },
  );

  test.each(["plain", "full", "sys"])(
    "[cgroups] no limit and no membership can be written, its own or the parent's: %s",
    async (sandbox) => {
      const { lines } = await py(
        served,
        sandbox,
        `
places = {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"}
for line in open("/proc/self/cgroup"):
    _, controllers, path = line.strip().split(":", 2)
    for base in ["", "/unified"] + ["/" + c for c in controllers.replace("name=", "").split(",") if c]:
        here = "/sys/fs/cgroup" + base + path
        places |= {here, os.path.dirname(here.rstrip("/"))}
for place in places:
    for name in ("cgroup.procs", "cgroup.subtree_control", "cgroup.kill", "cgroup.freeze", "memory.max", "pids.max", "cpu.max", "tasks", "release_agent", "pids.limit", "memory.limit_in_bytes", "devices.allow"):
        fd = attempt(os.open, place + "/" + name, os.O_WRONLY)
        if not isinstance(fd, str): print("opened", place, name)
    if attempt(os.mkdir, place + "/spawnbox-attack") is None: print("made a group in", place); os.rmdir(place + "/spawnbox-attack")
print("tried", len(places) > 1)`,
      );
      expect(lines).toEqual(["tried True"]);
    },
  );
});

const disposable = (server: Server) => ({ [Symbol.dispose]: () => void server.close() });
