import { describe, expect, test } from "bun:test";
import {
  type Abi,
  ABIS,
  type Architecture,
  commonCalls,
  ARCHITECTURES,
  takesRule,
} from "../../ffi/libseccomp.ts";
import { decode, encode, type Instruction, validateProgram } from "../../src/plan/bpf.ts";
import { thisMachine } from "../../src/plan/machine.ts";
import { parseAction } from "../../src/plan/seccomp-action.ts";
import { groupNames, syscallsOf } from "../../src/plan/syscall-groups.ts";
import { answer } from "./answer.ts";
import { compiled, planOf, refused } from "./compiling.ts";
import { acls, ALLOW, allow, answers, eperm, exdev, filterOf, number, rule } from "./filtering.ts";

describe("groups", () => {
  test("every member of every group is a syscall that some architecture has", () => {
    const unknown = groupNames
      .flatMap((group) => syscallsOf(group) ?? [])
      .filter((name) => thisMachine().syscall(name) === undefined);
    // Those of one architecture, which libseccomp 2.5.4 does not know yet, or never will.
    const FEW = /^(uprobe|uretprobe|riscv_hwprobe|epoll_.*_old|mpx|rseq)$/;
    expect(unknown.filter((name) => !FEW.test(name))).toEqual([]);
  });
  test("a group holds the members of its groups, each once", () => {
    const service = syscallsOf("@system-service") ?? [];
    expect(service).toContain("read");
    expect(new Set(service).size).toBe(service.length);
    for (const name of [
      "mount",
      "unshare",
      "ptrace",
      "bpf",
      "init_module",
      "io_uring_setup",
      "keyctl",
      "kexec_load",
      "reboot",
    ])
      expect(service).not.toContain(name);
    expect(syscallsOf("@nothing")).toBeUndefined();
  });
  test("an unknown group or syscall is refused with the nearest name", () => {
    const seccomp = { default: ALLOW, rules: [rule("@mounts", "KILL"), rule("mout", "KILL")] };
    const [group, call] = refused({ acls, seccomp });
    expect(group).toStartWith(
      'sandboxes[0].seccomp.rules[0]: unknown group "@mounts"; did you mean `@mount`?',
    );
    expect(call).toBe(
      'sandboxes[0].seccomp.rules[1]: unknown syscall "mout", see syscalls(2); did you mean `mount`?',
    );
  });
});

describe("calls that are newer than the library", () => {
  const NEW = ["mount_setattr", "open_tree_attr"];
  const numbers = (name: string, abis: readonly Abi[]) =>
    abis.map((abi) => thisMachine().syscall(name, abi));
  test("have the numbers that they have everywhere", () => {
    const abis: readonly Abi[] = ["x64", "arm64", "i386", "arm"];
    expect(NEW.map((name) => numbers(name, abis))).toEqual([
      [442, 442, 442, 442],
      [467, 467, 467, 467],
    ]);
    expect(numbers("file_setattr", ["x64"])).toEqual([469]);
    expect(numbers("rseq_slice_yield", ["x64"])).toEqual([471]);
  });
  test.each(["x64", "arm64"] as const)("are denied, and allowed, with their group: %s", (arch) => {
    const second = arch === "x64" ? "i386" : "arm";
    const abis = second;
    const denies = filterOf(
      { default: ALLOW, abis, rules: [rule("@mount", "ERRNO(EXDEV)")] },
      arch,
    );
    const allows = filterOf(
      { default: "KILL", abis, rules: [rule("@mount", ALLOW), rule("execve", ALLOW)] },
      arch,
    );
    for (const abi of [arch, second] as const)
      for (const number of [442, 467]) {
        expect(answer(denies, number, [], ABIS[abi])).toBe(exdev);
        expect(answer(allows, number, [], ABIS[abi])).toBe(allow);
      }
    expect(answer(denies, 466, [], ABIS[arch])).toBe(allow);
    expect(answer(allows, 468, [], ABIS[arch])).toBe(0);
  });
  test("each belongs to a group, but for the label that a process gives itself", () => {
    const grouped = new Set(groupNames.flatMap((name) => syscallsOf(name) ?? []));
    expect(commonCalls.filter((name) => !grouped.has(name))).toEqual(["lsm_set_self_attr"]);
  });
  test("a rule on their arguments is one of this processor, or refused", () => {
    const rules = [rule("open_tree_attr", "ERRNO(EXDEV)", { index: 2, op: "eq", value: 1 })];
    const [own, other] = process.arch === "arm64" ? ["arm64", "x64"] : ["x64", "arm64"];
    const program = filterOf({ default: ALLOW, rules }, own);
    const ask = (third: bigint) =>
      answer(program, 467, [0n, 0n, third], ARCHITECTURES[own as Architecture]);
    expect([ask(1n), ask(2n)]).toEqual([exdev, allow]);
    // A library that knows the call makes this one, too.
    if (takesRule("open_tree_attr", other as Architecture)) return;
    expect(() => filterOf({ default: ALLOW, rules }, other)).toThrow(
      "does not know open_tree_attr, and makes no rule with args for it",
    );
  });
});

