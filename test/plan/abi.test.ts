/** Instructions before a filter: each to the letter, and what 32-bit programs and sandboxes prove. */
import { describe, expect, test } from "bun:test";
import {
  isShort,
  MULTIPLEXED,
  SECOND,
  withAbi,
  withMultiplexers,
  withNewer,
} from "../../src/plan/abi.ts";
import { decode, encode, type Instruction } from "../../src/plan/bpf.ts";
import type { Policy } from "../../src/plan/policy.ts";
import { programContext } from "../../src/plan/program-context.ts";
import { PROGRAMS } from "../../src/plan/runs-abi.ts";
import { provedBy } from "../../src/plan/tool.ts";
import { thisMachine } from "../../src/plan/machine.ts";
import { plain } from "./plain-policy.ts";

const ALLOW = 0x7fff0000;
const step = (code: number, k: number, jt = 0, jf = 0): Instruction => ({ code, jt, jf, k });
const [LD, AND, JEQ, JGT, JGE, JA, RET] = [0x20, 0x54, 0x15, 0x25, 0x35, 0x05, 0x06] as const;
const last = step(RET, ALLOW);
const pass = encode([last]);
const verdicts = (...numbers: number[]) =>
  new Map(numbers.map((one) => [one, {}])) as never as Parameters<typeof withNewer>[1];

test.each([
  ["x64", [], 423, 0xc000003e, 0x40000000],
  ["x64", [5, 424, 451, 0x40000000], 451, 0xc000003e, 0x40000000],
  ["arm64", [423], 423, 0xc00000b7, 0x40000000],
  ["i386", [430], 430, 0x40000003, 0x40000000],
  ["arm", [440, 0xf0000], 440, 0x40000028, 0xf0000],
] as const)(
  "calls of %s newer than what its author knew of %p",
  (abi, numbers, newest, arch, end) => {
    expect(decode(withNewer(pass, verdicts(...numbers), abi, 0x50026))).toEqual([
      ...[step(LD, 4), step(JEQ, arch, 0, 4), step(LD, 0), step(JGT, newest, 0, 2)],
      ...[step(JGE, end, 1, 0), step(RET, 0x50026), last],
    ]);
  },
);

test("one program behind the other, chosen by the architecture", () => {
  const own = encode([step(LD, 0), last]);
  expect(decode(withAbi(own, "i386", pass))).toEqual([
    ...[step(LD, 4), step(JEQ, 0x40000003, 0, 1), step(JA, 2), step(LD, 0), last, last],
  ]);
});

test("functions of calls that are many, as the rules have each", () => {
  const said = (name: string, conditional: boolean, action?: number) =>
    [
      name,
      {
        conditional: conditional ? [{}] : [],
        always: action === undefined ? undefined : { action },
      },
    ] as const;
  const rules = new Map([
    said("socket", false, 1),
    said("bind", true, 2),
    said("connect", false),
    said("semop", false, 4),
    said("shmctl", true),
  ]) as never as Parameters<typeof withMultiplexers>[1];
  const nosys = 0x50026;
  expect(decode(withMultiplexers(pass, rules, (action) => action + 0x100))).toEqual([
    ...[step(LD, 0), step(JEQ, 117, 0, 6), step(LD, 16), step(AND, 0xffff)],
    ...[step(JEQ, 1, 0, 1), step(RET, 0x104), step(JEQ, 24, 0, 1), step(RET, nosys + 0x100)],
    ...[step(LD, 0), step(JEQ, 102, 0, 6), step(LD, 16), step(AND, 0xffffffff)],
    ...[step(JEQ, 1, 0, 1), step(RET, 0x101), step(JEQ, 2, 0, 1), step(RET, nosys + 0x100)],
    last,
  ]);
  expect(withMultiplexers(pass, new Map(), (action) => action)).toEqual(pass);
});

test("which they are, as linux/net.h and linux/ipc.h number them", () => {
  const names =
    "socket bind connect listen accept getsockname getpeername socketpair send recv sendto recvfrom shutdown setsockopt getsockopt sendmsg recvmsg accept4 recvmmsg sendmmsg";
  const ipc = { semop: 1, semget: 2, semctl: 3, semtimedop: 4, msgsnd: 11, msgrcv: 12, msgget: 13 };
  const shm = { msgctl: 14, shmat: 21, shmdt: 22, shmget: 23, shmctl: 24 };
  const all: Record<string, number> = {
    ...Object.fromEntries(names.split(" ").map((name, i) => [name, i + 1])),
    ...{ ...ipc, ...shm },
  };
  expect([...MULTIPLEXED].toSorted()).toEqual(Object.keys(all).toSorted());
  for (const [name, number] of Object.entries(all)) {
    const rules = new Map([[name, { conditional: [], always: { action: 7 } }]]);
    const found = decode(withMultiplexers(pass, rules as never, (action) => action));
    expect([name, found[4]]).toEqual([name, step(JEQ, number, 0, 1)]);
  }
  expect(SECOND).toEqual({ x64: "i386", arm64: "arm" });
  expect((["x64", "arm64", "i386", "arm"] as const).map(isShort)).toEqual([
    ...[false, false, true, true],
  ]);
});

test("programs that end with 7, in the code of each processor", () => {
  const hex = ({ machine, code }: { machine: number; code: readonly number[] }) =>
    `${machine} ${Buffer.from(code).toString("hex")}`;
  expect(Object.entries(PROGRAMS).map(([abi, one]) => `${abi} ${hex(one)}`)).toEqual([
    "i386 3 b801000000bb07000000cd80",
    "arm 40 0170a0e30700a0e3000000ef",
  ]);
});

