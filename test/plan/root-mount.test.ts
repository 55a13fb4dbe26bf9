/** A root of the host: what can lie on it, and what is told. */
import { expect, test } from "bun:test";
import { explain } from "../../src/plan/explain.ts";
import { compiled, planOf, refused } from "./compiling.ts";

const acls = { user: "nobody" };
const on = (...mounts: object[]) => ({ acls, namespace: { mounts: [{ target: "/" }, ...mounts] } });
const proc = { target: "/proc", mode: "proc" };
const dev = { target: "/dev", mode: "dev" };

test("it is first and read-only", () => {
  expect(refused({ acls, namespace: { mounts: [{ target: "/usr" }, { target: "/" }] } })[0]).toBe(
    'sandboxes[0].namespace.mounts[1]: target "/" must be the first mount, since it would hide those before it',
  );
  for (const mode of ["rw", "tmpfs", "dir"])
    expect(refused({ acls, namespace: { mounts: { target: "//", mode } } })[0]).toContain(
      'target "/" can only be "ro"',
    );
  expect(explain(planOf(compiled(on(proc, dev))))).toContain(
    "mount / from / (read-only, nosuid, nodev)",
  );
});

test("nothing can be made on it", () => {
  const [missing] = refused(on({ target: "/nowhere/at/all", mode: "tmpfs" }));
  expect(missing).toContain("mounts[1].target: /nowhere/at/all: /nowhere does not exist below /");
  expect(refused(on({ target: "/usr/x", source: "y", mode: "symlink" }))[0]).toContain(
    "no link can be made at /usr/x",
  );
  expect(refused(on({ target: "/proc/self/x", mode: "tmpfs" }))[0]).toContain(
    "/proc/self is a link",
  );
  const tmpfs = { target: "/tmp", mode: "tmpfs" };
  compiled(
    on(
      tmpfs,
      { target: "/tmp/made/there", mode: "dir" },
      { target: "/tmp/l", source: "x", mode: "symlink" },
    ),
  );
});

test("what of the host is of no use there, or more than it should be, is told", () => {
  const told = (sandbox: object) =>
    compiled(sandbox)
      .notices.filter(({ path }) => path.includes("mounts"))
      .map(({ message }) => message);
  expect(told(on(proc, dev))).toEqual([]);
  expect(told(on())).toEqual([
    'shows the /proc of the host, read-only: add {"target": "/proc", "mode": "proc"} for one of its own',
    'no device works there, not even /dev/null: add {"target": "/dev", "mode": "dev"}',
  ]);
  expect(told({ profile: "minimal", namespace: { mounts: { target: "/" } } })).toEqual([]);
});

test("a profile keeps what is its own, and problems stand where the config has them", () => {
  const { policy } = planOf(
    compiled({ profile: "device", namespace: { mounts: { target: "/" } } }),
  );
  const kinds = policy.mounts?.map(({ kind, target }) => `${kind} ${target}`) ?? [];
  expect(kinds[0]).toBe("bind /");
  expect(kinds).toContain("proc /proc");
  expect(kinds).toContain("bind /dev");
  expect(kinds).toContain("tmpfs /dev/shm");
  expect(kinds).toContain("tmpfs /tmp");
  expect(kinds).not.toContain("bind /usr");
  const mounts = [{ target: "/mnt", source: "/not/there" }, { target: "/" }];
  expect(refused({ profile: "minimal", namespace: { mounts } })[0]).toStartWith(
    "sandboxes[0].namespace.mounts[0]: source /not/there",
  );
});
