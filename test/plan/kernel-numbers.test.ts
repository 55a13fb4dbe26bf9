/**
 * Numbers that are the kernel's, said once more from its headers: linux/socket.h, linux/netlink.h, linux/net.h, linux/ipc.h, linux/seccomp.h,
 * linux/filter.h. Of a wrong one nothing is seen but that something else is allowed.
 */
import { describe, expect, test } from "bun:test";
import { ARCHITECTURES } from "../../ffi/libseccomp.ts";
import { Seccomp } from "../../src/config/sandbox-schema.ts";
import { withMultiplexers } from "../../src/plan/abi.ts";
import { encode, type Instruction, validateProgram } from "../../src/plan/bpf.ts";
import {
  compileFamilies,
  HELD_FAMILIES,
  INTERNET_FAMILIES,
  isHeld,
} from "../../src/plan/families.ts";
import { isNarrow } from "../../src/plan/narrow-arguments.ts";
import { Report } from "../../src/plan/report.ts";
import { ACTIONS, parseAction } from "../../src/plan/seccomp-action.ts";
import { answer } from "./answer.ts";
import { board } from "./board.ts";
import { compiled, planOf, refused } from "./compiling.ts";

const hostNet = { own: new Set<never>(), asksUsers: false, joinNet: undefined };
const familiesOf = (
  families: readonly string[],
  namespaces = hostNet as Parameters<typeof compileFamilies>[2],
) => {
  const report = new Report("f");
  const found = compileFamilies({ families: [...families] }, "p", namespaces, report);
  expect(report.problems).toEqual([]);
  return found;
};

const AF =
  "UNIX 1 INET 2 AX25 3 IPX 4 APPLETALK 5 NETROM 6 BRIDGE 7 ATMPVC 8 X25 9 INET6 10 ROSE 11 DECNET 12 NETBEUI 13 SECURITY 14 KEY 15 NETLINK 16 PACKET 17 ASH 18 ECONET 19 ATMSVC 20 RDS 21 SNA 22 IRDA 23 PPPOX 24 WANPIPE 25 LLC 26 IB 27 MPLS 28 CAN 29 TIPC 30 BLUETOOTH 31 IUCV 32 RXRPC 33 ISDN 34 PHONET 35 IEEE802154 36 CAIF 37 ALG 38 NFC 39 VSOCK 40 KCM 41 QIPCRTR 42 SMC 43 XDP 44 MCTP 45 LOCAL 1 FILE 1 ROUTE 16";
const NETLINK =
  "ROUTE 0 USERSOCK 2 SOCK_DIAG 4 INET_DIAG 4 XFRM 6 SELINUX 7 ISCSI 8 AUDIT 9 FIB_LOOKUP 10 CONNECTOR 11 NETFILTER 12 KOBJECT_UEVENT 15 GENERIC 16 SCSITRANSPORT 18 ECRYPTFS 19 RDMA 20 CRYPTO 21 SMC 22 5 5 0 0 31 31";
const pairs = (text: string) =>
  (text.match(/\S+ \d+/g) ?? []).map(
    (one) => [one.split(" ")[0] ?? "", Number(one.split(" ")[1])] as const,
  );

