import { describe, expect, test } from "bun:test";
import { explain } from "../../src/plan/explain.ts";
import { asRoot, compiled, planOf, refused } from "./compiling.ts";

const machine = { ...asRoot, landlockAbi: () => 5 };
const system = ["/usr", "/bin", "/lib", "/lib64"];
const sandbox = (landlock: object) => ({ acls: { user: "daemon" }, landlock });

describe("paths", () => {
  test("are resolved at boot, but for what leads every process to itself", () => {
    const paths = ["/bin/..", "/proc/self/task", "/dev/fd"];
    const { policy } = planOf(compiled(sandbox({ exec: system, ro: paths }), machine));
    const resolved = policy.landlock?.paths.map(([path]) => path);
    expect(resolved).toContain("/usr");
    expect(resolved).toContain("/proc/self/task");
    expect(resolved).toContain("/proc/self/fd");
    expect(resolved).not.toContain("/bin");
  });

  test("that do not exist, and those that a wider rule opens, are told", () => {
    const landlock = {
      exec: system,
      rw: ["/var/tmp", "/dev/null"],
      ro: ["/var/tmp/spawnbox-none"],
    };
    const told = compiled(sandbox(landlock), machine).notices.map(({ message }) => message);
    expect(told).toEqual([
      "/var/tmp/spawnbox-none does not exist: no command starts until it does",
      "/var/tmp/spawnbox-none can be written all the same: /var/tmp above it is rw",
    ]);
  });
});

test("that leave /dev/null out are told", () => {
  const told = (landlock: object) =>
    compiled(sandbox({ exec: system, ...landlock }), machine).notices.map(({ message }) => message);
  const closed = ["/dev/null cannot be written to, as shells and many programs do: add it to rw"];
  expect(told({ rw: ["/var/tmp"] })).toEqual(closed);
  expect(told({ ro: ["/dev"] })).toEqual(closed);
  for (const rw of ["/dev/null", "/dev"]) expect(told({ rw: [rw] })).toEqual([]);
  // Where it is not shown, Landlock takes nothing away.
  const mounts = [...system, "/var/tmp"].map((target) => ({ target }));
  const shown = { ...sandbox({ exec: system }), namespace: { mounts } };
  expect(compiled(shown, machine).notices.map(({ message }) => message)).not.toContain(closed[0]);
});

test("explained by what may be done where", () => {
  const landlock = { exec: ["/usr"], rw: ["/var/tmp"], ro: ["/etc"], connectTcp: [80] };
  const lines = explain(planOf(compiled(sandbox(landlock), machine)));
  expect(lines).toContain(
    "Landlock: no files but below these: read /etc; read and execute /usr; read and write /var/tmp",
  );
  expect(lines).toContain(
    "Landlock: TCP ports only 80; no MPTCP, no TCP Fast Open, no TCP_ULP (kernel TLS), no io_uring, which evade that",
  );
});

test("a command or loader that may not be executed is found before its launch", () => {
  const exec = "sandboxes[0].commands[0].exec.cmdpath: ";
  expect(refused(sandbox({ ro: system }), machine)).toEqual([
    `${exec}/bin/sh may not be executed: add it, or a directory above it, to landlock.exec`,
  ]);
  const [problem] = refused(sandbox({ exec: ["/usr/bin"] }), machine);
  expect(problem).toContain("may not be executed, which /bin/sh needs: add it");
});