describe("calls that are newer than the author", () => {
  const nosys = parseAction("ERRNO(ENOSYS)");
  const denied = (name: string) => [rule(name, "ERRNO(EPERM)")];
  const of = (fallback: string, rules: object[], arch = "x64") => {
    const all = [rule("execve", ALLOW), ...rules];
    const program = filterOf({ default: fallback, rules: all }, arch);
    return (number: number) => answer(program, number, [], ARCHITECTURES[arch as "x64" | "arm64"]);
  };
  const UNKNOWN = [600, 999, 70000, 0x3fffffff];

  test.each(["x64", "arm64"])("are ENOSYS where the default is an errno: %s", (arch) => {
    const ask = of("ERRNO(EPERM)", [rule("@system-service", ALLOW)], arch);
    expect(UNKNOWN.map(ask)).toEqual(UNKNOWN.map(() => nosys));
    const other = of("ERRNO(EXDEV)", [], arch);
    // pidfd_open, clone3, faccessat2: who lists none of that time may not have known them.
    expect([434, 435, 439, 999].map(other)).toEqual([nosys, nosys, nosys, nosys]);
  });
  test("what is older, or among those that the rules name, has the errno of the config", () => {
    const ask = of("ERRNO(EPERM)", denied("faccessat2"));
    expect([165, 334, 425, 435, 439].map(ask)).toEqual([eperm, eperm, eperm, eperm, eperm]);
    expect(ask(440)).toBe(nosys);
    expect(of("ERRNO(EPERM)", [rule("faccessat2", ALLOW)])(439)).toBe(allow);
  });
  test("are left to what the config says elsewhere", () => {
    expect(UNKNOWN.map(of("KILL", []))).toEqual(UNKNOWN.map(() => 0));
    expect(UNKNOWN.map(of("TRAP", []))).toEqual(UNKNOWN.map(() => parseAction("TRAP")));
    expect(UNKNOWN.map(of("ALLOW", []))).toEqual(UNKNOWN.map(() => allow));
    // x32 is another ABI.
    expect(of("ERRNO(EPERM)", [])(0x40000000 + 999)).toBe(parseAction("KILL_PROCESS"));
  });
  test("are told where the default tells", () => {
    const machine = { ...thisMachine("x64"), privileged: true, uid: 0 };
    const rules = [rule("execve", ALLOW)];
    const { policy } = planOf(compiled({ acls, seccomp: { default: "NOTIFY", rules } }, machine));
    const answers = [policy.seccomp, policy.told?.verdicts].map((one) => one && answer(one, 999));
    expect(answers).toEqual([parseAction("NOTIFY"), nosys]);
  });
});

