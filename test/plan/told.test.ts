/** What report and NOTIFY make of a filter: the program of the kernel, and that of the supervisor. */
import { describe, expect, test } from "bun:test";
import { type Architecture, ARCHITECTURES } from "../../ffi/libseccomp.ts";
import { HANDOVER_CALL, HEADER_SIZE, OP } from "../../ffi/launcher/layout.ts";
import { encode } from "../../src/plan/bpf.ts";
import { explain } from "../../src/plan/explain.ts";
import { decodePlans, encodePlans } from "../../src/plan/file.ts";
import { type Machine, thisMachine } from "../../src/plan/machine.ts";
import { ACTIONS, parseAction } from "../../src/plan/seccomp-action.ts";
import { answer } from "./answer.ts";
import { compiled, planOf, refused } from "./compiling.ts";

const acls = { user: "nobody" };
const rule = (syscall: string, action: string, ...args: object[]) => ({ syscall, action, args });
const on = (arch: Architecture): Machine => ({ ...thisMachine(arch), uid: 0, privileged: true });
const here = on("x64");
const policyOf = (seccomp: object, machine: Partial<Machine> = here) =>
  planOf(compiled({ acls, seccomp }, machine)).policy;

const EVERY_ACTION = [
  rule("mount", "ERRNO(EXDEV)"),
  rule("acct", "KILL"),
  rule("reboot", "KILL_PROCESS"),
  rule("sync", "LOG"),
  rule("swapon", "TRAP"),
  rule("swapoff", "NOTIFY"),
  rule("ioctl", "KILL_PROCESS", { index: 1, op: "eq", value: 5 }),
  rule("ioctl", "ERRNO(EDOM)", { index: 1, op: "gt", value: 5 }),
];
/** As the config has them; the rest is allowed. */
const EXPECTED: [string, bigint[], string][] = [
  ["mount", [], "ERRNO(EXDEV)"],
  ["acct", [], "KILL"],
  ["reboot", [], "KILL_PROCESS"],
  ["sync", [], "LOG"],
  ["swapon", [], "TRAP"],
  ["swapoff", [], "NOTIFY"],
  ["ioctl", [0n, 5n], "KILL_PROCESS"],
  ["ioctl", [0n, 6n], "ERRNO(EDOM)"],
  ["ioctl", [0n, 4n], "ALLOW"],
  ["read", [], "ALLOW"],
];
const UNTOLD = ["ALLOW", "TRAP"];

