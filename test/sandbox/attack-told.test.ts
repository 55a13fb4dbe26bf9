/** Attacks on the telling of calls: floods, filters and signals of the command's own, and kernels that cannot tell. */
import { afterAll, describe, expect, test } from "bun:test";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { users } from "../served.ts";
import { serving } from "../serving.ts";
import { isTried } from "../thinned.ts";
import {
  acls,
  answering,
  commands,
  leftNothing,
  marked,
  pythonScript,
  serveSandboxes,
} from "./attack.ts";
import { namespaces, places, rule, teller, told } from "./told.ts";

const timed = commands.map((command) => ({ ...command, timeout: 0.4 }));
const config = [
  ...Object.entries(namespaces).flatMap(([uid, more]) => [
    { uid, acls, ...more, seccomp: told, commands },
    { uid: `${uid}timed`, acls, ...more, seccomp: told, commands: timed },
  ]),
  { uid: "asroot", acls: { user: "root" }, seccomp: told, commands },
];

/** Every thread of `n` processes or threads makes denied calls for ever. */
const FLOOD = `
import threading
def flood():
    while True: call("acct", 0)
`;

describe.each(users)("served by %s", (user) => {
  const served = serving(() => serveSandboxes(config, { user }));
  const py = teller(served);

  // In one of them more than 16 bits count.
  const floods: readonly (readonly [place: string, each: number])[] = [
    ["plain", process.env["CI"] === undefined ? 17_000 : 25_000],
    ["full", process.env["CI"] === undefined ? 2_000 : 25_000],
  ];
  test.each(floods.filter((_, row) => isTried(row + 1, user, users)))(
    "[system calls] a flood of denied calls keeps the server answering, and is counted to the last: %s",
    async (place, each) => {
      const script = `
for _ in range(4):
    if os.fork() == 0:
        for _ in range(${each}): call("acct", 0)
        os._exit(0)
print({os.wait()[1] for _ in range(4)})`;
      const { result } = await answering(served, py(place, script));
      expect(result).toMatchObject({ lines: ["{0}"], denied: { acct: 4 * each } });
    },
  );

  test.each(places.filter((_, row) => isTried(row + 1, user, users)))(
    "[process tree] denied calls without end hold up neither a time-out nor a stop: %s",
    async (place) => {
      const marker = `told-${process.pid}-${place}-${user === "root" ? "r" : "o"}`;
      const script = `${FLOOD}
# ${marker}
for _ in range(3): os.fork()
for _ in range(3): threading.Thread(target=flood).start()
flood()`;
      const timedOut = await served.run(`a/${place}timed/py`, { script: pythonScript(script) });
      expect(timedOut.status).toMatchObject({ signal: "Killed", info: "timeout" });
      await leftNothing(marker);

      const running = served.run(`a/${place}/py`, { script: pythonScript(script) });
      while (marked(marker).length < 8) await Bun.sleep(20);
      await served.call(`a/${place}/py`, { action: "stop", args: { signal: "SIGKILL" } });
      expect((await running).status).toMatchObject({ signal: "Killed", cause: "stopped" });
      await leftNothing(marker);
    },
  );

  test.each(places)(
    "[system calls] a command cannot answer for the supervisor, nor let its own filter decide: %s",
    async (place) => {
      // SECCOMP_SET_MODE_FILTER with one instruction that returns `action` for every call, or only for acct.
      const { lines, errors } = await py(
        place,
        `
import struct
libc.prctl(38, 1, 0, 0, 0)
SECCOMP = 277 if ARM else 317
def install(action, flags):
    code = struct.pack("<HBBI", 0x20, 0, 0, 0) + struct.pack("<HBBI", 0x15, 0, 1, NUMBERS["acct"][ARM]) + struct.pack("<HBBI", 6, 0, 0, action) + struct.pack("<HBBI", 6, 0, 0, 0x7fff0000)
    buffer = ctypes.create_string_buffer(code)
    program = ctypes.create_string_buffer(struct.pack("<HxxxxxxQ", 4, ctypes.addressof(buffer)))
    return call(SECCOMP, 1, flags, program)
NOTIFY, TRACE, LOG, ALLOW = 0x7fc00000, 0x7ff00000, 0x7ffc0000, 0x7fff0000
# A listener of its own, which could let calls go on.
print(install(NOTIFY, 8))
for action in (ALLOW, LOG, TRACE): print(install(action, 0), call("acct", 0))
# Answered by nobody: denied, if with another errno.
print(install(NOTIFY, 0), call("acct", 0))
print([fd for fd in range(64) if os.path.exists(f"/proc/self/fd/{fd}") and "seccomp" in os.readlink(f"/proc/self/fd/{fd}")])`,
      );
      expect(errors).toEqual([]);
      expect(lines).toEqual(["EBUSY", "ok EXDEV", "ok EXDEV", "ok EXDEV", "ok ENOSYS", "[]"]);
    },
  );

  // Where the supervisor runs as the command's own user, the command can reach it.
  const reachable = user === "root" ? "asroot" : "plain";
  test("[system calls] a command that stops or kills its supervisor gets no denied call through", async () => {
    const stopped = await py(
      reachable,
      `
import threading
os.kill(os.getppid(), signal.SIGSTOP)
t = threading.Thread(target=lambda: print(call("acct", 0), flush=True), daemon=True); t.start(); t.join(0.5)
print("waits", t.is_alive(), flush=True)
os.kill(os.getppid(), signal.SIGCONT); t.join()`,
    );
    expect(stopped).toMatchObject({ lines: ["waits True", "EXDEV"], denied: { acct: 1 } });
    const script = `
import threading
t = threading.Thread(target=lambda: [print(call("acct", 0), flush=True) for _ in range(1000)]); t.start()
os.kill(os.getppid(), signal.SIGKILL); t.join()`;
    const { lines, cause } = await py(reachable, script);
    expect(cause).toBe("supervisor");
    // The last is the encoder's, when there were too many lines.
    for (const line of lines) expect(line).toMatch(/^(EXDEV|ENOSYS|\.\.\.)$/);
  });
});