describe("a second ABI", () => {
  const AUDIT = { i386: 0x40000003, arm: 0x40000028 } as const;
  const filter = (rules: object[], arch: "x64" | "arm64", fallback = "ERRNO(EPERM)") => {
    const abi = arch === "x64" ? "i386" : "arm";
    const all = [rule("execve", ALLOW), ...rules];
    const program = filterOf({ default: fallback, rules: all, abis: ["i386", "arm"] }, arch);
    return {
      native: (nr: number, ...args: bigint[]) => answer(program, nr, args, ARCHITECTURES[arch]),
      other: (nr: number, ...args: bigint[]) => answer(program, nr, args, AUDIT[abi]),
    };
  };
  test("has the rules by numbers of its own, and names that it alone has", () => {
    const { native, other } = filter([rule("mkdir", ALLOW), rule("mmap2", ALLOW)], "x64");
    expect([native(83), native(39), native(192)]).toEqual([allow, eperm, eperm]);
    expect([other(39), other(83), other(192), other(11)]).toEqual([allow, eperm, allow, allow]);
    expect(other(999)).toBe(parseAction("ERRNO(ENOSYS)"));
  });
  test("arm, beside aarch64", () => {
    const { native, other } = filter([rule("@default", ALLOW), rule("mkdir", ALLOW)], "arm64");
    expect([native(221), native(39), native(999)]).toEqual([
      allow,
      eperm,
      parseAction("ERRNO(ENOSYS)"),
    ]);
    // mkdir, execve; set_tls and another private number of arm; what is newer
    expect([39, 11, 0xf0005, 0xf0001, 999].map((nr) => other(nr))).toEqual([
      allow,
      allow,
      allow,
      eperm,
      parseAction("ERRNO(ENOSYS)"),
    ]);
  });
  test("calls that stand for many say what the rules say of each", () => {
    const args = { index: 0, op: "eq", value: 1 };
    const { other } = filter(
      [rule("socketcall", ALLOW), rule("connect", "ERRNO(EXDEV)"), rule("socket", ALLOW, args)],
      "x64",
    );
    // SYS_CONNECT, SYS_BIND, SYS_SOCKET; socket of AF_UNIX and AF_INET
    expect([other(102, 3n), other(102, 2n), other(102, 1n)]).toEqual([
      exdev,
      allow,
      parseAction("ERRNO(ENOSYS)"),
    ]);
    expect([other(359, 1n), other(359, 2n)]).toEqual([allow, eperm]);
    const { other: open } = filter([rule("shmget", "ERRNO(EXDEV)")], "x64", "ALLOW");
    expect([open(117, 23n), open(117, 0x10017n), open(117, 24n)]).toEqual([exdev, exdev, allow]);
  });
  test("two conditions on one argument are refused, with what to write instead", () => {
    const args = [
      { index: 0, op: "ge", value: 1 },
      { index: 0, op: "le", value: 2 },
    ];
    const rules = [{ syscall: "write", action: "ERRNO(EPERM)", args }];
    expect(refused({ acls, seccomp: { default: "ALLOW", rules } })).toEqual([
      "sandboxes[0].seccomp.rules[0]: args: two conditions on argument 0, and a rule has one for each: say it with a further rule behind this one, as the last one wins",
    ]);
  });

  test.each([
    [{ op: "eq", value: 1, mask: 1 }, "mask goes with op masked_eq, and only with it"],
    [{ op: "masked_eq", value: 1 }, "mask goes with op masked_eq, and only with it"],
    [{ op: "masked_eq", value: 0, mask: 0 }, "args: a mask of 0 would match every call"],
    [
      { op: "masked_eq", value: 3, mask: 1 },
      "args: value has bits that mask has not: no call could match",
    ],
    [
      { op: "eq", value: "18446744073709551616" },
      '"18446744073709551616" is not a number from 0 to 2^64-1',
    ],
  ])("a condition that cannot be meant is refused: %j", (condition, why) => {
    const rules = [rule("write", "ERRNO(EPERM)", { index: 0, ...condition })];
    expect(refused({ acls, seccomp: { default: "ALLOW", rules } })).toEqual([
      `sandboxes[0].seccomp.rules[0]: ${why}`,
    ]);
  });
  test("is told where there is none, and refused beside a filter of somebody else's", () => {
    const told = (machine: object) =>
      compiled(
        { acls, seccomp: { default: ALLOW, abis: ["i386", "arm"] } },
        { ...thisMachine("x64"), uid: 0, privileged: true, runs: () => true, ...machine },
      ).notices.map(({ path, message }) => `${path}: ${message}`);
    const arm =
      "sandboxes[0].seccomp.abis[1]: arm is no ABI of this processor: nothing is allowed by it here";
    expect(told({})).toEqual([arm]);
    expect(told({ runs: () => undefined })).toEqual([arm]);
    expect(told({ runs: () => false })[0]).toContain("CONFIG_IA32_EMULATION");
    expect(refused({ acls, seccomp: { rulespath: "/x", abis: ["i386"] } })[0]).toContain(
      "seccomp.abis: a filter of rulespath says itself",
    );
  });
  test("conditions that libseccomp cannot tell apart there are refused", () => {
    const family = (value: number) => ({ index: 0, op: "eq", value });
    const rules = [rule("socket", "KILL", family(1)), rule("socket", "ERRNO(EXDEV)", family(2))];
    const machine = { ...thisMachine("x64"), uid: 0, privileged: true };
    const seccomp = { default: ALLOW, rules };
    expect(refused({ acls, seccomp: { ...seccomp, abis: ["i386"] } }, machine)[0]).toStartWith(
      "sandboxes[0].seccomp.abis: the rules with args of socket have different actions",
    );
    compiled({ acls, seccomp }, machine);
  });
  test("arguments that its programs cannot have are refused", () => {
    const args = { index: 1, op: "gt", value: "0x100000000" };
    const seccomp = { default: ALLOW, abis: ["i386"], rules: [rule("lseek", "KILL", args)] };
    const there = { ...thisMachine("x64"), uid: 0, privileged: true };
    const why =
      "sandboxes[0].seccomp.rules[0]: for programs of i386: args: the kernel reads 32 bits of argument 1, and";
    expect(refused({ acls, seccomp }, there)).toEqual([
      `${why} 4294967296 does not fit: no call could match`,
    ]);
    const masked = { index: 1, op: "masked_eq", mask: "0x1ffffffff", value: 1 };
    const wide = { ...seccomp, rules: [rule("lseek", "KILL", masked)] };
    expect(refused({ acls, seccomp: wide }, there)).toEqual([
      `${why} the mask 0x1ffffffff has more`,
    ]);
  });
});

