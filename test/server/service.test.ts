/** What a service manager sees and hands over: descriptors, notifications, reloads. */
import { describe, expect, jest, test } from "bun:test";
import { existsSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import { join } from "node:path";
import { sendDatagram } from "../../ffi/notify.ts";
import { descriptorOf } from "../../ffi/sockets.ts";
import { parseServe } from "../../src/serve/options.ts";
import { ConfigError } from "../../src/config/problem.ts";
import { inheritedSockets } from "../../src/service/activation.ts";
import { serviceManager, watchdogInterval } from "../../src/service/notify.ts";
import { createReloads } from "../../src/service/reload.ts";
import { until } from "../served.ts";
import { DatagramSocket } from "./datagrams.ts";
import { RawClient } from "./harness.ts";
import { scratch } from "./transport.ts";

const spawnbox = [process.execPath, join(import.meta.dir, "../../src/main.ts")];
const config = (verb: string) =>
  JSON.stringify({
    metadata: { uid: "mine", api: "mine" },
    sandboxes: {
      uid: "s",
      acls: { user: process.getuid?.() },
      commands: { uid: verb, encoder: "sync", exec: { cmdpath: "/bin/echo", args: ["hi"] } },
    },
  });

describe("notifications", () => {
  for (const name of ["path", "abstract"] as const) {
    test(`over a socket with ${name === "path" ? "a path" : "an abstract name"}`, () => {
      const { path, remove } = scratch();
      const address = name === "path" ? path : `@spawnbox-test-${process.pid}`;
      using socket = new DatagramSocket(address);
      const manager = serviceManager({ NOTIFY_SOCKET: address });
      manager.ready("serving\nhere");
      expect(socket.receive()).toBe("READY=1\nSTATUS=serving; here");
      // Nothing of it is an assignment to the manager, or speaks to a terminal.
      manager.ready("a\r\nMAINPID=1\n\x1b[2J\u2028x", 7);
      expect(socket.receive()).toBe("MAINPID=7\nREADY=1\nSTATUS=a; MAINPID=1; \\u001b[2J\\u2028x");
      // One that is too long is ignored, and with it that we are ready; one that the kernel does not take would hold up all others.
      manager.ready("…".repeat(300_000));
      expect(Buffer.byteLength(socket.receive() ?? "")).toBeWithin(1_000, 4_096);
      manager.reloading();
      expect(socket.receive()).toMatch(/^RELOADING=1\nMONOTONIC_USEC=\d+$/);
      manager.stopping(0);
      expect(socket.receive()).toStartWith("STOPPING=1\nSTATUS=");
      manager.stopping(2_500);
      expect(socket.receive()).toStartWith("STOPPING=1\nEXTEND_TIMEOUT_USEC=12500000\nSTATUS=");
      manager.close();
      remove();
    });
  }

  test("the watchdog hears of us at half its interval, until the end", async () => {
    const { path, remove } = scratch();
    using socket = new DatagramSocket(path);
    const manager = serviceManager({ NOTIFY_SOCKET: path, WATCHDOG_USEC: "20000" });
    while (socket.receive() !== "WATCHDOG=1") await Bun.sleep(1);
    manager.close();
    expect(watchdogInterval({ WATCHDOG_USEC: "3000000" })).toBe(1500);
    expect(watchdogInterval({ WATCHDOG_USEC: "3000000", WATCHDOG_PID: "1" }, 2)).toBeUndefined();
    expect(watchdogInterval({})).toBeUndefined();
    // A timer that cannot count so far would be over at once.
    expect(watchdogInterval({ WATCHDOG_USEC: "18446744073709551614" })).toBe(2147483000);
    for (const text of ["", "0", "-1", "1e6", "0x10", " 20", "x"])
      expect(watchdogInterval({ WATCHDOG_USEC: text })).toBeUndefined();
    remove();
  });

  test("a manager that is not there is told of once, and stops nothing", () => {
    const complaints: string[] = [];
    const manager = serviceManager({ NOTIFY_SOCKET: "/nowhere/socket" }, (text) =>
      complaints.push(text),
    );
    manager.ready("x");
    manager.stopping(0);
    expect(complaints).toEqual([expect.stringContaining("ENOENT")]);
    manager.close();
  });

  test("a manager without room for the moment, or not there yet, hears all of it later, in order", async () => {
    const { path, remove } = scratch();
    const complaints: string[] = [];
    const env = { NOTIFY_SOCKET: path, WATCHDOG_USEC: "20000" };
    const early = serviceManager(env, (text) => complaints.push(text));
    early.ready("early");
    using socket = new DatagramSocket(path);
    const heard: string[] = [];
    const listen = (): boolean => {
      for (let text = socket.receive(); text !== undefined; text = socket.receive())
        heard.push(text);
      return true;
    };
    const isHeard = (text: string) => until(text, () => listen() && heard.includes(text));
    await isHeard("READY=1\nSTATUS=early");
    await isHeard("WATCHDOG=1");
    early.close();
    expect(complaints).toEqual([expect.stringContaining("ENOENT")]);

    listen();
    // As many as the kernel takes for who does not read.
    const full = () => {
      for (;;) sendDatagram(path, "x");
    };
    expect(full).toThrow("EAGAIN");
    const manager = serviceManager(env, (text) => complaints.push(text));
    manager.reloading();
    manager.ready("busy");
    expect(await manager.told(1)).toBe(false);
    // Signs of life are none of what waits.
    await Bun.sleep(30);
    heard.length = 0;
    const told = manager.told(10_000);
    await isHeard("READY=1\nSTATUS=busy");
    expect(await told).toBe(true);
    const news = heard.filter((text) => /^(RELOADING|READY)/.test(text));
    expect(news.map((text) => text.split("=")[0])).toEqual(["RELOADING", "READY"]);
    await isHeard("WATCHDOG=1");
    manager.close();
    expect(complaints.length).toBe(1);
    remove();
  });

  test("a sign of life that there is no room for is not left to the next, which would be too late", () => {
    const { path, remove } = scratch();
    using socket = new DatagramSocket(path);
    expect(() => {
      for (;;) sendDatagram(path, "x");
    }).toThrow("EAGAIN");
    jest.useFakeTimers();
    const manager = serviceManager({ NOTIFY_SOCKET: path, WATCHDOG_USEC: "20000000" });
    try {
      jest.advanceTimersByTime(10_000);
      while (socket.receive() === "x");
      jest.advanceTimersByTime(2_500);
      expect(socket.receive()).toBe("WATCHDOG=1");
      jest.advanceTimersByTime(7_400);
      expect(socket.receive()).toBeUndefined();
      jest.advanceTimersByTime(200);
      expect(socket.receive()).toBe("WATCHDOG=1");
    } finally {
      manager.close();
      jest.useRealTimers();
      remove();
    }
  });
});

test("descriptors are for the process they name, and must listen", () => {
  expect(inheritedSockets({})).toEqual([]);
  expect(inheritedSockets({ LISTEN_FDS: "1", LISTEN_PID: "1" }, 2)).toEqual([]);
  expect(() => inheritedSockets({ LISTEN_FDS: "x", LISTEN_PID: "2" }, 2)).toThrow("number");
  for (const count of ["-1", "65", "1e0", "0x1", " 1", "1.0", "01", "4294967297", ""])
    expect(() => inheritedSockets({ LISTEN_FDS: count, LISTEN_PID: "2" }, 2)).toThrow("0 to 64");
  // Descriptor 3 of a test process is no listening socket, whatever it is.
  expect(() => inheritedSockets({ LISTEN_FDS: "1", LISTEN_PID: "2" }, 2)).toThrow("descriptor 3");
});

test("where to listen: TCP alone, or what is asked for", () => {
  const where = (...argv: string[]) => parseServe(["--config", "x", ...argv]);
  const tcp = { kind: "tcp", host: "127.0.0.1", port: 1234 };
  expect(where()).toMatchObject({ endpoints: [], otherwise: tcp });
  expect(where("--port", "0")?.endpoints).toEqual([{ kind: "tcp", host: "127.0.0.1", port: 0 }]);
  expect(where("--unix", "/s", "--unix", "t", "--unix-mode", "600")?.endpoints).toEqual([
    { kind: "unix", path: "/s", mode: 0o600 },
    { kind: "unix", path: "t", mode: 0o600 },
  ]);
  expect(where("--host", "::1", "--host", "127.0.0.1", "--unix", "/s")?.endpoints).toEqual([
    { kind: "tcp", host: "::1", port: 1234 },
    { kind: "tcp", host: "127.0.0.1", port: 1234 },
    { kind: "unix", path: "/s", mode: 0o660 },
  ]);
  for (const wrong of [
    ["--port", "x"],
    ["--port", "70000"],
    ["--unix", ""],
    ["--unix-mode", "888"],
    ["--nope"],
  ]) {
    expect(() => where(...wrong)).toThrow(TypeError);
  }
});

describe("reload", () => {
  test("all or nothing, one after the other", async () => {
    const replaced: string[] = [];
    let problem: Error | undefined;
    const { reload, alone } = createReloads(
      async (known?: string) => {
        if (problem) throw problem;
        return known ?? "read";
      },
      (prepared) => replaced.push(prepared),
    );
    expect(await reload()).toEqual({ ok: true, problems: [], loaded: 1 });
    const found = { file: "f", path: "p", message: "m" };
    problem = new ConfigError([found]);
    const both = [reload(), reload()];
    expect(await both[0]).toEqual({ ok: false, problems: [found] });
    problem = new Error("two APIs");
    expect(await reload()).toEqual({
      ok: false,
      problems: [{ file: "", path: "", message: "two APIs" }],
    });
    await both[1];
    problem = undefined;
    const held = alone(async (own) => {
      await Bun.sleep(1);
      await own("known");
      throw new Error("no service");
    });
    await Promise.all([expect(held).rejects.toThrow("no service"), reload()]);
    expect(replaced).toEqual(["read", "known", "read"]);
  });
});

/** Runs `serve` with sockets of a service manager: 3 is handed on as 3. */
async function underManager(file: string, notify: string, fd: number) {
  // LISTEN_PID must be that of the program itself: the shell becomes it.
  const script = 'export LISTEN_FDS=1 LISTEN_PID=$$; exec "$@"';
  const child = Bun.spawn(["/bin/sh", "-c", script, "sh", ...spawnbox, "serve", "--config", file], {
    // What it prints is told beside its work: that none of it can be kept does not change how it ends.
    stdio: ["ignore", Bun.file("/dev/full"), "inherit", fd],
    env: { ...process.env, NOTIFY_SOCKET: notify },
  });
  return child;
}

test("an inherited socket, readiness, reload by SIGHUP, and the end", async () => {
  const { path, dir, remove } = scratch();
  const notify = join(dir, "notify");
  const file = join(dir, "config.json");
  writeFileSync(file, config("one"));
  using manager = new DatagramSocket(notify);
  const heard = async (wanted: RegExp): Promise<string> => {
    for (;;) {
      const text = manager.receive();
      if (text !== undefined && wanted.test(text)) return text;
      await Bun.sleep(5);
    }
  };
  const listening = DatagramSocket.listenStream(path);
  const child = await underManager(file, notify, listening.fd);
  try {
    expect(await heard(/READY=1/)).toBe(`READY=1\nSTATUS=serving unix:${path}`);
    const get = async (target: string): Promise<string> => {
      using client = await RawClient.open(path);
      client.write(`GET ${target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`);
      return await client.rest();
    };
    expect(await get("/api/mine/one")).toContain('"stdout":["hi"]');
    writeFileSync(file, "{ nonsense");
    child.kill("SIGHUP");
    await heard(/RELOADING=1/);
    expect(await heard(/READY=1/)).toContain("reload failed, nothing changed");
    expect(await get("/api/mine/one")).toContain("200 OK");
    writeFileSync(file, config("two"));
    child.kill("SIGHUP");
    await heard(/RELOADING=1/);
    await heard(/READY=1/);
    expect(await get("/api/mine/two")).toContain("200 OK");
    expect(await get("/api/mine/one")).toContain("404 Not Found");
    child.kill("SIGTERM");
    await heard(/STOPPING=1/);
    expect(await child.exited).toBe(0);
  } finally {
    child.kill("SIGKILL");
    listening.close();
    rmSync(path, { force: true });
    remove();
  }
}, 30_000);

test("an inherited socket that other machines reach needs TLS, or the word that it does not", async () => {
  const { dir, remove } = scratch();
  const file = join(dir, "config.json");
  writeFileSync(file, config("one"));
  try {
    for (const [host, more, expected] of [
      ["0.0.0.0", [], "--tls-cert"],
      ["::", [], "--insecure"],
      ["0.0.0.0", ["--insecure"], "serves on http://localhost"],
      ["127.0.0.1", [], "serves on http://127.0.0.1"],
    ] as const) {
      const listening = createServer();
      await new Promise<void>((resolve) => listening.listen(0, host, resolve));
      const fd = descriptorOf(listening as unknown as Socket) ?? -1;
      const script = 'export LISTEN_FDS=1 LISTEN_PID=$$; exec "$@"';
      const argv = [...spawnbox, "serve", "--config", file, ...more];
      const child = Bun.spawn(["/bin/sh", "-c", script, "sh", ...argv], {
        stdio: ["ignore", "pipe", "pipe", fd],
      });
      const words = Promise.withResolvers<string>();
      let said = "";
      const read = async (stream: ReadableStream<Uint8Array>) => {
        const decoder = new TextDecoder();
        for await (const chunk of stream) {
          said += decoder.decode(chunk, { stream: true });
          if (said.includes("serves on") || said.includes("--insecure")) words.resolve(said);
        }
      };
      void Promise.all([read(child.stdout), read(child.stderr)]).then(() => words.resolve(said));
      expect(await words.promise).toContain(expected);
      child.kill("SIGKILL");
      await child.exited;
      listening.close();
    }
  } finally {
    remove();
  }
}, 30_000);

test("a SIGHUP while it starts is no end: what it has read is read anew once it serves", async () => {
  const { path, dir, remove } = scratch();
  const file = join(dir, "config.json");
  const begun = join(dir, "begun");
  const wait = `touch ${begun}; until [ -e ${dir}/go ]; do sleep 0.01; done`;
  const content = {
    metadata: { uid: "slow", api: "slow" },
    onload: { uid: "1", action: "api://slow#wait" },
    sandboxes: {
      ...{ uid: "s", prefix: "", acls: { user: process.getuid?.() } },
      commands: { uid: "wait", encoder: "sync", exec: { cmdpath: "/bin/sh", args: ["-c", wait] } },
    },
  };
  writeFileSync(file, JSON.stringify(content));
  const child = Bun.spawn([...spawnbox, "serve", "--config", file, "--unix", path], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  try {
    await until("the action runs", () => existsSync(begun));
    child.kill("SIGHUP");
    writeFileSync(join(dir, "go"), "");
    let said = "";
    for await (const bytes of child.stdout) {
      said += new TextDecoder().decode(bytes);
      if (said.includes("reloaded")) break;
    }
    expect(said).toContain("reloaded");
    child.kill("SIGTERM");
    expect(await child.exited).toBe(0);
  } finally {
    child.kill("SIGKILL");
    remove();
  }
}, 30_000);
