/** Keys of the launcher's session where a filter denies the calls by which they would be left: all of them, or some. */
import { describe, expect, test } from "bun:test";
import { isRoot } from "../accounts.ts";
import { ENOSYS, EPERM, type Rule } from "../places/rules.ts";
import type { WrittenOp } from "../plan/ops.ts";
import { type Direct, launch } from "./direct.ts";

const EACCES = 13;
const isArm = process.arch === "arm64";
/** add_key(2), request_key(2) and keyctl(2) follow one another; those of x32 have this bit besides. */
const [ADD_KEY, OTHER_ADD_KEY, X32] = [isArm ? 217 : 248, 286, 0x40000000];
const ADD: Rule = { call: "add_key", errno: EPERM };
const REQUEST: Rule = { call: "request_key", errno: EPERM };
const keyctl = (errno: number, ...not: number[]): Rule =>
  not.length > 0 ? { call: "keyctl", errno, arg: 0, not } : { call: "keyctl", errno };

/** The errno of calls by their numbers; by `int 0x80` those of the other ABI. */
const LOOK = `
import ctypes, json, mmap
libc = ctypes.CDLL(None, use_errno=True)
def errno(number, *args):
    ctypes.set_errno(0)
    libc.syscall(ctypes.c_long(number), *[ctypes.c_long(one) for one in args], *[ctypes.c_long(-1)] * (5 - len(args)))
    return ctypes.get_errno()
def other(number):
    code = mmap.mmap(-1, 4096, prot=7)
    # push rbx, push rdi, push rsi; ebx, ecx, edx, esi, edi = -1; mov eax, number; int 0x80; pop them; ret
    code.write(b"\\x53\\x57\\x56\\x83\\xcb\\xff\\x83\\xc9\\xff\\x83\\xca\\xff\\x83\\xce\\xff\\x83\\xcf\\xff\\xb8" + number.to_bytes(4, "little") + b"\\xcd\\x80\\x5e\\x5f\\x5b\\xc3")
    return -ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(code)))()
print(json.dumps([[errno(n) for n in range(${ADD_KEY - 1}, ${ADD_KEY + 4})],
  [] if ${isArm ? 1 : 0} else [errno(${X32} + n) for n in range(${ADD_KEY - 1}, ${ADD_KEY + 4})],
  [] if ${isArm ? 1 : 0} else [other(n) for n in range(${OTHER_ADD_KEY - 1}, ${OTHER_ADD_KEY + 4})]]))
`;

async function look(denied: readonly Rule[], ops: readonly WrittenOp[] = [], direct: Direct = {}) {
  const argv = ["/usr/bin/python3", "-ISc", LOOK];
  const { stdout, records } = await launch(ops, { denied, argv, ...direct });
  const [first] = records;
  if (first?.kind === "FAILED") return `${first.failure}: ${first.error}`;
  return JSON.parse(stdout) as [number[], number[], number[]];
}

describe.skipIf(!isRoot)("where keyctl is denied", () => {
  test.each([EPERM, EACCES, ENOSYS])(
    "and all else too, with %i, nothing is left to do",
    async (errno) => {
      const all = [keyctl(errno), { ...ADD, errno }, { ...REQUEST, errno }];
      const [own, x32, other] = (await look(all)) as number[][];
      // Nothing but the filter of the place is around it.
      expect(own?.slice(1, 4)).toEqual([errno, errno, errno]);
      if (isArm) return;
      expect(x32?.slice(1, 4)).toEqual([ENOSYS, ENOSYS, ENOSYS]);
      expect(other?.slice(1, 4)).not.toContain(EPERM);
    },
  );

  /** Operations with which a key may be seen, used or changed, and one that there is not. */
  const operations = [0, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 17, 0x7fff];
  test.each<[string, readonly Rule[]]>([
    ["add_key", [keyctl(EPERM), REQUEST]],
    ["request_key", [keyctl(EPERM), ADD]],
    ...operations.map((one): [string, readonly Rule[]] => {
      return [`operation ${one}`, [keyctl(EPERM, one), ADD, REQUEST]];
    }),
  ])("but for %s, all of it is denied to the command, and nothing else", async (_, denied) => {
    const [own, x32, other] = (await look(denied)) as number[][];
    const neighbours = ([first, , , , last]: number[] = []) => [first, last];
    expect(own?.slice(1, 4)).toEqual([EPERM, EPERM, EPERM]);
    expect(neighbours(own)).not.toContain(EPERM);
    if (isArm) return;
    expect(x32?.slice(1, 4)).toEqual([EPERM, EPERM, EPERM]);
    expect(neighbours(x32)).toEqual([ENOSYS, ENOSYS]);
    expect(other?.slice(1, 4)).toEqual([EPERM, EPERM, EPERM]);
    expect(neighbours(other)).not.toContain(EPERM);
  });

  test("an ordinary user can deny it once nothing can be gained, as the plan says", async () => {
    const [direct, denied] = [{ uid: 65534 }, [keyctl(EPERM, 11), ADD, REQUEST]];
    expect(await look(denied, [], direct)).toBe(`CLONE session keyring: ${EPERM}`);
    const [own] = (await look(denied, [["NO_NEW_PRIVS"]], direct)) as number[][];
    expect(own?.slice(1, 4)).toEqual([EPERM, EPERM, EPERM]);
    const more = [...denied, { call: "prctl", errno: EACCES, arg: 0, all: 38 }];
    expect(await look(more, [["NO_NEW_PRIVS"]], direct)).toBe(`CLONE session keyring: ${EPERM}`);
    const none = [...denied, { call: "seccomp", errno: ENOSYS }];
    expect(await look(none)).toBe(`CLONE session keyring: ${EPERM}`);
  });
});
