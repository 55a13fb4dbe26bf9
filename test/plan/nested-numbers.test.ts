/** A filter that denies user namespaces denies each call that makes one, of each ABI: by the numbers that libseccomp has. */
import { expect, test } from "bun:test";
import { resolveSyscall } from "../../ffi/libseccomp.ts";
import { encode, type Instruction } from "../../src/plan/bpf.ts";
import { deniesUserNamespaces } from "../../src/plan/nested.ts";

const op = (code: number, k = 0, jt = 0, jf = 0): Instruction => ({ code, jt, jf, k });
const [LD, JEQ, RET] = [0x20, 0x15, 0x06];
const [ALLOW, EPERM] = [0x7fff0000, 0x00050001];
const AUDIT = { x64: 0xc000003e, i386: 0x40000003, arm64: 0xc00000b7, arm: 0x40000028 } as const;
const X32_BIT = 0x40000000;

/** The calls, as architecture and number. */
const CALLS = (["x64", "i386", "arm64", "arm"] as const).flatMap((abi) =>
  ["clone", "unshare", "clone3"].flatMap((name): [number, number][] => {
    const number = resolveSyscall(name, abi) ?? -1;
    const own: [number, number] = [AUDIT[abi], number];
    return abi === "x64" ? [own, [AUDIT.x64, X32_BIT + number]] : [own];
  }),
);

/** Denies these and nothing else. */
const denying = (calls: readonly (readonly [number, number])[]) =>
  encode([
    ...calls.flatMap(([arch, number]) => [
      ...[op(LD, 4), op(JEQ, arch, 0, 3), op(LD, 0), op(JEQ, number, 0, 1), op(RET, EPERM)],
    ]),
    op(RET, ALLOW),
  ]);
const isDenied = (calls: readonly (readonly [number, number])[]) =>
  deniesUserNamespaces({ seccomp: denying(calls), told: undefined });

test("all of both architectures are denied, or nothing is", () => {
  expect(CALLS.every(([, number]) => number > 0)).toBe(true);
  expect([isDenied(CALLS), isDenied([])]).toEqual([true, false]);
});

test.each(CALLS)("of architecture %d the call %d alone is a way", (arch, number) => {
  expect(isDenied(CALLS.filter((one) => one[0] !== arch || one[1] !== number))).toBe(false);
});