describe.each(["x64", "arm64"] as const)("filters for %s", (arch) => {
  const machine = on(arch);
  const asked = (program: Uint8Array, [name, args]: [string, bigint[], string]) =>
    answer(program, machine.syscall(name) ?? -1, args, ARCHITECTURES[arch]);

  test("with report, the kernel passes on what it would deny, and the supervisor knows what was meant", () => {
    const { seccomp, told } = policyOf(
      { default: "ALLOW", report: true, rules: EVERY_ACTION },
      machine,
    );
    if (!seccomp || !told) throw new Error("nothing is told");
    expect(told.all).toBe(true);
    for (const call of EXPECTED) {
      const action = parseAction(call[2]);
      const passed = UNTOLD.includes(call[2]) ? action : ACTIONS.NOTIFY;
      expect([call[0], asked(seccomp, call)]).toEqual([call[0], passed]);
      expect([call[0], asked(told.verdicts, call)]).toEqual([call[0], action]);
    }
  });

  test("without it, only NOTIFY is passed on", () => {
    const { seccomp, told } = policyOf({ default: "ALLOW", rules: EVERY_ACTION }, machine);
    if (!seccomp || !told) throw new Error("nothing is told");
    expect(told.all).toBe(false);
    const handover = answer(seccomp, HANDOVER_CALL, [], ARCHITECTURES[arch]);
    expect(handover).toBe(ACTIONS.NOTIFY);
    for (const call of EXPECTED)
      expect([call[0], asked(seccomp, call)]).toEqual([call[0], parseAction(call[2])]);
  });

  test("a condition has its own action beside what holds otherwise, told or not", () => {
    const rules = [
      rule("ioctl", "ERRNO(EDOM)"),
      rule("ioctl", "NOTIFY", { index: 1, op: "eq", value: 5 }),
      rule("ioctl", "KILL_PROCESS", { index: 1, op: "eq", value: 6 }),
    ];
    const expected: [string, bigint[], string][] = [
      ["ioctl", [0n, 5n], "NOTIFY"],
      ["ioctl", [0n, 6n], "KILL_PROCESS"],
      ["ioctl", [0n, 7n], "ERRNO(EDOM)"],
      ["read", [], "ALLOW"],
    ];
    for (const report of [true, false]) {
      const { seccomp, told } = policyOf({ default: "ALLOW", report, rules }, machine);
      if (!seccomp || !told) throw new Error("nothing is told");
      for (const call of expected) {
        const action = parseAction(call[2]);
        const passed = report && call[2] !== "ALLOW" ? ACTIONS.NOTIFY : action;
        expect([call[1], asked(seccomp, call)]).toEqual([call[1], passed]);
        expect([call[1], asked(told.verdicts, call)]).toEqual([call[1], action]);
      }
    }
  });

  test("foreign ABIs are killed by the kernel, whatever the default", () => {
    for (const fallback of ["KILL_PROCESS", "NOTIFY", "LOG", "ALLOW"]) {
      const rules = [rule("execve", "ALLOW"), ...EVERY_ACTION];
      const { seccomp = new Uint8Array() } = policyOf(
        { default: fallback, report: true, rules },
        machine,
      );
      const foreign = arch === "x64" ? 0x40000003 : ARCHITECTURES.x64;
      expect(answer(seccomp, 20, [], foreign)).toBe(ACTIONS.KILL_PROCESS);
      if (arch === "x64")
        expect(answer(seccomp, 0x40000000 + 39, [], ARCHITECTURES.x64)).toBe(ACTIONS.KILL_PROCESS);
    }
  });

  test("every number that a call has, has its name", () => {
    const { told } = policyOf({ default: "LOG", report: true }, machine);
    const names = told?.names ?? {};
    expect(names[machine.syscall("mount") ?? -1]).toBe("mount");
    // Of linux/asm-generic/unistd.h and syscall_64.tbl, up to what every supported libseccomp knows.
    const ranges =
      arch === "x64"
        ? [
            [0, 334],
            [424, 447],
          ]
        : [
            [0, 243],
            [260, 294],
            [424, 447],
          ];
    const missing = ranges.flatMap(([first = 0, last = 0]) =>
      Array.from({ length: last - first + 1 }, (_, i) => first + i).filter((n) => !(n in names)),
    );
    expect(missing).toEqual([]);
  });
});

test("a filter that denies nothing has nothing to tell", () => {
  for (const report of [true, false]) {
    expect(policyOf({ default: "ALLOW", report }).told).toBeUndefined();
    expect(
      policyOf({ default: "ALLOW", report, rules: rule("mount", "TRAP") }).told,
    ).toBeUndefined();
  }
  expect(policyOf({ default: "ALLOW", rules: rule("mount", "KILL") }).told).toBeUndefined();
});

test("sandboxes of one machine share the names", () => {
  const machine = on("x64");
  const names = () => policyOf({ default: "LOG", report: true }, machine).told?.names;
  const [first, second] = [names(), names()];
  expect(first).toEqual(second);
  const both = compiled(
    {
      acls,
      seccomp: { default: "LOG", report: true },
      commands: ["a", "b"].map((uid) => ({ uid, exec: { cmdpath: "/bin/sh" } })),
    },
    machine,
  ).sandboxes[0]?.plans.map(({ policy }) => policy.told?.names);
  expect(both?.[0]).toBe(both?.[1]);
});

test("what lets no command start is refused with NOTIFY too", () => {
  expect(refused({ acls, seccomp: { default: "NOTIFY", report: true } })[0]).toContain(
    "no command could start",
  );
});