describe("the last rule wins", () => {
  test("a named syscall after a group, and a group after a name", () => {
    expect(answers([rule("@file-system", ALLOW), rule("mkdir", "ERRNO(EXDEV)")], "mkdir")).toBe(
      exdev,
    );
    expect(answers([rule("mkdir", "ERRNO(EXDEV)"), rule("@file-system", ALLOW)], "mkdir")).toBe(
      allow,
    );
    expect(answers([rule("@file-system", ALLOW), rule("mkdir", "ERRNO(EPERM)")], "mkdir")).toBe(
      eperm,
    );
    expect(answers([rule("@file-system", ALLOW)], "rmdir")).toBe(allow);
    expect(answers([rule("@file-system", ALLOW)], "mount")).toBe(eperm);
  });
  test("a rule that named its syscall and loses is told; groups that overlap are not", () => {
    const notices = (...rules: object[]) =>
      compiled({ acls, seccomp: { default: ALLOW, rules } }).notices.map(
        ({ path, message }) => `${path}: ${message}`,
      );
    expect(notices(rule("mkdir", "KILL"), rule("mkdir", "ERRNO(EXDEV)"))).toEqual([
      "sandboxes[0].seccomp.rules[1]: mkdir: ERRNO(EXDEV) replaces the earlier KILL: the last rule wins",
    ]);
    expect(
      notices(
        rule("@mount", "KILL"),
        rule("mount", ALLOW),
        rule("@clock", "LOG"),
        rule("@privileged", "TRAP"),
      ),
    ).toEqual([
      "sandboxes[0].seccomp.rules[3]: mount: TRAP replaces the earlier SCMP_ACT_ALLOW: the last rule wins",
    ]);
    expect(notices(rule("mkdir", "KILL"), rule("mkdir", "KILL"))).toEqual([]);
    const args = [{ index: 1, op: "eq", value: 7 }];
    expect(notices({ ...rule("mkdir", "KILL"), args }, rule("mkdir", "TRAP"))).toEqual([
      "sandboxes[0].seccomp.rules[1]: mkdir: TRAP replaces the earlier rules with args: the last rule wins",
    ]);
  });
  test("a condition takes precedence over what holds otherwise, whatever that is", () => {
    const TIOCSTI = { index: 1, op: "masked_eq", value: 0x5412, mask: 0xffffffff };
    const rules = [rule("@system-service", ALLOW), rule("ioctl", "ERRNO(EXDEV)", TIOCSTI)];
    expect(answers(rules, "ioctl", 0n, 0x5412n)).toBe(exdev);
    // The kernel looks at 32 bits of the request: high bits must not lead past the rule.
    expect(answers(rules, "ioctl", 0n, 0x7700005412n)).toBe(exdev);
    expect(answers(rules, "ioctl", 0n, 0x5401n)).toBe(allow);
    expect(answers(rules, "read")).toBe(allow);
    expect(answers(rules, "mount")).toBe(eperm);
    expect(answers([...rules, rule("ioctl", "TRAP")], "ioctl", 0n, 0x5412n)).toBe(
      parseAction("TRAP"),
    );
    const only = [rule("read", ALLOW, { index: 0, op: "lt", value: 3 })];
    expect([answers(only, "read", 2n), answers(only, "read", 3n)]).toEqual([allow, eperm]);
  });
  test("conditions twice: the last action of equal ones; different ones side by side", () => {
    const fd = (value: number) => ({ index: 0, op: "eq", value });
    const rules = [
      rule("read", ALLOW, fd(1)),
      rule("read", "ERRNO(EXDEV)", fd(1)),
      rule("read", ALLOW, fd(2)),
    ];
    expect([1n, 2n, 3n].map((value) => answers(rules, "read", value))).toEqual([
      exdev,
      allow,
      eperm,
    ]);
  });
});

