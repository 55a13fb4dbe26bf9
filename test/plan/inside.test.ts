/** Where places of the host are for the commands of a sandbox. */
import { expect, test } from "bun:test";
import { covers, sharedInside } from "../../src/plan/inside.ts";
import type { Policy } from "../../src/plan/policy.ts";
import { plain } from "./plain-policy.ts";

test("a directory covers itself and what is below it, and no neighbour of nearly its name", () => {
  for (const [above, path, expected] of [
    ["/", "/", true],
    ["/", "/a", true],
    ["/a", "/a", true],
    ["/a", "/a/b", true],
    ["/a", "/ab", false],
    ["/a/b", "/a", false],
    ["/a", "/", false],
  ] as const)
    expect([above, path, covers(above, path)]).toEqual([above, path, expected]);
});

const bind = (source: string, target: string) =>
  ({ kind: "bind", source, target }) as NonNullable<Policy["mounts"]>[number];
const inside = (sharedPlaces: string[] | undefined, mounts: Policy["mounts"]) =>
  sharedInside({ ...plain, mounts, ...(sharedPlaces && { sharedPlaces }) });

test("places are where they are on the host, where nothing is mounted anew", () => {
  expect(inside(["/run/a", "/tmp"], undefined)).toEqual(["/run/a", "/tmp"]);
  expect(inside(undefined, undefined)).toEqual([]);
  expect(inside(undefined, [bind("/run", "/run")])).toEqual([]);
});

test("places are where what they lie in is mounted, whole or in part, and nowhere else", () => {
  // All of it is below the place.
  expect(inside(["/run"], [bind("/run/a/b", "/x")])).toEqual(["/x"]);
  expect(inside(["/run"], [bind("/run", "/y")])).toEqual(["/y"]);
  // The place is in it.
  expect(inside(["/run/a"], [bind("/run", "/z")])).toEqual(["/z/a"]);
  expect(inside(["/run/a"], [bind("/", "/host")])).toEqual(["/host/run/a"]);
  expect(inside(["/run/a"], [bind("/runs", "/z"), bind("/etc", "/run/a")])).toEqual([]);
  expect(inside(["/run", "/tmp/t"], [bind("/run/a", "/x"), bind("/tmp", "/t")])).toEqual([
    ...["/x", "/t/t"],
  ]);
  const tmpfs = { kind: "tmpfs", target: "/run" } as NonNullable<Policy["mounts"]>[number];
  expect(inside(["/run"], [tmpfs])).toEqual([]);
});
