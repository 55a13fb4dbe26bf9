import { expect, test } from "bun:test";
import { HEADER_SIZE } from "../../ffi/launcher/layout.ts";
import { encodePolicy } from "../../src/plan/encode.ts";
import { Blobs, Policies } from "../../src/plan/policies.ts";
import type { PtyPolicy } from "../../src/plan/policy.ts";
import { plain } from "./plain-policy.ts";

const { rlimits: _, ...sandbox } = plain;
const pty = (columns: number, filter = new Uint8Array([1])): PtyPolicy => ({
  ...{ columns, rows: 24, origin: { kind: "own" }, filter },
});

test("commands that add the same to the policy of their sandbox share it; others have their own", () => {
  const policies = new Policies(sandbox, new Blobs());
  const none = { rlimits: [], profileLimits: [] };
  const first = policies.with(none);
  expect(policies.with({ rlimits: [], profileLimits: [] })).toBe(first);
  expect(first.ops).toEqual(encodePolicy(first.policy));
  expect(first.waiting()).toEqual(encodePolicy(first.policy, true));
  expect(first.waiting()).toBe(first.waiting());
  expect(first.waiting()).not.toEqual(first.ops);
  const others = [
    { ...none, rlimits: [[7, 100n]] as const },
    { ...none, rlimits: [[7, 101n]] as const },
    { ...none, rlimits: [[8, 100n]] as const },
    { rlimits: [[7, 100n]] as const, profileLimits: [7] },
    { ...none, pty: pty(80) },
    { ...none, pty: pty(81) },
    { ...none, pty: pty(80, new Uint8Array([2])) },
  ];
  for (const own of others) {
    const { policy, ops } = policies.with(own);
    expect(policy).toEqual({ ...sandbox, ...own });
    expect(ops).toEqual(encodePolicy(policy));
  }
  expect(new Set([first, ...others.map((own) => policies.with(own))]).size).toBe(1 + others.length);
});

test("sandboxes of equal policies share what is encoded", () => {
  const blobs = new Blobs();
  const [one, two] = [new Policies(sandbox, blobs), new Policies({ ...sandbox }, blobs)];
  const none = { rlimits: [], profileLimits: [] };
  expect(one.with(none).ops).toBe(two.with(none).ops);
  expect(one.with(none).waiting()).toBe(two.with(none).waiting());
});

test("a policy that is larger than most is encoded whole", () => {
  const places = Array.from({ length: 2_000 }, (_, i) => `/place/number/${i}`);
  const [small, large] = [encodePolicy(plain), encodePolicy({ ...plain, sharedPlaces: places })];
  expect(large.length).toBeGreaterThan(30_000);
  expect(Buffer.from(large).indexOf("/place/number/1999\0")).toBeGreaterThan(0);
  // What comes after it is the same.
  const rest = small.subarray(HEADER_SIZE);
  expect(large.subarray(large.length - rest.length)).toEqual(rest);
});