describe("arguments of which the kernel reads 32 bits", () => {
  const high = 0x5_0000_0000n;
  const fallback = eperm;
  test.each([
    ["eq", 5, [5n, 5n | high], [4n, 4n | high]],
    ["ne", 5, [4n, 4n | high, 6n | high], [5n, 5n | high]],
    ["lt", 5, [4n, 4n | high], [5n, 5n | high]],
    ["le", 5, [5n, 5n | high], [6n, 6n | high]],
    ["gt", 5, [6n, 6n | high], [5n, 5n | high]],
    ["ge", 5, [5n, 5n | high], [4n, 4n | high]],
  ])("%s is compared on the lower half", (op, value, matching, others) => {
    const rules = [rule("ioctl", ALLOW, { index: 1, op, value })];
    for (const arg of matching) expect(answers(rules, "ioctl", 0n, arg)).toBe(allow);
    for (const arg of others) expect(answers(rules, "ioctl", 0n, arg)).toBe(fallback);
  });
  test("others are compared in full, also beside narrow ones", () => {
    const rules = [
      rule("ioctl", ALLOW, { index: 1, op: "ne", value: 5 }, { index: 2, op: "lt", value: 9 }),
      rule("munmap", ALLOW, { index: 1, op: "eq", value: 5 }),
      rule("mremap", ALLOW, { index: 1, op: "gt", value: "0x100000000" }),
    ];
    expect(answers(rules, "ioctl", 0n, 5n | high, 1n)).toBe(eperm);
    expect(answers(rules, "ioctl", 0n, 4n | high, 1n)).toBe(allow);
    expect(answers(rules, "ioctl", 0n, 4n, 1n | high)).toBe(eperm);
    expect(answers(rules, "munmap", 0n, 5n)).toBe(allow);
    expect(answers(rules, "munmap", 0n, 5n | high)).toBe(eperm);
    expect(answers(rules, "mremap", 0n, 1n | high)).toBe(allow);
    expect(answers(rules, "mremap", 0n, 1n)).toBe(eperm);
  });
  test("a value that cannot occur is refused", () => {
    const rules = [rule("ioctl", "KILL", { index: 1, op: "eq", value: "0x100005412" })];
    expect(refused({ acls, seccomp: { default: ALLOW, rules } })[0]).toContain(
      "32 bits of argument 1",
    );
  });
});

test("foreign ABIs are killed in every filter", () => {
  const kill = parseAction("KILL_PROCESS");
  const conditional = rule("ioctl", "ERRNO(EPERM)", { index: 1, op: "eq", value: 1 });
  for (const rules of [[rule("mount", "KILL")], [rule("@system-service", ALLOW), conditional]]) {
    const program = filterOf({ default: ALLOW, rules }, "x64");
    expect(answer(program, 39)).toBe(allow);
    // x32: the same architecture with bit 30 in the number; i386: another architecture.
    expect(answer(program, 0x40000000 + 39)).toBe(kill);
    expect(answer(program, 20, [], 0x40000003)).toBe(kill);
    expect(answer(program, 172, [], ARCHITECTURES.arm64)).toBe(kill);
  }
});

