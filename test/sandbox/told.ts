/** What the suites about told calls share: a filter that tells, and what is seen of a command under it. */
import type { WireStatus } from "../../src/api/status.ts";
import type { Served } from "../served.ts";
import { full, py } from "./attack.ts";

export const rule = (syscall: string, action: string, ...args: object[]) => ({
  syscall,
  action,
  args,
});
const RULES = [
  rule("acct", "SCMP_ACT_ERRNO(EXDEV)"),
  rule("swapon", "SCMP_ACT_ERRNO(4094)"),
  rule("getsid", "SCMP_ACT_LOG"),
  rule("quotactl", "SCMP_ACT_NOTIFY"),
  rule("sethostname", "SCMP_ACT_KILL_PROCESS"),
  rule("settimeofday", "SCMP_ACT_KILL"),
  rule("setns", "SCMP_ACT_TRAP"),
  rule("ioctl", "SCMP_ACT_ERRNO(EXDEV)", { index: 1, op: "eq", value: "0x5412" }),
  rule("ioctl", "SCMP_ACT_ERRNO(EDOM)", { index: 1, op: "eq", value: "0x541c" }),
];
export const told = { default: "SCMP_ACT_ALLOW", report: true, rules: RULES };
export const namespaces = {
  plain: {},
  pid: { namespace: { shares: { pid: "disable" } } },
  full: { namespace: full },
};
export const places = Object.keys(namespaces);

/** A function that runs Python, and gives what it printed and what is told of its end. */
export const teller = (served: Served) => async (sandbox: string, script: string) => {
  const { lines, errors, status } = await py(served, sandbox, script);
  const { exit, signal, cause, syscall, denied, logged } = status as WireStatus;
  return { lines, errors, exit, signal, cause, syscall, denied, logged };
};