describe("families of sockets", () => {
  test.each(pairs(AF))("AF_%s is %d", (name, number) => {
    expect([...(familiesOf([`AF_${name}`])?.families ?? [])]).toEqual([number]);
    expect([...(familiesOf([` af_${name.toLowerCase()} `])?.families ?? [])]).toEqual([number]);
    expect([...(familiesOf([name])?.families ?? [])]).toEqual([number]);
  });
  test.each(pairs(NETLINK))("NETLINK_%s is %d of AF_NETLINK alone", (name, number) => {
    const found = familiesOf([`NETLINK_${name}`]);
    expect([[...(found?.families ?? [])], [...(found?.protocols ?? [])]]).toEqual([[16], [number]]);
  });
  test("a network of its own holds these, and no others", () => {
    const held = "UNIX INET INET6 NETLINK KEY PACKET CAN XDP"
      .split(" ")
      .map((name) => `AF_${name}`);
    expect([...HELD_FAMILIES]).toEqual(held);
    expect([...INTERNET_FAMILIES]).toEqual(["AF_UNIX", "AF_INET", "AF_INET6", "AF_NETLINK"]);
    for (const [name] of pairs(AF).slice(0, -3))
      expect([name, isHeld(`AF_${name}`)]).toEqual([name, held.includes(`AF_${name}`)]);
  });
  test("AF_NETLINK has the protocols that a namespace holds, and events of devices where they are only its own", () => {
    const HELD = [0, 2, 4, 6, 10, 12, 16];
    const protocols = (own: string[], joinNet?: string) =>
      [
        ...(familiesOf(["AF_NETLINK"], { own: new Set(own as never[]), asksUsers: false, joinNet })
          ?.protocols ?? []),
      ].toSorted((a, b) => a - b);
    const withEvents = [...HELD, 15].toSorted((a, b) => a - b);
    expect(protocols([])).toEqual(withEvents);
    expect(protocols(["net"])).toEqual(HELD);
    expect(protocols(["net", "user"])).toEqual(withEvents);
    expect(protocols(["user"], "/run/netns/x")).toEqual(HELD);
  });
  test("what is not said: all with the host's network, what is held with any other", () => {
    const of = (namespace: object) =>
      planOf(compiled({ acls: { user: "pilot" }, namespace }, board)).policy.families?.names;
    expect(of({})).toBeUndefined();
    expect(of({ shares: { net: "disable" } })).toEqual([...HELD_FAMILIES]);
    expect(of({ shares: { net: "name:x" } })).toEqual([...HELD_FAMILIES]);
    expect(familiesOf(["all"])).toBeUndefined();
    expect(familiesOf(["ALL"])).toBeUndefined();
  });
  test.each([
    ["AF_NIX", 'unknown address family "AF_NIX", see address_families(7); did you mean `AF_UNIX`?'],
    [
      "NETLINK_32",
      'unknown protocol of AF_NETLINK "NETLINK_32", see netlink(7); by number: NETLINK_0 to NETLINK_31; did you mean `NETLINK_SMC`?',
    ],
    [
      "NETLINK_ROUT",
      'unknown protocol of AF_NETLINK "NETLINK_ROUT", see netlink(7); by number: NETLINK_0 to NETLINK_31; did you mean `NETLINK_ROUTE`?',
    ],
  ])("%s is refused", (name, message) => {
    const [problem] = refused(
      { acls: { user: "pilot" }, network: { families: ["AF_UNIX", name] } },
      board,
    );
    expect(problem).toBe(`sandboxes[0].network.families[1]: ${message}`);
  });
  test("of sandboxes beside each other each has its own", () => {
    const one = (...families: string[]) => ({
      acls: { user: "pilot" },
      seccomp: { default: "ALLOW", rules: [] },
      network: { families },
      commands: { uid: "c", exec: { cmdpath: "/bin/sh" } },
    });
    const all = [one("NETLINK_ROUTE"), one("NETLINK_AUDIT"), one("NETLINK_ROUTE")];
    const sandboxes = all.map((sandbox, i) => ({ ...sandbox, uid: `s${i}` }));
    const filters = compiled({}, board, { sandboxes }).sandboxes.map(({ plans }) =>
      Buffer.from(plans[0]?.policy.seccomp ?? []).toString("hex"),
    );
    expect(filters[0]).not.toBe("");
    expect([filters[1] === filters[0], filters[2] === filters[0]]).toEqual([false, true]);
  });
  test("all stands alone", () => {
    expect(
      refused({ acls: { user: "pilot" }, network: { families: ["all", "AF_UNIX"] } }, board),
    ).toEqual(['sandboxes[0].network.families: "all" stands alone']);
  });
});

