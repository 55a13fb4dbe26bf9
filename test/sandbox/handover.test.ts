/** The moment in which a supervisor takes over the listener of a filter, held as no machine would do it but by chance. */
import { expect, test } from "bun:test";
import { isRoot, serve } from "../served.ts";
import tracer from "./handover-tracer.py" with { type: "text" };

const MKDIR = process.arch === "arm64" ? "mkdirat" : "mkdir";

/** An ordinary user's test cannot trace a server, which is not dumpable. */
test.if(isRoot)(
  "[system calls] the first call of a command that is denied is denied, however early the supervisor listens",
  async () => {
    await using served = await serve({
      metadata: { uid: "c", api: "c" },
      sandboxes: {
        uid: "s",
        acls: { user: "nobody" },
        seccomp: {
          default: "SCMP_ACT_ALLOW",
          report: true,
          rules: [
            {
              syscall: MKDIR,
              action: "SCMP_ACT_ERRNO(EDOM)",
            },
          ],
        },
        commands: [
          { uid: "make", encoder: "sync", exec: { cmdpath: "/bin/mkdir", args: "/tmp/nothing/x" } },
        ],
      },
    });
    const slow = Bun.spawn(["/usr/bin/python3", "-IS", "-c", tracer, `${served.pid}`], {
      stdout: "pipe",
      stderr: "inherit",
    });
    try {
      const reader = slow.stdout.getReader();
      const told = async () => new TextDecoder().decode((await reader.read()).value);
      expect(await told()).toContain("tracing");
      const { response } = await served.call("c/make");
      expect(await told()).toMatch(/"instructions": [1-9]/);
      expect(response).toMatchObject({ status: { exit: 1, denied: { [MKDIR]: 1 } } });
    } finally {
      slow.kill("SIGKILL");
      await slow.exited;
    }
  },
);