describe("who executes a program", () => {
  const machine = thisMachine();
  const context = (policy: Partial<Policy>, arch = machine.arch) =>
    programContext({ ...plain, ...policy }, { PATH: "/p" }, { ...machine, arch });
  const user = { uid: 1001, gids: new Set([2001, 3001, 3002]) };
  const root = { uid: 0, gid: 5, groups: [] };
  const label: Policy["label"] = { module: "apparmor", file: "exec", text: "own" };
  test.each<[string, Partial<Policy>, object | undefined]>([
    ["a user", {}, user],
    ["of no capability", { caps: [] }, user],
    ["of others", { caps: [0, 3, 21] }, user],
    ["one that overrides rights", { caps: [0, 1] }, undefined],
    ["one that overrides rights to read", { caps: [2] }, undefined],
    ["root", { identity: root }, undefined],
    ["root of others", { identity: root, caps: [0] }, { uid: 0, gids: new Set([5]) }],
    ["root that overrides rights", { identity: root, caps: [1] }, undefined],
    [
      "the server's user, with the groups that it keeps",
      { identity: undefined, server: { uid: 10, gid: 20, groups: [{ gid: 30 }] } },
      { uid: 10, gids: new Set([20, 30]), isServers: true },
    ],
    ["the server's user, with others", { identity: undefined, groups: [] }, undefined],
    ["under a label", { identity: undefined, label }, undefined],
  ])("%s", (_what, policy, expected) => {
    expect(context(policy).user as object | undefined).toEqual(expected);
  });
  test("on this machine, and made for another", () => {
    const other = machine.arch === "x64" ? "arm64" : "x64";
    expect([context({}).arch, context({}, other).arch]).toEqual([machine.arch, undefined]);
    expect(context({}).searchPath).toBe("/p");
  });
  test.each([
    [0x80000000, true],
    [0x80000001, true],
    [0, true],
    [0x7fff0000, false],
    [0x00050001, false],
    [0x7ffc0000, false],
  ])("a filter that answers 0x%x", (action, kills) => {
    for (const [arch, second] of [
      ["x64", 0x40000003],
      ["arm64", 0x40000028],
    ] as const) {
      // To brk(2) of the other ABI, and to nothing else.
      const seccomp = encode([
        ...[step(LD, 4), step(JEQ, second, 0, 3), step(LD, 0), step(JEQ, 45, 0, 1)],
        ...[step(RET, action), step(RET, kills ? ALLOW : 0)],
      ]);
      expect(context({ seccomp }, arch).killsForeign).toBe(kills);
    }
    expect(context({}).killsForeign).toBe(false);
  });
});

describe("what a policy proves", () => {
  const flags = { readonly: true, nosuid: true, nodev: true, noexec: true };
  const bind = (source: string, more: object = {}) => ({
    ...{ kind: "bind", source, target: "/t", flags: { ...flags, ...more } },
  });
  const families = (...names: string[]) => ({ families: { names, filter: new Uint8Array() } });
  const all = {
    ...{ namespaces: new Set(["pid", "ipc", "net"]), noNewPrivs: true, caps: [], mounts: [] },
    ...families("AF_INET", "AF_UNIX"),
  };
  const both = { openworld: false, readonly: true };
  const closed = { openworld: false };
  test.each<[string, object, object]>([
    ["all of it", {}, both],
    ["no sockets, of no network", { ...families(), namespaces: new Set(["pid", "ipc"]) }, both],
    ["any sockets", { families: undefined }, {}],
    ["sockets of the machine", families("AF_VSOCK"), {}],
    ["the network of the machine", { namespaces: new Set(["pid", "ipc"]) }, {}],
    ["another's network", { joinNet: "n" }, {}],
    ["the places of the machine", { mounts: undefined }, {}],
    ["those, without unix sockets", { mounts: undefined, ...families("AF_INET") }, closed],
    ["a place of sockets", { mounts: [bind("/usr"), bind("/run")] }, {}],
    ["one without unix sockets", { mounts: [bind("/run")], ...families("AF_INET") }, both],
    [
      "programs",
      { mounts: ["/usr", "/usr/x", "/lib64", "/etc", "/bin", "/sbin"].map((one) => bind(one)) },
      both,
    ],
    ["what is called like them", { mounts: [bind("/usrx")] }, {}],
    [
      "devices for scratch",
      { mounts: [bind("/dev/null", { readonly: false, nodev: false })] },
      both,
    ],
    ["other devices", { mounts: [bind("/dev/sda")] }, {}],
    ["programs that can be written", { mounts: [bind("/usr", { readonly: false })] }, closed],
    ["devices in there", { mounts: [bind("/usr", { nodev: false })] }, closed],
    ["what is made", { mounts: [{ kind: "tmpfs", target: "/t" }] }, both],
    ["bound again", { mounts: [{ kind: "rebind", target: "/t", flags }] }, both],
    [
      "bound again to be written",
      { mounts: [{ kind: "rebind", target: "/t", flags: { ...flags, readonly: false } }] },
      closed,
    ],
    ["processes of the machine", { namespaces: new Set(["ipc", "net"]) }, closed],
    ["memory of the machine", { namespaces: new Set(["pid", "net"]) }, closed],
    ["more power by a program", { noNewPrivs: false }, closed],
    ["a capability", { caps: [5] }, closed],
    ["all of them", { caps: undefined }, closed],
  ])("%s", (_what, more, expected) => {
    expect(provedBy({ ...plain, ...all, ...more } as never as Policy)).toEqual(expected);
  });
});