test("the plan tells the launcher, and explain the user", () => {
  const plan = (seccomp: object) => planOf(compiled({ acls, seccomp }, here));
  const ops = ({ ops: blob }: { ops: Uint8Array }): number[] => {
    const view = new DataView(blob.buffer, blob.byteOffset, blob.length);
    const codes: number[] = [];
    for (let offset = HEADER_SIZE; offset < blob.length; offset += view.getUint32(offset + 4, true))
      codes.push(view.getUint32(offset, true));
    return codes;
  };
  const told = plan({ default: "LOG", report: true });
  expect(ops(told)).toContain(OP.VERDICTS);
  expect(ops(told).at(-1)).toBe(OP.SECCOMP_LISTENER);
  expect(explain(told).join("\n")).toContain("names the calls that the filter denies or logs");
  const some = plan({ default: "ALLOW", rules: rule("mount", "NOTIFY") });
  expect(explain(some).join("\n")).toContain("names the calls whose action is SCMP_ACT_NOTIFY");
  const untold = plan({ default: "LOG" });
  expect(ops(untold)).not.toContain(OP.VERDICTS);
  expect(ops(untold).at(-1)).toBe(OP.SECCOMP);
  expect(explain(untold).join("\n")).not.toContain("names the calls");
});

test("a plan file keeps it all", () => {
  const api = compiled({ acls, seccomp: { default: "LOG", report: true } }, here);
  const [read] = decodePlans(encodePlans([api], here), here);
  if (!read) throw new Error("no plan");
  expect(planOf(read).policy.told).toEqual(planOf(api).policy.told);
});

test("a kernel that cannot refuses the config, but not the making of a plan file for another", () => {
  const without = { ...here, cannotTell: () => "pidfd_getfd(2): ENOSYS; it needs Linux 5.6" };
  const seccomp = { default: "LOG", report: true };
  expect(refused({ acls, seccomp }, without)).toEqual([
    "sandboxes[0].seccomp: calls cannot be told here: pidfd_getfd(2): ENOSYS; it needs Linux 5.6",
  ]);
  expect(policyOf(seccomp, { ...without, inherits: false }).told).toBeDefined();
  expect(policyOf({ default: "LOG" }, without).told).toBeUndefined();
});

describe("compiled BPF", () => {
  const ret = (k: number) => ({ code: 0x06, jt: 0, jf: 0, k });
  const load = { code: 0x20, jt: 0, jf: 0, k: 0 };
  const is = (k: number) => ({ code: 0x15, jt: 0, jf: 1, k });
  const file = (...program: Parameters<typeof encode>[0]) => ({
    ...here,
    readFile: () => encode(program),
  });
  const seccomp = { rulespath: "/x.bpf", report: true };

  test("all that it denies is told, foreign ABIs too", () => {
    const actions = [0x80000000, 0x80000001, 0x00000000, 0x00050001, 0x7ffc0000, 0x7fc00007];
    const kept = [0x00030000, 0x7ff00001, 0x7ff05b0d];
    const all = [...actions, ...kept];
    const machine = file(load, ...all.flatMap((k, i) => [is(i), ret(k)]), ret(ACTIONS.ALLOW));
    const { seccomp: filter = new Uint8Array(), told } = policyOf(seccomp, machine);
    all.forEach((k, i) => {
      expect(answer(filter, i)).toBe(kept.includes(k) ? k : ACTIONS.NOTIFY);
      expect(answer(told?.verdicts ?? new Uint8Array(), i)).toBe(k);
    });
    expect(answer(filter, 99)).toBe(ACTIONS.ALLOW);
  });
  test("its own USER_NOTIF is told without report", () => {
    const machine = file(load, is(1), ret(0x7fc00000), ret(ACTIONS.ALLOW));
    expect(policyOf({ rulespath: "/x.bpf" }, machine).told?.all).toBe(false);
  });
  test("a return that is computed is refused with report, and only then", () => {
    const machine = file(load, { code: 0x16, jt: 0, jf: 0, k: 0 });
    expect(refused({ acls, seccomp }, machine)).toEqual([
      "sandboxes[0].seccomp.rulespath: /x.bpf: report needs returns of constants, and it has one that is computed",
    ]);
    expect(policyOf({ rulespath: "/x.bpf" }, machine).told).toBeUndefined();
  });
});
