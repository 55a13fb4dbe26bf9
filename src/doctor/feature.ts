/** One thing that sandboxes build on, and whether it is there. */

/** What plans can need; a config is checked against these names. */
export type FeatureName =
  | "launch"
  | "user-switch"
  | "mounts"
  | "seccomp"
  | "seccomp-report"
  | "families"
  | "landlock"
  | "label"
  | `namespace-${"user" | "pid" | "net" | "ipc" | "uts" | "cgroup"}`;

export interface Feature {
  readonly name: FeatureName | (string & {});
  readonly ok: boolean;
  /** What was found. */
  readonly found: string;
  /** What to do where it is missing. */
  readonly remedy?: string;
}

export const there = (name: Feature["name"], found: string): Feature => ({ name, ok: true, found });
export const missing = (name: Feature["name"], found: string, remedy: string): Feature => ({
  name,
  ok: false,
  found,
  remedy,
});
