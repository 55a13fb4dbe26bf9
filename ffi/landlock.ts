/** Which Landlock this kernel has, see landlock_create_ruleset(2). The rules themselves are made by the launcher. */
import { dlopen } from "bun:ffi";

const { symbols: libc } = dlopen("libc.so.6", {
  syscall: { args: ["i64", "u64", "u64", "u64"], returns: "i64" },
});

const CREATE_RULESET = 444;
const VERSION = 1;

/** The version of the interface, from 1 on; 0 where the kernel has none or it is switched off. */
export function landlockAbi(): number {
  return Math.max(0, Number(libc.syscall(CREATE_RULESET, 0, 0, VERSION)));
}