describe("calls of i386 that stand for many", () => {
  const NET =
    "socket 1 bind 2 connect 3 listen 4 accept 5 getsockname 6 getpeername 7 socketpair 8 send 9 recv 10 sendto 11 recvfrom 12 shutdown 13 setsockopt 14 getsockopt 15 sendmsg 16 recvmsg 17 accept4 18 recvmmsg 19 sendmmsg 20";
  const IPC =
    "semop 1 semget 2 semctl 3 semtimedop 4 msgsnd 11 msgrcv 12 msgget 13 msgctl 14 shmat 21 shmdt 22 shmget 23 shmctl 24";
  const DENIED = parseAction("ERRNO(EXDEV)");
  const ENOSYS = parseAction("ERRNO(ENOSYS)");
  const pass = encode([{ code: 0x06, jt: 0, jf: 0, k: ACTIONS.ALLOW }]);
  const rule = (name: string) => ({ syscall: name, action: DENIED, args: [] });
  const saying = (name: string, conditional = false) =>
    withMultiplexers(
      pass,
      new Map([
        [
          name,
          {
            name,
            always: conditional ? undefined : rule(name),
            conditional: conditional ? [rule(name)] : [],
          },
        ],
      ]) as never,
      (action) => action,
    );
  test.each([
    ...pairs(NET).map(([name, number]) => [name, 102, number] as const),
    ...pairs(IPC).map(([name, number]) => [name, 117, number] as const),
  ])("%s is %d(%d)", (name, call, number) => {
    const program = saying(name);
    const ask = (nr: number, first: number) =>
      answer(program, nr, [BigInt(first)], ARCHITECTURES.x64);
    expect(ask(call, number)).toBe(DENIED);
    for (const other of [number - 1, number + 1]) expect(ask(call, other)).toBe(ACTIONS.ALLOW);
    expect(ask(call === 102 ? 117 : 102, number)).toBe(ACTIONS.ALLOW);
    expect(ask(call + 1, number)).toBe(ACTIONS.ALLOW);
    // Versions of the interface of ipc(2) stand above; socketcall(2) has none.
    expect(ask(call, 0x10000 | number)).toBe(call === 117 ? DENIED : ACTIONS.ALLOW);
    // Arguments cannot be seen there.
    expect(answer(saying(name, true), call, [BigInt(number)], ARCHITECTURES.x64)).toBe(ENOSYS);
  });
});

describe("actions", () => {
  test.each([
    ["KILL", 0],
    ["KILL_THREAD", 0],
    ["KILL_PROCESS", 0x80000000],
    ["TRAP", 0x30000],
    ["NOTIFY", 0x7fc00000],
    ["LOG", 0x7ffc0000],
    ["ALLOW", 0x7fff0000],
    ["ERRNO(EPERM)", 0x50001],
    ["errno( eperm )", 0x50001],
    ["SCMP_ACT_ERRNO(4094)", 0x50ffe],
    ["ERRNO(1)", 0x50001],
    [" scmp_act_allow ", 0x7fff0000],
  ])("%s", (text, number) => {
    expect(parseAction(text)).toBe(number);
  });
  test.each([
    ["ERRNO(0)", 'unknown errno 0 in "ERRNO(0)": a name such as EPERM, or 1 to 4094'],
    ["ERRNO(4095)", 'unknown errno 4095 in "ERRNO(4095)": a name such as EPERM, or 1 to 4094'],
    ["ERRNO(01)", 'unknown errno 01 in "ERRNO(01)": a name such as EPERM, or 1 to 4094'],
    ["ERRNO(ENOPE)", 'unknown errno ENOPE in "ERRNO(ENOPE)": a name such as EPERM, or 1 to 4094'],
    [
      "ALOW",
      'unknown action "ALOW"; did you mean `ALLOW`? SCMP_ACT_ KILL, KILL_THREAD, KILL_PROCESS, TRAP, NOTIFY, LOG, ALLOW or ERRNO(EPERM)',
    ],
    [
      "X",
      'unknown action "X": SCMP_ACT_ KILL, KILL_THREAD, KILL_PROCESS, TRAP, NOTIFY, LOG, ALLOW or ERRNO(EPERM)',
    ],
  ])("%s is none", (text, message) => {
    expect(() => parseAction(text)).toThrow(message);
  });
});

test("editors offer each action that there is, and no other", () => {
  const { words } = (Seccomp.properties.default as unknown as { like: { words: string[] } }).like;
  const named = Object.keys(ACTIONS).map((name) => `SCMP_ACT_${name}`);
  expect(words.toSorted()).toEqual([...named, "SCMP_ACT_ERRNO(EPERM)"].toSorted());
  for (const word of words) parseAction(word);
});

