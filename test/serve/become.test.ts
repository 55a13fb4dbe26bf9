/** An early server and the service that it is to be, or not: what each needs of the other. */
import { describe, expect, spyOn, test } from "bun:test";
import { closeSync, mkdtempSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CError } from "../../ffi/errno.ts";
import { openProcess } from "../../ffi/processes.ts";
import { confinement } from "../../src/launch/confinement.ts";
import {
  become,
  deniedBy,
  type Serving,
  setEnvironment,
  together,
} from "../../src/serve/become.ts";
import { Encryption } from "../../src/serve/encryption.ts";
import { Fleeting } from "../../src/serve/fleet.ts";
import { terminate } from "../../src/serve/join.ts";
import { Permissions } from "../../src/serve/permissions.ts";
import { createReloads } from "../../src/service/reload.ts";

describe("an early server that is not to be the service", () => {
  /** What it has heard until it ended, and how it did. */
  async function terminated(script: string, patience: number, haste: number) {
    const child = Bun.spawn(
      ["/bin/sh", "-c", `${script}; echo ready; while :; do sleep 0.01; done`],
      {
        stdio: ["ignore", "pipe", "ignore"],
      },
    );
    const reader = child.stdout.getReader();
    let heard = "";
    const read = async () => {
      const { done, value } = await reader.read();
      heard += new TextDecoder().decode(value);
      return !done;
    };
    while (!heard.includes("ready")) await read();
    const pidfd = openProcess(child.pid);
    if (pidfd === undefined) throw new Error("it has ended by itself");
    await terminate({ pid: child.pid, pidfd }, patience, haste);
    closeSync(pidfd);
    await child.exited;
    while (await read());
    return [heard.split("\n").slice(1, -1), child.signalCode];
  }
  test("is told once, once more after a while, and then ended", async () => {
    expect(await terminated("true", 10_000, 2000)).toEqual([[], "SIGTERM"]);
    const ignores = "trap 'echo heard' TERM";
    expect(await terminated(ignores, 1000, 400)).toEqual([["heard", "heard"], "SIGKILL"]);
    const second = "n=0; trap 'n=$((n+1)); echo $n; [ $n = 1 ] || exit 0' TERM";
    expect(await terminated(second, 1000, 400)).toEqual([["1", "2"], null]);
  });
});

describe("an early server that becomes the service", () => {
  test("says why it cannot have what the unit's process has open, where that is so", () => {
    const scope = confinement().setting("kernel.yama.ptrace_scope");
    const who =
      scope === "3" ? "kernel.yama.ptrace_scope is 3" : "a filter or a security module denies it";
    for (const errno of ["EPERM", "ENOSYS"])
      expect(deniedBy(new CError("pidfd_getfd", "1", errno))).toBe(
        `it cannot have the output and sockets of the unit's process (pidfd_getfd(1): ${errno}: ${who})`,
      );
    const others = [
      new CError("pidfd_getfd", "1", "EBADF"),
      new CError("pidfd_open", "1", "EPERM"),
      new Error("EPERM"),
      "EPERM",
    ];
    expect(others.map(deniedBy)).toEqual(others.map(() => undefined));
  });

  test("has the environment of the unit's process, and nothing of its own besides", () => {
    const own = { ...process.env };
    try {
      process.env["SPAWNBOX_TEST_OWN"] = "1";
      setEnvironment({ ...own, SPAWNBOX_TEST_UNIT: "2" });
      expect({ ...process.env }).toEqual({ ...own, SPAWNBOX_TEST_UNIT: "2" });
    } finally {
      setEnvironment(own);
    }
    expect({ ...process.env }).toEqual(own);
  });

  test("calls and is called by what both name, each once", () => {
    const of = (imports: string[], exports: string[]) =>
      ({
        imports: imports.map((uri) => ({ uri })),
        exports: exports.map((uri) => ({ uri })),
      }) as never;
    expect(together(of(["a", "b"], ["x"]), of(["b", "c"], ["y", "x"]))).toEqual(
      of(["a", "b", "c"], ["x", "y"]),
    );
    expect(together(of([], []), of(["a"], ["a"]))).toEqual(of(["a"], ["a"]));
  });
});

