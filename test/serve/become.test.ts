/** An early server and the service that it is to be, or not: what each needs of the other. */
import { describe, expect, test } from "bun:test";
import { closeSync } from "node:fs";
import { CError } from "../../ffi/errno.ts";
import { openProcess } from "../../ffi/processes.ts";
import { confinement } from "../../src/launch/confinement.ts";
import { deniedBy, setEnvironment, together } from "../../src/serve/become.ts";
import { terminate } from "../../src/serve/join.ts";

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