test("a filter for the other architecture knows only that one", () => {
  const rules = [rule("@system-service", ALLOW), rule("openat", "ERRNO(EXDEV)")];
  const program = filterOf({ default: "ERRNO(EPERM)", rules }, "arm64");
  // openat, read and unshare of linux/asm-generic/unistd.h
  const on = (nr: number) => answer(program, nr, [], ARCHITECTURES.arm64);
  expect([on(56), on(63), on(97)]).toEqual([exdev, allow, eperm]);
  expect(answer(program, number("read"))).toBe(parseAction("KILL_PROCESS"));
});

test("a filter that lets no command start is refused", () => {
  expect(refused({ acls, seccomp: { rules: [rule("read", ALLOW)] } })[0]).toContain(
    "no command could start",
  );
  expect(
    refused({ acls, seccomp: { default: ALLOW, rules: [rule("execve", "KILL")] } })[0],
  ).toContain("execve is denied");
});

describe("compiled BPF", () => {
  const at = (code: number, k = 0, jt = 0, jf = 0): Instruction => ({ code, jt, jf, k });
  const ret = at(0x06, allow);
  const check = (...instructions: Instruction[]) => validateProgram(encode(instructions));

  test("is what the kernel takes", () => {
    check(at(0x20, 60), at(0x15, 1, 0, 1), ret, at(0x06, 0));
    check(at(0x05, 0), ret);
    check(at(0x02, 3), at(0x60, 3), at(0x16));
    const program = encode([at(0x20, 4), at(0x15, 7, 1, 0), ret, ret]);
    expect(encode(decode(program))).toEqual(program);
  });
  test.each([
    ["not whole instructions", new Uint8Array(12), "12 bytes"],
    ["empty", new Uint8Array(), "0 bytes"],
    ["a text", Buffer.from('{"rules": []}   '), "instruction 0"],
    [
      "a load that is not aligned",
      encode([at(0x20, 2), ret]),
      "instruction 0 (code 0x20): loads from offset 2",
    ],
    [
      "a load beyond the data",
      encode([at(0x20, 64), ret]),
      "loads from offset 64; the last word is at 60",
    ],
    [
      "a load of a packet's byte",
      encode([at(0x30, 0), ret]),
      "instruction 0 (code 0x30): seccomp has no such instruction",
    ],
    ["modulo", encode([at(0x94, 2), ret]), "no such instruction"],
    ["a jump behind the end", encode([at(0x05, 1), ret]), "instruction 0 (code 0x05): jumps to 2"],
    ["a far jump", encode([at(0x05, 0xffffffff), ret]), "behind the end"],
    ["a branch behind the end", encode([at(0x15, 0, 0, 1), ret]), "jumps to 2"],
    [
      "no return at the end",
      encode([ret, at(0x20, 0)]),
      "instruction 1 (code 0x20): the last instruction must be a return",
    ],
    ["a division by zero", encode([at(0x34, 0), ret]), "divides by zero"],
    ["a shift of 32", encode([at(0x64, 32), ret]), "shifts by 32"],
    ["slot 16", encode([at(0x02, 16), ret]), "slot 16"],
    ["a slot never written", encode([at(0x60, 1), ret]), "reads memory slot 1"],
    [
      "a slot written on one path",
      encode([at(0x15, 1, 0, 1), at(0x02, 0), at(0x60, 0), at(0x16)]),
      "instruction 2",
    ],
    ["4097 instructions", encode(Array.from({ length: 4097 }, () => ret)), "at most 4096"],
  ])("is refused: %s", (_, program, message) => {
    expect(() => validateProgram(Uint8Array.from(program))).toThrow(message);
  });
  test("what libseccomp makes passes, and what is wrong is told with the file", () => {
    const program = filterOf({ default: ALLOW, rules: [rule("@mount", "KILL")] });
    const machine = (content: Uint8Array) => ({
      ...thisMachine(),
      privileged: true,
      uid: 0,
      readFile: () => content,
    });
    const seccomp = { rulespath: "/x.bpf" };
    expect(planOf(compiled({ acls, seccomp }, machine(program))).policy.seccomp).toEqual(program);
    const [problem] = refused({ acls, seccomp }, machine(program.subarray(0, program.length - 8)));
    expect(problem).toMatch(/^sandboxes\[0\]\.seccomp\.rulespath: \/x\.bpf: instruction \d+/);
  });
});