describe("the change", () => {
  /** What of it is asked for, of a server of which these fail; and what is left of it. */
  async function changed(
    fails: "asker" | "reload" | "start" | "extend" | "nothing",
    more: string[] = [],
  ) {
    const dir = realpathSync(mkdtempSync(join(tmpdir(), "spawnbox-become-")));
    const [env, cwd] = [{ ...process.env }, process.cwd()];
    const said: unknown[] = [];
    const told = [spyOn(console, "log"), spyOn(console, "error")].map((spy) =>
      spy.mockImplementation((text: string) => void said.push(text)),
    );
    const stderr = Object.getOwnPropertyDescriptor(process, "stderr");
    // Its output is ours, so that it stays where it is.
    const child = Bun.spawn(["/bin/cat"], { stdio: ["pipe", "inherit", "inherit"] });
    const pidfd = openProcess(child.pid);
    if (pidfd === undefined) throw new Error("it has ended by itself");
    const end = async () => {
      child.kill();
      await child.exited;
    };
    const failing = (name: typeof fails) => {
      said.push(name);
      if (fails === name) throw new Error(`${name} fails`);
    };
    const encryption = new Encryption();
    await encryption.show({ cert: "/old.pem", key: "/old.key", clientCa: undefined });
    const isNew: boolean[][] = [];
    const news = (is?: (api: string) => boolean) =>
      void isNew.push(["old", "new"].map((api) => is?.(api) ?? true));
    const serving = {
      registry: {
        list: () => [{ api: "old", verbs: [] }],
        start: async (is?: (api: string) => boolean) => {
          news(is);
          failing("start");
          if (fails === "asker") await end();
        },
        endGone: async (is?: (api: string) => boolean) => (news(is), void said.push("ended")),
      },
      server: {
        extend: async (how: { endpoints: unknown; mcp: unknown }) => (
          said.push([how.endpoints, how.mcp !== undefined]),
          failing("extend")
        ),
      },
      mesh: { open: async () => () => void said.push("closed") },
      auditing: {
        use: async () => ({
          keep: async () => void said.push("audited"),
          giveBack: async () => void said.push("not audited"),
        }),
      },
      ...{ permissions: new Permissions(() => {}), encryption },
      ...{ fleeting: new Fleeting(), fleetDeps: {}, reached: { imports: [], exports: [] } },
      keeping: { use: async () => void said.push("kept") },
      ...{ loaded: "as before", sources: [{ kind: "config", path: "early.json" }] },
      ...{ access: "a", metricsPrivilege: "m" },
      reloads: createReloads(
        async (known?: string) => known ?? "anew",
        (what) => {
          said.push(what);
          if (what === "anew") failing("reload");
          else throw new Error("it is not to be had any more");
        },
      ),
      manager: { close: () => void said.push("left") },
      status: () => "serving",
    };
    try {
      const argv = ["--config", "early.json:x.json", "--fleet", "none", ...more];
      const joining = { argv, cwd: dir, env: { A: "1" } };
      const answer = await become(
        joining,
        { pid: child.pid, pidfd },
        serving as unknown as Serving,
      ).catch(String);
      const { sources, access, metricsPrivilege } = serving;
      const now = [
        process.cwd() === cwd,
        process.env["A"],
        access,
        metricsPrivilege,
        encryption.tls?.cert,
      ];
      const paths = sources.map(({ path }) => path.replace(dir, "").replace(cwd, "."));
      return { answer, said, isNew, now, paths };
    } finally {
      for (const spy of told) spy.mockRestore();
      if (stderr) Object.defineProperty(process, "stderr", stderr);
      process.chdir(cwd);
      setEnvironment(env);
      await end();
      closeSync(pidfd);
      rmSync(dir, { recursive: true });
    }
  }
  const BACK = { now: [true, undefined, "a", "m", "/old.pem"], paths: ["early.json"] };
  const PLACE = [{ kind: "tcp", host: "127.0.0.1", port: 1234 }];
  const NOT_HAD = "it is not to be had any more";

  test("is told where all of it is done", async () => {
    const { answer, said, isNew, now, paths } = await changed("nothing", ["--mcp"]);
    expect(answer).toEqual({ status: "serving" });
    expect(said).toEqual([
      ...["anew", "reload", "start", [PLACE, true], "extend", "audited", "kept", "left"],
      "spawnbox early, since boot, is this service now: serving",
    ]);
    expect(isNew).toEqual([[false, true]]);
    expect(now).toEqual([false, "1", undefined, undefined, "/old.pem"]);
    expect(paths).toEqual(["./early.json", "/early.json", "/x.json"]);
  });

  test("is none where what it would serve is wrong, which nothing of it was", async () => {
    const { answer, said, isNew, ...left } = await changed("reload");
    expect(answer).toEqual({ problems: [{ file: "", path: "", message: "reload fails" }] });
    expect([said, isNew, left]).toEqual([["anew", "reload", "not audited"], [], BACK] as never);
  });

  test("is taken back with what has begun, where the rest of it is not possible", async () => {
    const start = await changed("start");
    expect(start).toMatchObject({ answer: "Error: start fails", ...BACK });
    expect(start.said).toEqual([
      ...["anew", "reload", "start", "not audited", "as before", NOT_HAD, "ended"],
    ]);
    expect(start.isNew).toEqual([
      [false, true],
      [false, true],
    ]);
    const asker = await changed("asker");
    expect(asker).toMatchObject({ answer: "Error: the process that asked has ended", ...BACK });
    expect(asker.said).toEqual(start.said);
    const tls = ["--tls-cert", "/new.pem", "--tls-key", "/new.key"];
    const extend = await changed("extend", ["--unix", "s.sock", ...tls]);
    expect(extend).toMatchObject({ answer: "Error: extend fails", ...BACK });
    expect(extend.said).toEqual([
      ...["anew", "reload", "start", [[{ kind: "unix", path: "s.sock", mode: 0o660 }], false]],
      ...["extend", "not audited", "closed", "as before", NOT_HAD, "ended"],
    ]);
  });
});
