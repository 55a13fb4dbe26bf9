/** What is mounted and the user of the sandbox may not reach: told where it is sure, with what to do. */
import { expect, test } from "bun:test";
import type { HostFiles } from "../../src/plan/view.ts";
import { board, dir, file, FILES, filesOf, FREE, ordinary } from "./board.ts";
import { compiled } from "./compiling.ts";

const crew = 3001;
const dialout = 3002;
const files = filesOf({
  ...FILES,
  "/srv/pilots": { ...dir, owner: 1001 },
  "/srv/crews": { ...dir, group: crew, mode: 0o775 },
  "/srv/all": { ...dir, mode: 0o1777 },
  "/srv/file": { ...file, mode: 0o644 },
  "/dev/ttyS0": { ...file, kind: "other", executable: false, group: dialout, mode: 0o660 },
  "/dev/watchdog": { ...file, kind: "other", executable: false, mode: 0o600 },
  "/srv/keys": { ...dir, mode: 0o700 },
  "/srv/key": { ...file, executable: false, group: crew, mode: 0o640 },
  "/proc/setting": { ...file, executable: false, mode: 0o644 },
  "/sys/state": { ...file, executable: false, mode: 0o644 },
});
const sure = { ...files, hasOnlyMode: () => true };

function told(mount: object, more: object = {}, machine: object = board, look: HostFiles = sure) {
  const mounts = [{ target: "/bin/sh" }, { mode: "rw", ...mount }];
  const sandbox = { acls: { user: "pilot" }, namespace: { mounts }, ...more };
  return compiled(sandbox, { ...machine, files: look })
    .notices.filter(({ path }) => path === "sandboxes[0].namespace.mounts[1]")
    .map(({ message }) => message);
}
const MAY = "the user of the sandbox (uid 1001) may";
const NOT = "which a mount does not change";

test.each([
  [
    "/srv/data",
    `${MAY} make nothing in /srv/data, ${NOT}: name a user or group in acls that may, or chown it`,
  ],
  [
    "/srv/crews",
    `${MAY} make nothing in /srv/crews, ${NOT}: add its group to acls, "groups": ["crew"]`,
  ],
  [
    "/srv/file",
    `${MAY} not write /srv/file, ${NOT}: name a user or group in acls that may, or chown it`,
  ],
  [
    "/dev/ttyS0",
    `${MAY} not write /dev/ttyS0, ${NOT}: add its group to acls, "groups": ["dialout"]`,
  ],
  [
    "/dev/watchdog",
    `${MAY} not write /dev/watchdog, ${NOT}: name a user in acls that may, or let a rule of udev give it a group`,
  ],
  [
    "/sys/state",
    `${MAY} not write /sys/state, ${NOT}: name a user in acls that may, or let a rule of udev give it a group`,
  ],
])("%s", (target, message) => {
  expect(told({ target })).toEqual([message]);
  expect(told({ target, optional: true })).toEqual([message]);
  // Root that is left what it has, or who may go past the rights of files.
  expect(told({ target }, { acls: { user: "root" } })).toEqual([]);
  expect(told({ target }, { caps: "DAC_OVERRIDE" })).toEqual([]);
});

test("read-only, what may not be entered or read", () => {
  const ro = (target: string, more?: object) => told({ target, mode: "ro" }, more);
  expect(ro("/srv/keys")).toEqual([
    `${MAY} not enter /srv/keys, ${NOT}: name a user or group in acls that may, or chown it`,
  ]);
  expect(ro("/srv/key")).toEqual([
    `${MAY} not read /srv/key, ${NOT}: add its group to acls, "groups": ["crew"]`,
  ]);
  expect(ro("/srv/key", { acls: { user: "pilot", group: "crew" } })).toEqual([]);
  expect(told({ target: "/srv/keys", mode: undefined })).toHaveLength(1);
});

test("who may write is told nothing, nor where it is not known", () => {
  for (const target of ["/srv/pilots", "/srv/all"]) expect(told({ target })).toEqual([]);
  expect(told({ target: "/srv/crews" }, { acls: { user: "pilot", groups: ["crew"] } })).toEqual([]);
  // A list may give it: only the bits of the group bound that.
  expect(told({ target: "/srv/crews" }, {}, board, files)).toEqual([]);
  expect(told({ target: "/srv/absent", optional: true })).toEqual([]);
  // Their directories are shown for what is in them.
  for (const target of ["/dev", "/sys", "/proc", "/proc/setting"])
    expect(told({ target })).toEqual([]);
  const nothing = { ...sure, mountFlags: () => ({ ...FREE, readonly: true }) };
  expect(told({ target: "/srv/data" }, {}, board, nothing)).toEqual([
    "source /srv/data lies on a read-only mount of this machine: nothing can be written there",
  ]);
});

test("root without capabilities is held by them too", () => {
  const bare = { acls: { user: "root" }, caps: [] };
  expect(told({ target: "/srv/data" }, bare)).toEqual([]);
  expect(told({ target: "/srv/pilots" }, bare)).toEqual([
    `the user of the sandbox (uid 0) may make nothing in /srv/pilots, ${NOT}: add "DAC_OVERRIDE" to caps, without which rights of files hold root too`,
  ]);
});

test("of an ordinary user's server the kernel is asked", () => {
  const bare = { acls: {} };
  expect(told({ target: "/dev/ttyS0" }, bare, ordinary)).toEqual([]);
  const refusing = { ...sure, isAllowed: (path: string) => !path.startsWith("/dev") };
  expect(told({ target: "/dev/ttyS0" }, bare, ordinary, refusing)).toEqual([
    `${MAY} not write /dev/ttyS0, ${NOT}: let the server's user be in its group, dialout`,
  ]);
  expect(told({ target: "/dev/watchdog" }, bare, ordinary, refusing)).toEqual([
    `${MAY} not write /dev/watchdog, ${NOT}: serve as a user who may, or change its owner or group`,
  ]);
});
