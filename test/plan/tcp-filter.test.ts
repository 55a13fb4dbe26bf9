/** What would pass by Landlock's rules for TCP ports, in each ABI that a processor runs. */
import { describe, expect, test } from "bun:test";
import { parseAction } from "../../src/plan/seccomp-action.ts";
import { tcpFilter } from "../../src/plan/tcp-filter.ts";
import { answer } from "./answer.ts";
import { asRoot, compiled, planOf } from "./compiling.ts";

const ALLOW = parseAction("ALLOW");
const NO_CALL = parseAction("ERRNO(ENOSYS)");
const NO_FAMILY = parseAction("ERRNO(EAFNOSUPPORT)");
const NO_PROTOCOL = parseAction("ERRNO(EPROTONOSUPPORT)");
const NO_ULP = parseAction("ERRNO(ENOENT)");
const NO_FAST_OPEN = parseAction("ERRNO(EOPNOTSUPP)");
const [INET, INET6, UNIX, SMC] = [2, 10, 1, 43];
const FAST_OPEN = 0x20000000n;

/** arch of struct seccomp_data, and the numbers of socket, sendto, sendmsg, sendmmsg and setsockopt there. */
const ABIS = [
  ["x64", "x86_64", 0xc000003e, 41, 44, 46, 307, 54],
  ["x64", "x32", 0xc000003e, 0x40000029, 0x4000002c, 0x40000206, 0x4000021a, 0x4000021d],
  ["x64", "i386", 0x40000003, 359, 369, 370, 345, 366],
  ["arm64", "aarch64", 0xc00000b7, 198, 206, 211, 269, 208],
  ["arm64", "arm", 0x40000028, 281, 290, 296, 374, 294],
] as const;

describe.each(ABIS)(
  "%s: the ABI %s",
  (arch, abi, audit, socket, sendto, sendmsg, sendmmsg, setsockopt) => {
    const all = tcpFilter(arch, true);
    const made = (family: number, protocol: number, program = all) =>
      answer(program, socket, [BigInt(family), 1n, BigInt(protocol)], audit);

    test("sockets of TCP and of others are made, those that speak with TCP are not", () => {
      for (const family of [INET, INET6]) {
        expect([0, 6, 17, 132].map((protocol) => made(family, protocol))).toEqual(
          Array.from({ length: 4 }, () => ALLOW),
        );
        for (const program of [all, tcpFilter(arch, false)])
          expect([256, 262].map((protocol) => made(family, protocol, program))).toEqual([
            NO_PROTOCOL,
            NO_PROTOCOL,
          ]);
      }
      expect([made(UNIX, 262), made(SMC, 0)]).toEqual([ALLOW, NO_FAMILY]);
      // The kernel reads an int.
      expect(answer(all, socket, [0x1_0000_0002n, 1n, 0x1_0000_0106n], audit)).toBe(NO_PROTOCOL);
    });
    test("what is sent connects nothing; without a list of where to it may", () => {
      const calls = [
        [sendto, [0n, 0n, FAST_OPEN, FAST_OPEN | 0x4000n]],
        [sendmsg, [0n, 0n, FAST_OPEN | 0x4000n]],
        [sendmmsg, [0n, 0n, FAST_OPEN, FAST_OPEN]],
      ] as const;
      for (const [number, args] of calls) {
        expect(answer(all, number, [...args], audit)).toBe(NO_FAST_OPEN);
        expect(answer(tcpFilter(arch, false), number, [...args], audit)).toBe(ALLOW);
        const others = args.map((_, i) => (i < args.length - 1 ? FAST_OPEN : 0x4000n));
        expect(answer(all, number, others, audit)).toBe(ALLOW);
      }
    });
    test("no option makes a socket of TCP another one; others are set", () => {
      const set = (level: bigint, option: bigint, program = all) =>
        answer(program, setsockopt, [0n, level, option], audit);
      for (const program of [all, tcpFilter(arch, false)]) {
        expect(set(6n, 31n, program)).toBe(NO_ULP);
        expect(set(0x1_0000_0006n, 0x1_0000_001fn, program)).toBe(NO_ULP);
        expect([set(6n, 30n, program), set(1n, 31n, program)]).toEqual([ALLOW, ALLOW]);
      }
    });
    test("there are no rings; all else goes on", () => {
      expect(answer(all, abi === "x32" ? 0x40000000 | 425 : 425, [], audit)).toBe(NO_CALL);
      expect(answer(all, 1, [BigInt(SMC)], audit)).toBe(ALLOW);
    });
  },
);

test("what i386 hides in memory is not there, and the rest of it is", () => {
  const call = (which: number, connects: boolean) =>
    answer(tcpFilter("x64", connects), 102, [BigInt(which)], 0x40000003);
  expect([1, 11, 14, 16, 20].map((which) => call(which, true))).toEqual([
    ...[NO_FAMILY, NO_CALL, NO_CALL, NO_CALL, NO_CALL],
  ]);
  expect([1, 11, 14, 16, 20].map((which) => call(which, false))).toEqual([
    ...[NO_FAMILY, ALLOW, NO_CALL, ALLOW, ALLOW],
  ]);
  expect([2, 3, 9, 17].map((which) => call(which, true))).toEqual([ALLOW, ALLOW, ALLOW, ALLOW]);
});

test("another ABI ends its caller", () => {
  expect(answer(tcpFilter("arm64", true), 1, [], 0xc000003e)).toBe(parseAction("KILL_PROCESS"));
});

test("it goes with ports, and with these alone", () => {
  const filterOf = (landlock: object) =>
    planOf(
      compiled(
        { acls: { user: "daemon" }, landlock: { exec: ["/usr", "/bin"], ...landlock } },
        { ...asRoot, arch: "x64", landlockAbi: () => 4 },
      ),
    ).policy.landlock?.filter;
  expect(filterOf({})).toBeUndefined();
  expect(filterOf({ bindTcp: [80] })).toEqual(tcpFilter("x64", false));
  expect(filterOf({ connectTcp: [] })).toEqual(tcpFilter("x64", true));
});

test("what a filter of its own lets through in vain is told, with ports alone", () => {
  const told = (landlock: object) =>
    compiled(
      {
        acls: { user: "daemon" },
        landlock: { exec: ["/usr", "/bin"], rw: ["/dev/null"], ...landlock },
        seccomp: {
          default: "KILL",
          abis: "i386",
          rules: ["@system-service", "@io-uring"].map((syscall) => ({ syscall, action: "ALLOW" })),
        },
      },
      { ...asRoot, arch: "x64", landlockAbi: () => 4 },
    ).notices.map(({ message }) => message);
  // First without: filters that ask for the same are made once.
  expect(told({})).toEqual([]);
  expect(told({ connectTcp: 80 })).toEqual([
    expect.stringMatching(
      /^programs of i386 get no sockets .*landlock without connectTcp and bindTcp gives them back$/,
    ),
    expect.stringMatching(
      /^io_uring_setup fails with ENOSYS .*landlock without connectTcp and bindTcp gives them back$/,
    ),
  ]);
});
