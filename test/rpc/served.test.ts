/** The executable as an exporter, over every kind of socket: real commands, output that waits for a slow importer, peers that are killed. */
import { afterAll, describe, expect, test } from "bun:test";
import { chmodSync, chownSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ORDINARY } from "../accounts.ts";
import { isAlive, isRoot, PATIENCE, serve, system, until, users } from "../served.ts";
import { rowsOf } from "../thinned.ts";
import { serving } from "../serving.ts";
import { DatagramSocket } from "../server/datagrams.ts";
import { StrictPeer } from "./peer.ts";

const LINE = 4000;
const LINES = 25_000;
const script = (text: string) => ({ cmdpath: "/bin/sh", args: ["-c", text] });
const flood = `yes ${"x".repeat(LINE - 1)} | head -n ${LINES}`;

const dir = mkdtempSync(join(tmpdir(), "spawnbox-mesh-"));
afterAll(() => rmSync(dir, { recursive: true }));

/** KiB. */
const rss = (pid: number): number =>
  Number(/^VmRSS:\s*(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]);

interface Task {
  type: string;
  stdout?: string;
  status?: { exit?: number };
}

describe.each(users)("as %s", (user) => {
  const folder = mkdtempSync(join(dir, "s-"));
  chmodSync(dir, 0o755);
  if (isRoot && user === "ordinary user") chownSync(folder, ORDINARY, ORDINARY);
  chmodSync(folder, 0o755);
  const path = join(folder, "x");
  const abstract = `spawnbox-test-${process.pid}-${user.length}`;
  const commands = [
    { uid: "hi", encoder: "sync", exec: script("echo hi") },
    { uid: "flood", encoder: "line", exec: script(flood) },
    { uid: "big", encoder: "sync", exec: script("head -c 70000 /dev/zero | tr '\\\\0' x") },
    { uid: "stay", encoder: "line", exec: script("echo there; exec sleep 1000") },
    { uid: "shut", encoder: "sync", privilege: "urn:x", exec: script("echo open") },
  ];
  const config = {
    metadata: { uid: "demo", api: "demo", version: "1.0" },
    sandboxes: [
      {
        uid: "s",
        acls: { user: isRoot && user === "root" ? "nobody" : process.geteuid?.() },
        namespace: { mounts: system },
        commands,
      },
    ],
  };
  if (isRoot && user !== "root") config.sandboxes.forEach(({ acls }) => (acls.user = ORDINARY));
  const server = serving(() =>
    serve(config, {
      user,
      argv: [
        ...["--access", "none", "--unix-mode", "666"],
        ...["--rpc-server", `unix:${path}?as-api=demo`],
        ...["--rpc-server", `unix:@${abstract}?export=*`],
        ...["--rpc-server", "tcp:127.0.0.1:0/demo"],
      ],
    }),
  );

  test("commands are called, by path and by an abstract name", async () => {
    for (const to of [path, `\0${abstract}`]) {
      const peer = await StrictPeer.dial({ path: to });
      const { status, value } = await peer.call("hi", null, { api: "demo" });
      expect([status, value]).toMatchObject([0, { stdout: ["hi"], status: { exit: 0 } }]);
      expect(await peer.call("shut", null, { api: "demo" })).toMatchObject(
        isRoot ? { status: 0 } : { status: expect.any(Number) as number },
      );
      peer.close();
    }
  });

  test("a reply that is too long is an error that says so", async () => {
    const peer = await StrictPeer.dial({ path });
    const { status, value } = await peer.call("big", null, { api: "demo" });
    expect(status).toBe(-5);
    expect(value).toContain("65526 bytes");
    peer.close();
  });

  // Whose user the server has is nothing to that.
  rowsOf(user, users)(
    "100 MB wait for an importer that has stopped reading, and all arrive whole and in order",
    async () => {
      const peer = await StrictPeer.dial({ path });
      await peer.call("flood", null, { api: "demo" });
      await peer.event(({ data }) => (data as Task).type === "data");
      peer.socket.pause();
      const least = rss(server.pid);
      await Bun.sleep(500);
      expect(peer.socket.bytesRead).toBeLessThan(20e6);
      expect(rss(server.pid) - least).toBeLessThan(64 * 1024);
      // What others ask is answered meanwhile.
      await server.run("demo/hi");
      peer.socket.resume();
      const last = await peer.event(({ data }) => (data as Task).type === "final-event");
      expect(last.data).toMatchObject({ status: { exit: 0 } });
      const lines = peer.events.flatMap(({ data }) => (data as Task).stdout ?? []);
      expect(lines.length).toBe(LINES);
      expect(lines.every((line) => line.length === LINE - 1)).toBe(true);
      expect(peer.fault).toBeUndefined();
      peer.close();
    },
    60_000 * PATIENCE,
  );

  test("the task of an importer that is killed is not held, and goes on until it is stopped", async () => {
    const importer = Bun.spawn(
      [process.execPath, join(import.meta.dir, "killed.ts"), path, "stay"],
      {
        stdout: "pipe",
      },
    );
    const reader = importer.stdout.getReader();
    await reader.read();
    const tasks = async () => (await server.call("demo/stay", { action: "subscribe" })).response;
    expect(await tasks()).toHaveLength(1);
    importer.kill("SIGKILL");
    await importer.exited;
    expect(await tasks()).toHaveLength(1);
    await server.call("demo/stay", { action: "stop" });
    await until("the task ends", async () => ((await tasks()) as string[]).length === 0);
  });
});