/** Without what it takes, the command never runs, and the step is named. */
describe.if(users.includes("root"))("inside a sandbox that denies it", () => {
  let dir: string;
  const file = (name: string) => join(dir, name);
  const program = join(import.meta.dir, "../../dist/spawnbox");
  const served = serving(() => {
    dir = mkdtempSync(join(tmpdir(), "spawnbox-told-"));
    chmodSync(dir, 0o755);
    const inner = {
      metadata: { uid: "i", api: "i" },
      sandboxes: { uid: "s", acls: { user: "root" }, seccomp: told, commands: [commands[0]] },
    };
    writeFileSync(file("inner.json"), JSON.stringify(inner));
    const made = Bun.spawnSync([program, "compile", file("inner.json"), "-o", file("inner.plan")]);
    expect(made.stderr.toString()).toBe("");
    const run = (...source: string[]) => ({
      uid: source[0]?.slice(2),
      encoder: "sync",
      exec: {
        cmdpath: program,
        args: ["run", "--raw", "i/sh", '{"script":"echo ran"}', ...source],
      },
    });
    const nests = [run("--config", file("inner.json")), run("--plan", file("inner.plan"))];
    const outer = (uid: string, seccomp: object) => ({
      uid,
      acls: { user: "root" },
      seccomp,
      commands: nests,
    });
    return serveSandboxes(
      [
        outer("old", {
          default: "SCMP_ACT_ALLOW",
          rules: rule("pidfd_getfd", "SCMP_ACT_ERRNO(ENOSYS)"),
        }),
        outer("nested", told),
      ],
      { user: "root" },
    );
  });
  afterAll(() => rmSync(dir, { recursive: true }));
  const said = async (verb: string) => {
    const { stdout = [], stderr = [] } = await served.run(`a/${verb}`);
    return [...stdout, ...stderr].join("\n");
  };

  test("[system calls] where the listener cannot be taken over, the command never runs", async () => {
    const plan = await said("old/plan");
    expect(plan).toContain("i/s: its calls cannot be told here: pidfd_getfd(2): ENOSYS");
    expect(plan).not.toContain("ran");
    const loaded = await said("old/config");
    expect(loaded).toContain(
      "sandboxes[0].seccomp: calls cannot be told here: pidfd_getfd(2): ENOSYS; it needs Linux 5.6",
    );
    expect(loaded).not.toContain("ran");
  });
  test("under a filter that is told already, a second one is refused by name", async () => {
    const plan = await said("nested/plan");
    expect(plan).toContain("seccomp listener: EBUSY");
    expect(plan).not.toContain('"ran"');
  });
});
