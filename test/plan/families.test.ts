import { describe, expect, test } from "bun:test";
import { encode, RET_A } from "../../src/plan/bpf.ts";
import { explainPolicy } from "../../src/plan/explain.ts";
import { exposure } from "../../src/plan/exposure.ts";
import { type Machine, thisMachine } from "../../src/plan/machine.ts";
import { parseAction } from "../../src/plan/seccomp-action.ts";
import { answer } from "./answer.ts";
import { asRoot, asUser, compiled, planOf, refused } from "./compiling.ts";

const acls = { user: "nobody" };
const privately = { acls, namespace: { shares: { net: "disable" } } };
const ALLOW = parseAction("ALLOW");
const NO_FAMILY = parseAction("ERRNO(EAFNOSUPPORT)");
const NO_PROTOCOL = parseAction("ERRNO(EPROTONOSUPPORT)");
const AF = { UNIX: 1, INET: 2, INET6: 10, KEY: 15, NETLINK: 16, PACKET: 17, CAN: 29, XDP: 44 };
const HELD = Object.values(AF);
const VSOCK = 40;
const ALL = Array.from({ length: 50 }, (_, i) => i);

const filterOf = (sandbox: object, arch = "x64", machine: Partial<Machine> = asRoot) => {
  const { policy } = planOf(compiled(sandbox, { ...thisMachine(arch), ...machine }));
  const program = policy.seccomp ?? policy.families?.filter;
  if (!program) throw new Error("no filter");
  return program;
};
/** arch of struct seccomp_data, and the numbers of socket and socketpair there. */
const ABIS = [
  ["x64", "x86_64", 0xc000003e, [41, 53]],
  ["x64", "x32", 0xc000003e, [0x40000029, 0x40000035]],
  ["x64", "i386", 0x40000003, [359, 360]],
  ["arm64", "aarch64", 0xc00000b7, [198, 199]],
  ["arm64", "arm", 0x40000028, [281, 288]],
] as const;
const socket = (sandbox: object, family: number, type = 1, protocol = 0) =>
  answer(filterOf(sandbox), 41, [BigInt(family), BigInt(type), BigInt(protocol)]);
const namesOf = (sandbox: object, machine?: Partial<Machine>) =>
  planOf(compiled(sandbox, machine)).policy.families?.names;

describe.each(ABIS)(
  "%s: the ABI %s, without a filter of the config's",
  (arch, abi, audit, calls) => {
    const program = filterOf(privately, arch);
    test.each([...calls])("call %d makes what the network holds, and nothing else", (number) => {
      for (const family of ALL) {
        const want = HELD.includes(family) ? ALLOW : NO_FAMILY;
        expect([family, answer(program, number, [BigInt(family)], audit)]).toEqual([family, want]);
      }
      // The kernel reads an int.
      expect(answer(program, number, [0x1_0000_0028n], audit)).toBe(NO_FAMILY);
      expect(answer(program, number, [0x1_0000_0001n], audit)).toBe(ALLOW);
    });
    test("no ring, which would make sockets that no filter sees; all else goes on", () => {
      const ring = abi === "x32" ? 0x40000000 | 425 : 425;
      expect(answer(program, ring, [], audit)).toBe(parseAction("ERRNO(ENOSYS)"));
      expect(answer(program, 1, [40n], audit)).toBe(ALLOW);
    });
  },
);

test("i386 hides the family in memory: socketcall makes no sockets, and does the rest", () => {
  const program = filterOf(privately);
  const socketcall = (call: bigint) => answer(program, 102, [call], 0x40000003);
  expect([1n, 8n, 3n, 0x1_0000_0001n].map(socketcall)).toEqual([
    NO_FAMILY,
    NO_FAMILY,
    ALLOW,
    NO_FAMILY,
  ]);
  expect(answer(program, 102, [1n])).toBe(ALLOW);
});

test("an ABI that the architecture does not have is the end", () => {
  expect(answer(filterOf(privately), 1, [], 0xc00000b7)).toBe(parseAction("KILL_PROCESS"));
});