describe("a call of an ABI that was not chosen ends its caller, whatever the filter says of others", () => {
  const AUDIT = {
    x64: 0xc000003e,
    i386: 0x40000003,
    arm64: 0xc00000b7,
    arm: 0x40000028,
    riscv: 0xc00000f3,
  };
  const KILL_PROCESS = 0x80000000;
  const filterOf = (arch: "x64" | "arm64", seccomp: object, more: object = {}) => {
    const machine = { ...thisMachine(arch), uid: 0, privileged: true };
    return planOf(compiled({ acls: { user: "nobody" }, seccomp, ...more }, machine)).policy;
  };
  const rules = [
    { syscall: "reboot", action: "ERRNO(EPERM)" },
    { syscall: "execve", action: "ALLOW" },
    { syscall: "ioctl", action: "ERRNO(EDOM)", args: [{ index: 1, op: "gt", value: 5 }] },
  ];
  test.each(["ALLOW", "LOG", "ERRNO(EPERM)", "KILL", "TRAP", "NOTIFY"])("default %s", (action) => {
    for (const arch of ["x64", "arm64"] as const) {
      for (const more of [{}, { network: { families: ["AF_UNIX"] } }]) {
        const { seccomp = new Uint8Array() } = filterOf(arch, { default: action, rules }, more);
        const others = Object.entries(AUDIT).filter(([name]) => name !== arch);
        for (const [name, audit] of others)
          for (const nr of [0, 59, 221, 500])
            expect([arch, name, answer(seccomp, nr, [], audit)]).toEqual([
              arch,
              name,
              KILL_PROCESS,
            ]);
      }
    }
  });
  test("but for the one that is chosen besides", () => {
    for (const [arch, abi] of [
      ["x64", "i386"],
      ["arm64", "arm"],
    ] as const) {
      const { seccomp = new Uint8Array() } = filterOf(arch, {
        default: "ALLOW",
        abis: [abi],
        rules,
      });
      for (const [name, audit] of Object.entries(AUDIT)) {
        const expected = name === arch || name === abi ? 0x7fff0000 : KILL_PROCESS;
        expect([name, answer(seccomp, 20, [], audit)]).toEqual([name, expected]);
      }
    }
  });
});

test("sandboxes of a config that differ in what sockets they have, or by whom, have filters of their own", () => {
  const seccomp = { default: "SCMP_ACT_ALLOW", rules: [rule("swapon", "ERRNO(EPERM)")] };
  const network = (families: string[], protocols?: string[]) => ({
    ...{ families, ...(protocols && { protocols }) },
  });
  const [one, same, other] = [["AF_UNIX"], ["AF_UNIX"], ["AF_INET"]].map((families, i) => ({
    ...{ uid: `s${i}`, acls, seccomp, network: network(families) },
    commands: { uid: "c", exec: { cmdpath: "/bin/sh" } },
  }));
  const api = compiled(
    {},
    { ...thisMachine("x64"), privileged: true },
    { sandboxes: [one, same, other] },
  );
  const filters = api.sandboxes.map(({ plans }) => plans[0]?.policy.seccomp ?? new Uint8Array());
  const answersTo = (family: bigint) =>
    filters.map((filter) => answer(filter, number("socket"), [family, 1n, 0n]) === allow);
  expect(answersTo(1n)).toEqual([true, true, false]);
  expect(answersTo(2n)).toEqual([false, false, true]);
});

test("a rule about a call that this architecture does not have is told, and no other", () => {
  const { notices } = compiled(
    {
      acls,
      seccomp: {
        default: "SCMP_ACT_ALLOW",
        rules: ["swapon", "arm_fadvise64_64", "accept", "recv"].map((name) =>
          rule(name, "ERRNO(EPERM)"),
        ),
      },
    },
    { ...thisMachine("x64"), privileged: true },
  );
  const missing = (i: number, name: string) => ({
    path: `sandboxes[0].seccomp.rules[${i}]`,
    message: `${name} does not exist on this architecture: the rule has no effect here`,
  });
  expect(notices.filter(({ path }) => path.includes("seccomp.rules"))).toEqual([
    missing(1, "arm_fadvise64_64"),
    missing(3, "recv"),
  ]);
});
