/**
 * Loads each program of a list into this process and writes the errno of each, "" where it was taken. In front of each stands
 * `return ALLOW`: the kernel checks all of a program, also what can never run, and so this process lives on.
 */
import { dlopen, ptr } from "bun:ffi";
import { errnoAt } from "../../ffi/errno.ts";
import { encode, RET_K } from "../../src/plan/bpf.ts";

const { symbols: libc } = dlopen("libc.so.6", {
  __errno_location: { args: [], returns: "ptr" },
  prctl: { args: ["i32", "u64", "u64", "u64", "u64"], returns: "i32" },
  syscall: { args: ["i64", "u32", "u32", "ptr"], returns: "i64" },
});
const SYS_SECCOMP = process.arch === "arm64" ? 277n : 317n;
const PR_SET_NO_NEW_PRIVS = 38;
const SECCOMP_SET_MODE_FILTER = 1;
const ALLOW = encode([{ code: RET_K, jt: 0, jf: 0, k: 0x7fff0000 }]);

if (libc.prctl(PR_SET_NO_NEW_PRIVS, 1n, 0n, 0n, 0n) !== 0) throw new Error("no_new_privs");
const programs = JSON.parse(await Bun.stdin.text()) as string[];
const answers = programs.map((hex) => {
  const program = Buffer.concat([ALLOW, Buffer.from(hex, "hex")]);
  // struct sock_fprog { u16 len; struct sock_filter *filter; }
  const header = new DataView(new ArrayBuffer(16));
  header.setUint16(0, program.length / 8, true);
  header.setBigUint64(8, BigInt(ptr(program)), true);
  const result = libc.syscall(
    SYS_SECCOMP,
    SECCOMP_SET_MODE_FILTER,
    0,
    new Uint8Array(header.buffer),
  );
  if (Number(result) === 0) return "";
  return errnoAt(libc.__errno_location());
});
console.log(JSON.stringify(answers));