describe("AF_NETLINK", () => {
  const protocols = (sandbox: object, machine?: Partial<Machine>) => {
    const program = filterOf(sandbox, "x64", machine);
    return ALL.filter((one) => answer(program, 41, [16n, 3n, BigInt(one)]) === ALLOW);
  };
  test("has the protocols that a network namespace holds", () => {
    expect(protocols(privately)).toEqual([0, 2, 4, 6, 10, 12, 16]);
    expect(socket(privately, AF.NETLINK, 3, 9)).toBe(NO_PROTOCOL);
  });
  test("events of devices are the host's unless the network belongs to a user namespace of its own", () => {
    expect(protocols({ acls, namespace: { shares: { all: "disable" } } })).toContain(15);
    expect(protocols({ namespace: { shares: { net: "disable" } } }, asUser)).toContain(15);
  });
  test("has others by name and by number, and then only these", () => {
    const families = ["NETLINK_AUDIT", "netlink_31"];
    expect(protocols({ ...privately, network: { families } })).toEqual([9, 31]);
    expect(socket({ ...privately, network: { families } }, AF.UNIX)).toBe(NO_FAMILY);
  });
});

test("what is another family by another name goes with that family", () => {
  const inet = { acls, network: { families: ["AF_INET", "AF_INET6"] } };
  const SOCK_PACKET = 10;
  const SMC = 256;
  expect(socket(inet, AF.INET, 3 | 0o2000000, 17)).toBe(ALLOW);
  expect(socket(inet, AF.INET, SOCK_PACKET | 0o2000000)).toBe(NO_PROTOCOL);
  expect(socket(privately, AF.INET, SOCK_PACKET)).toBe(ALLOW);
  for (const family of [AF.INET, AF.INET6]) {
    expect(socket(privately, family, 1, SMC)).toBe(NO_PROTOCOL);
    expect(socket({ acls, network: { families: ["INET", "INET6", "SMC"] } }, family, 1, SMC)).toBe(
      ALLOW,
    );
  }
});

describe("which families", () => {
  const internet = ["AF_UNIX", "AF_INET", "AF_INET6", "AF_NETLINK"];
  test("all in the host's network, what it holds in any other", () => {
    expect(namesOf({ acls })).toBeUndefined();
    expect(namesOf(privately)?.toSorted()).toEqual(
      Object.keys(AF)
        .map((name) => `AF_${name}`)
        .toSorted(),
    );
    expect(namesOf({ acls, namespace: { shares: { net: "name:vpn0" } } })).toContain("AF_UNIX");
    expect(namesOf({ namespace: { shares: { net: "disable" } } }, asUser)).toContain("AF_UNIX");
  });
  test("of each profile, also where it is refined", () => {
    expect(namesOf({ profile: "network" })).toEqual(internet);
    expect(namesOf({ profile: "minimal" })).toEqual(namesOf(privately) ?? []);
    expect(namesOf({ profile: "device" })).toEqual(namesOf(privately) ?? []);
    expect(namesOf({ profile: "admin", acls })).toBeUndefined();
    const host = { profile: "minimal", namespace: { shares: { net: "enable" } } };
    expect(namesOf(host)).toEqual(namesOf(privately) ?? []);
    expect(namesOf({ profile: "minimal", network: { families: "vsock" } })).toEqual(["AF_VSOCK"]);
    expect(namesOf({ profile: "minimal", network: {} })).toEqual(namesOf(privately) ?? []);
  });
  test("one, none, all; with or without AF_, however it is written", () => {
    const named = (families: unknown) => namesOf({ ...privately, network: { families } });
    expect(named("Af_Inet")).toEqual(["AF_INET"]);
    expect(named(["unix", "AF_LOCAL", "AF_ROUTE"])).toEqual(["AF_UNIX", "AF_NETLINK"]);
    expect(named([])).toEqual([]);
    expect(named("ALL")).toBeUndefined();
    const none = filterOf({ acls, network: { families: [] } });
    expect(ALL.filter((family) => answer(none, 41, [BigInt(family)]) !== NO_FAMILY)).toEqual([]);
  });
  test("unknown names are refused where they stand, with the nearest", () => {
    const families = ["AF_VSOK", "AF_INET", "NETLINK_AUDITS", "NETLINK_32", "constructor", "40"];
    const found = refused({ ...privately, network: { families } });
    expect(found.map((line) => line.split(":")[0])).toEqual(
      [0, 2, 3, 4, 5].map((i) => `sandboxes[0].network.families[${i}]`),
    );
    expect(found[0]).toContain("did you mean `AF_VSOCK`?");
    expect(found[1]).toContain("did you mean `NETLINK_AUDIT`?");
    expect(refused({ acls, network: { families: ["all", "unix"] } })[0]).toContain("stands alone");
    expect(refused({ acls, network: { family: "unix" } })[0]).toContain("unknown key `family`");
  });
  test("explain and the exposure say it", () => {
    const lines = (sandbox: object) => explainPolicy(planOf(compiled(sandbox)).policy);
    const found = (sandbox: object) =>
      exposure(planOf(compiled(sandbox))).findings.map(({ what }) => what);
    expect(lines({ profile: "network" })).toContain(
      `sockets only of ${internet.join(", ")}: others fail with EAFNOSUPPORT; no io_uring, which evades that`,
    );
    expect(lines({ acls })).toContain("sockets of every address family");
    expect(found(privately).join()).not.toContain("AF_");
    expect(found({ ...privately, network: { families: "all" } }).join()).toContain(
      "such as AF_VSOCK",
    );
    expect(found({ ...privately, network: { families: "vsock" } })).toContain(
      "shares AF_VSOCK with the host",
    );
  });
});