test(
  "an importer that does not read does not hold the end of the server",
  async () => {
    const path = join(dir, "z");
    const config = {
      metadata: { uid: "demo", api: "demo", version: "1.0" },
      sandboxes: [
        {
          uid: "s",
          acls: { user: isRoot ? "nobody" : process.geteuid?.() },
          commands: [
            { uid: "flood", encoder: "line", exec: script(flood) },
            // Told at its end.
            { uid: "quiet", exec: script("echo there; exec sleep 1000") },
          ],
        },
      ],
    };
    const argv = ["--access", "none", "--rpc-server", `unix:${path}?as-api=demo`];
    await using server = await serve(config, { argv });
    const peer = await StrictPeer.dial({ path });
    for (const verb of ["quiet", "flood"]) await peer.call(verb, null, { api: "demo" });
    await peer.event(({ data }) => (data as Task).type === "data");
    peer.socket.pause();
    // But for the time that goes by.
    const printed = async () =>
      JSON.stringify((await server.call("monitor/tasks", {})).response).replace(/"wall":\d+/g, "");
    let before = "";
    await until("the task waits for it", async () => {
      const last = before;
      before = await printed();
      return before === last;
    });
    process.kill(server.pid, "SIGTERM");
    await until("the server has ended", async () => !(await isAlive(server.pid)));
    peer.close();
  },
  60_000 * PATIENCE,
);

test("peers over TCP are nobody", async () => {
  const port = 20_000 + (process.pid % 10_000);
  const uid = process.geteuid?.() ?? 0;
  const config = {
    metadata: { uid: "demo", api: "demo", version: "1.0" },
    sandboxes: [
      {
        uid: "s",
        acls: { user: isRoot ? "nobody" : uid },
        commands: [{ uid: "shut", encoder: "sync", privilege: "urn:x", exec: script("echo open") }],
      },
    ],
  };
  const argv = ["--access", "none", "--rpc-server", `tcp:127.0.0.1:${port}/demo`];
  argv.push("--rpc-server", `unix:${join(dir, "y")}?as-api=demo`);
  await using server = await serve(config, { argv });
  expect(server.pid).toBeGreaterThan(0);
  const far = await StrictPeer.dial({ host: "127.0.0.1", port });
  expect(await far.call("shut", null, { api: "demo" })).toMatchObject({ status: -9 });
  far.close();
  const near = await StrictPeer.dial({ path: join(dir, "y") });
  expect(await near.call("shut", null, { api: "demo" })).toMatchObject({ status: 0 });
  near.close();
});

describe("the socket of a service manager", () => {
  const config = join(dir, "config.json");
  writeFileSync(config, JSON.stringify({ metadata: { uid: "demo", api: "demo" }, sandboxes: [] }));

  /** Serves with a socket that has the name `mesh`; what it says, as soon as it serves or has ended. */
  async function managed(uri: string, socket: string) {
    const listening = DatagramSocket.listenStream(socket);
    // LISTEN_PID must be that of the program itself: the shell becomes it.
    const script = 'export LISTEN_FDS=1 LISTEN_FDNAMES=mesh LISTEN_PID=$$; exec "$@"';
    const program = join(import.meta.dir, "../../dist/spawnbox");
    const serve = [program, "serve", "--config", config, "--port", "0", "--rpc-server", uri];
    const child = Bun.spawn(["/bin/sh", "-c", script, "sh", ...serve], {
      stdio: ["ignore", "pipe", "pipe", listening.fd],
    });
    const reader = child.stdout.getReader();
    const { value } = await reader.read();
    return {
      said: value ? Buffer.from(value).toString() : await child.stderr.text(),
      async [Symbol.asyncDispose]() {
        child.kill();
        await child.exited;
        listening.close();
      },
    };
  }

  test("is found by its name, and is not for HTTP then", async () => {
    const socket = join(dir, "sd");
    await using server = await managed("sd:mesh?as-api=demo", socket);
    expect(server.said).toContain(`to other binders on unix:${socket}: demo`);
    const peer = await StrictPeer.dial({ path: socket });
    expect(await peer.call("ping", null, { api: "demo" })).toMatchObject({ status: 0 });
    peer.close();
  });

  test("one that was not handed over is said to be missing", async () => {
    await using server = await managed("sd:other?as-api=demo", join(dir, "sd2"));
    expect(server.said).toContain("FileDescriptorName=other");
  });
});
