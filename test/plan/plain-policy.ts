/** A policy that asks for nothing but another user: tests say what differs. */
import type { Policy } from "../../src/plan/policy.ts";

export const plain: Policy = {
  privileged: true,
  server: { uid: 10, gid: 20, groups: [] },
  groups: undefined,
  identity: { uid: 1001, gid: 2001, groups: [3001, 3002] },
  umask: undefined,
  chdir: undefined,
  namespaces: new Set(),
  joinNet: undefined,
  hostname: undefined,
  mounts: undefined,
  caps: undefined,
  noNewPrivs: true,
  cgroup: undefined,
  landlock: undefined,
  label: undefined,
  nice: undefined,
  families: undefined,
  seccomp: undefined,
  told: undefined,
  rlimits: [],
};