describe("together with a filter of the config's the stricter answer holds", () => {
  const rules = (...list: object[]) => ({
    ...privately,
    seccomp: { default: "ALLOW", rules: list },
  });
  test("of rules", () => {
    const killing = rules({ syscall: "socket", action: "KILL" });
    expect([1, VSOCK].map((family) => socket(killing, family))).toEqual([0, 0]);
    const exdev = rules({ syscall: "socket", action: "ERRNO(EXDEV)" });
    expect(socket(exdev, VSOCK)).toBe(parseAction("ERRNO(EXDEV)"));
    const logging = { ...privately, seccomp: { default: "LOG" } };
    expect([1, VSOCK].map((family) => socket(logging, family))).toEqual([
      parseAction("LOG"),
      NO_FAMILY,
    ]);
    const notified = rules({ syscall: "socket", action: "NOTIFY" });
    expect(socket(notified, VSOCK)).toBe(parseAction("NOTIFY"));
    const killed = {
      ...privately,
      seccomp: { default: "KILL_PROCESS", rules: { syscall: "@default", action: "ALLOW" } },
    };
    expect(socket(killed, VSOCK)).toBe(parseAction("KILL_PROCESS"));
  });
  test("rings are asked for in vain, and check says so", () => {
    const sandbox = rules({ syscall: "@io-uring", action: "ALLOW" });
    const { notices } = compiled(sandbox, asRoot);
    expect(notices.map(({ message }) => message).join()).toContain(
      "io_uring_setup fails with ENOSYS",
    );
    expect(compiled(rules(), asRoot).notices).toEqual([]);
  });
  const TRACE = 0x7ff00001;
  const file = (...instructions: [code: number, k: number][]) => ({
    ...asRoot,
    readFile: () => encode(instructions.map(([code, k]) => ({ code, jt: 0, jf: 0, k }))),
  });
  const compiledFile = { ...privately, seccomp: { rulespath: "/x" } };
  test.each([
    ["allows", file([6, ALLOW]), NO_FAMILY],
    ["logs", file([6, parseAction("LOG")]), NO_FAMILY],
    ["leaves it to a tracer", file([6, TRACE]), NO_FAMILY],
    ["kills", file([6, 0]), 0],
    ["fails", file([6, parseAction("ERRNO(EXDEV)")]), parseAction("ERRNO(EXDEV)")],
  ])("of a file that %s", (_, machine, want) => {
    expect(answer(filterOf(compiledFile, "x64", machine), 41, [40n])).toBe(want);
  });
  test("of a file that computes its answer", () => {
    const program = filterOf(compiledFile, "x64", file([0x00, ALLOW], [RET_A, 0]));
    expect(answer(program, 41, [40n])).toBe(NO_FAMILY);
  });
  test("a file that is as long as the kernel takes is refused with the way out", () => {
    const long = Array.from({ length: 4096 }, (): [number, number] => [6, ALLOW]);
    const message = refused(compiledFile, file(...long))[0];
    expect(message).toContain('"families": "all"');
  });
});

test("set-user-id programs keep their power: the filter comes before the capabilities go", () => {
  const sandbox = { ...privately, acls: { ...acls, newPrivs: true } };
  const { policy } = planOf(compiled(sandbox));
  expect(policy).toMatchObject({ noNewPrivs: false, families: { names: expect.any(Array) } });
  const ordinary = { acls: { newPrivs: true }, network: { families: "unix" } };
  expect(refused(ordinary, asUser)[0]).toStartWith(
    "sandboxes[0].network.families: cannot be combined",
  );
});