describe("instructions that the kernel takes in a filter", () => {
  /** BPF_LD|IMM, LDX|IMM, LD|LEN, LDX|LEN, TAX, TXA, ST, STX, LD|MEM, LDX|MEM, LD|W|ABS, and JA, RET|K, RET|A; then ALU and jumps. */
  const PLAIN = [0x00, 0x01, 0x80, 0x81, 0x07, 0x87, 0x02, 0x03, 0x20, 0x05, 0x06, 0x16];
  const ALU = [0x00, 0x10, 0x20, 0x30, 0x40, 0x50, 0x60, 0x70, 0xa0].flatMap((operation) => [
    0x04 | operation,
    0x0c | operation,
  ]);
  const JUMPS = [0x10, 0x20, 0x30, 0x40].flatMap((comparison) => [
    0x05 | comparison,
    0x0d | comparison,
  ]);
  const taken = new Set([...PLAIN, ...ALU, 0x84, ...JUMPS]);
  const end: Instruction = { code: 0x06, jt: 0, jf: 0, k: 0 };
  const isTaken = (code: number, k = 0, more: Partial<Instruction> = {}) => {
    try {
      validateProgram(encode([{ code, jt: 0, jf: 0, k, ...more }, end, end]));
      return true;
    } catch {
      return false;
    }
  };
  test("are these, of all codes", () => {
    // Memory is read only after it was written.
    const found = Array.from({ length: 512 }, (_, code) => code).filter((code) =>
      isTaken(code, code === 0x34 ? 1 : 0),
    );
    expect(found).toEqual([...taken].toSorted((a, b) => a - b));
  });
  test("with operands that it takes", () => {
    expect([0, 60, 62, 64].map((k) => isTaken(0x20, k))).toEqual([true, true, false, false]);
    expect([0, 1].map((k) => isTaken(0x34, k))).toEqual([false, true]);
    for (const shift of [0x64, 0x74])
      expect([0, 31, 32].map((k) => isTaken(shift, k))).toEqual([true, true, false]);
    for (const store of [0x02, 0x03])
      expect([0, 15, 16].map((k) => isTaken(store, k))).toEqual([true, true, false]);
    expect([0, 1, 2].map((k) => isTaken(0x05, k))).toEqual([true, true, false]);
    for (const jump of JUMPS) {
      expect([0, 1, 2].map((jt) => isTaken(jump, 0, { jt }))).toEqual([true, true, false]);
      expect([0, 1, 2].map((jf) => isTaken(jump, 0, { jf }))).toEqual([true, true, false]);
    }
  });
  const ok =
    (...instructions: Instruction[]) =>
    () =>
      validateProgram(encode(instructions));
  const one = (code: number, k = 0): Instruction => ({ code, jt: 0, jf: 0, k });
  test("memory is read after it was written, on every way", () => {
    ok(one(0x02, 3), one(0x60, 3), end)();
    ok(one(0x03, 3), one(0x61, 3), end)();
    expect(ok(one(0x02, 3), one(0x60, 4), end)).toThrow();
    expect(ok(one(0x60, 3), end)).toThrow();
    expect(ok({ ...one(0x15), jt: 1 }, one(0x02, 3), one(0x60, 3), end)).toThrow();
    expect(ok(one(0x02, 16), end)).toThrow();
  });
  test("the last returns, and there are no more than 4096", () => {
    expect(ok(one(0x00))).toThrow();
    expect(() => validateProgram(new Uint8Array())).toThrow("0 bytes, expected a multiple of 8");
    expect(() => validateProgram(new Uint8Array(12))).toThrow("12 bytes, expected a multiple of 8");
    ok(...Array.from({ length: 4095 }, () => one(0x00)), end)();
    expect(ok(...Array.from({ length: 4096 }, () => one(0x00)), end)).toThrow("4096");
  });
});

test("arguments of which the kernel reads the lower half: declared as int, unsigned int, uid_t, mode_t, pid_t", () => {
  // SYSCALL_DEFINE… of the kernel: by call, the indexes.
  const declared: Record<string, number[]> = {
    ioctl: [0, 1],
    fcntl: [0, 1],
    socket: [0, 1, 2],
    socketpair: [0, 1, 2],
    openat: [0, 2, 3],
    open: [1, 2],
    mknodat: [0, 2, 3],
    chmod: [1],
    fchownat: [0, 2, 3, 4],
    clone: [0],
    setns: [0, 1],
    prctl: [0],
    kill: [0, 1],
    tgkill: [0, 1, 2],
    setresuid: [0, 1, 2],
    pidfd_send_signal: [0, 1, 3],
    keyctl: [0],
    bpf: [0, 2],
    reboot: [0, 1, 2],
    personality: [0],
    setsockopt: [0, 1, 2, 4],
    waitid: [0, 1, 3],
    semget: [0, 1, 2],
    shmget: [0, 2],
    clock_nanosleep: [0, 1],
    read: [0],
    mount: [],
    mmap: [],
    constructor: [],
  };
  for (const [name, indexes] of Object.entries(declared))
    expect([name, [0, 1, 2, 3, 4, 5].filter((i) => isNarrow(name, i))]).toEqual([name, indexes]);
});
