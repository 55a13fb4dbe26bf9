/** Where commands can make links as root: no launch follows any there. */
import { describe, expect, test } from "bun:test";
import { board, FILES, filesOf, link } from "./board.ts";
import { asUser, compiled, planOf } from "./compiling.ts";
import { written } from "./ops.ts";

const files = filesOf(
  { ...FILES, "/srv/own/l": link, "/usr/l": link, "/bin/l": link },
  { "/srv/own/l": "/srv/data", "/usr/l": "/srv/data", "/bin/l": "/srv/data" },
);
// The first version of Landlock: making links is its last right there.
const machine = {
  ...board,
  landlockAbi: () => 1,
  files,
  exists: (path: string) => files.lookup(path) !== undefined,
};
const sh = { target: "/bin/sh" };
const rw = (path: string) => ({ target: path, mode: "rw" });
const mounts = (...list: object[]) => ({ namespace: { mounts: [sh, ...list] } });
/** `poor`: of a server that is not root. */
const placesOf = (sandbox: { readonly uid?: string }) =>
  planOf(compiled(sandbox, sandbox.uid === "poor" ? { ...machine, ...asUser } : machine)).policy
    .sharedPlaces;
const pilot = { acls: { user: "pilot" } };
const root = { acls: { user: "root" }, caps: [] };

describe("what a command may write", () => {
  test.each<[string, object, string[] | undefined]>([
    ["as root", { ...root, ...mounts(rw("/srv/own")) }, ["/srv/own"]],
    ["of a server of no rights", { ...mounts(rw("/srv/own")), uid: "poor" }, undefined],
    ["as root, read-only", { ...root, ...mounts({ target: "/srv/own" }) }, undefined],
    ["as another user", { ...pilot, ...mounts(rw("/srv/own")) }, undefined],
    [
      "with root's group",
      { acls: { user: "pilot", group: "root" }, ...mounts(rw("/srv/own")) },
      ["/srv/own"],
    ],
    [
      "in root's group",
      { acls: { user: "pilot", groups: ["root"] }, ...mounts(rw("/srv/own")) },
      ["/srv/own"],
    ],
    ["with a capability", { ...pilot, caps: ["CHOWN"], ...mounts(rw("/srv/own")) }, ["/srv/own"]],
    [
      "where it may gain privileges",
      { acls: { user: "pilot", newPrivs: true }, ...mounts(rw("/srv/own")) },
      ["/srv/own"],
    ],
    [
      "of several",
      {
        ...root,
        ...mounts(
          rw("/srv/own"),
          { target: "/x", source: "/srv/data", mode: "rw" },
          rw("/srv/own"),
        ),
      },
      ["/srv/own", "/srv/data"],
    ],
    ["of the kernel's own", { ...root, ...mounts(rw("/proc"), rw("/sys")) }, undefined],
    ["all of it", root, undefined],
    [
      "by Landlock",
      { ...root, landlock: { exec: ["/bin"], rw: ["/srv/own"], ro: ["/usr"] } },
      ["/srv/own"],
    ],
    ["by Landlock, nothing", { ...root, landlock: { exec: ["/bin"], ro: ["/usr"] } }, undefined],
  ])("%s", (_, sandbox, places) => {
    expect(placesOf(sandbox)).toEqual(places as string[]);
  });
});

test("links there are followed at the start only, which is told; others at each launch", () => {
  const sandbox = {
    ...root,
    ...mounts(
      rw("/srv/own"),
      { target: "/a", source: "/srv/own/l" },
      { target: "/b", source: "/usr/l" },
    ),
  };
  const api = compiled(sandbox, machine);
  const steps = planOf(api).policy.mounts ?? [];
  expect(steps.find(({ target }) => target === "/a")).not.toHaveProperty("asked");
  expect(steps.find(({ target }) => target === "/b")).toMatchObject({
    asked: "/usr/l",
    source: "/srv/data",
  });
  expect(written(planOf(api).ops)).toContain('SHARED_PLACES "/srv/own"');
  expect(api.notices).toContainEqual({
    path: "sandboxes[0]",
    message:
      "source /srv/own/l goes through the link /srv/own/l, which commands that may write there could change: it is followed at the start only; a reload takes where it leads then",
  });
});

test("that of Landlock, too, and what exec and a pool launch", () => {
  const sandbox = {
    ...root,
    pool: 1,
    exec: true,
    landlock: { exec: ["/bin"], rw: ["/srv/own", "/srv/own/l"], ro: ["/usr/l"] },
  };
  const api = compiled(sandbox, machine);
  const { landlock } = planOf(api).policy;
  expect(landlock?.paths.every(({ length }) => length === 2)).toBe(true);
  expect(
    api.notices.some(({ message }) =>
      message.startsWith("landlock goes through the link /srv/own/l, which commands"),
    ),
  ).toBe(true);
  const { pool } = planOf(api);
  for (const ops of [planOf(api).ops, pool?.ops, api.sandboxes[0]?.exec?.ops])
    expect(written(ops ?? new Uint8Array())).toContain('SHARED_PLACES "/srv/own" "/srv/data"');
  expect(written(pool?.ops ?? new Uint8Array())).toContain("WAIT");
});

test("nothing is said where no command is root's", () => {
  const api = compiled({ ...pilot, ...mounts({ target: "/a", source: "/usr/l" }) }, machine);
  expect(planOf(api).policy).not.toHaveProperty("sharedPlaces");
});
