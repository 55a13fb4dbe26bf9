/** What confines this process, as the kernel, the service manager and the container tell it. */
import { afterEach, describe, expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { confinement } from "../../src/launch/confinement.ts";

const NAMES = ["container", "INVOCATION_ID"] as const;
const before = Object.fromEntries(NAMES.map((name) => [name, process.env[name]]));
afterEach(() => {
  for (const name of NAMES) {
    if (before[name] === undefined) delete process.env[name];
    else process.env[name] = before[name];
  }
});

const status = (name: string) =>
  new RegExp(`^${name}:\\s+(\\S+)`, "m").exec(readFileSync("/proc/self/status", "utf8"))?.[1];

test("the kernel tells filters, rights and ids", () => {
  const here = confinement();
  expect(here).toMatchObject({
    filtered: status("Seccomp") === "2",
    noNewPrivs: status("NoNewPrivs") === "1",
    caps: BigInt(`0x${status("CapEff")}`),
    foreignProc: false,
  });
  const [inside, outside, count] = readFileSync("/proc/self/uid_map", "utf8").trim().split(/\s+/);
  expect(here.fewIds).toBe([inside, outside, count].join() !== "0,0,4294967295");
  const mounts = readFileSync("/proc/self/mountinfo", "utf8").split("\n");
  expect(here.readOnlySettings).toBe(
    mounts.some((line) => {
      const [, , , , place = "", options = ""] = line.split(" ");
      return /^\/proc\/sys(\/|$)/.test(place) && options.split(",").includes("ro");
    }),
  );
});

test("limits are the hard ones, settings their first lines", () => {
  const { hardLimit, setting } = confinement();
  const limits = readFileSync("/proc/self/limits", "utf8");
  for (const name of ["Max open files", "Max processes", "Max nice priority"]) {
    const [, hard] = new RegExp(`^${name} +\\S+ +(\\S+)`, "m").exec(limits) ?? [];
    expect([name, hardLimit(name)]).toEqual([name, hard]);
  }
  expect(hardLimit("Max nothing")).toBeUndefined();
  expect(setting("kernel.ostype")).toBe("Linux");
  expect(setting("kernel.random.uuid")).toMatch(/^[\da-f-]{36}$/);
  expect(setting("none.such")).toBeUndefined();
});

describe("the environment tells", () => {
  test("a unit", () => {
    delete process.env["INVOCATION_ID"];
    expect(confinement().isUnit).toBe(false);
    process.env["INVOCATION_ID"] = "x";
    expect(confinement().isUnit).toBe(true);
  });

  test("a container, or that it is none", () => {
    const named = (name: string) => {
      process.env["container"] = name;
      return confinement().container;
    };
    expect([named("docker"), named("lxc"), named(""), named("x".repeat(21))]).toEqual([
      ...["docker", "lxc", undefined, "x".repeat(20)],
    ] as never);
    delete process.env["container"];
    const told = existsSync("/run/.containerenv")
      ? "podman"
      : existsSync("/.dockerenv")
        ? "docker"
        : existsSync("/run/systemd/container")
          ? readFileSync("/run/systemd/container", "utf8").trim().slice(0, 20) || undefined
          : undefined;
    expect(confinement().container).toBe(told as string);
  });
});

describe("elsewhere", () => {
  /** With these files, of all that there are. */
  const at = (files: Readonly<Record<string, string>>) => confinement((path) => files[path]);
  const self = (name: string, text: string) => at({ [`/proc/self/${name}`]: text });

  test("nothing is known where nothing can be read", () => {
    expect(at({})).toMatchObject({
      ...{ filtered: false, noNewPrivs: false, caps: 0n, label: undefined },
      ...{ fewIds: false, readOnlySettings: false, foreignProc: false },
    });
  });
  test("a filter, rights and the process id are lines of the status", () => {
    const { pid } = process;
    const status = `NSpid:\t1\nPid:\t${pid + 1}\nCapEff:\t00000000a80425fb\nNoNewPrivs:\t1\nSeccomp:\t2\nSeccomp_filters:\t1`;
    const there = self("status", status);
    expect(there).toMatchObject({
      ...{ filtered: true, noNewPrivs: true, caps: 0xa80425fbn, foreignProc: true },
    });
    const strict = status.replace("Seccomp:\t2", "Seccomp:\t1").replace("Privs:\t1", "Privs:\t0");
    expect(self("status", strict)).toMatchObject({ filtered: false, noNewPrivs: false });
  });
  test.each([
    ["docker-default (enforce)", "docker-default (enforce)"],
    ["snap.x (complain)\0", "snap.x (complain)"],
    ["docker-default (enforce)\n", "docker-default (enforce)"],
    ["unconfined", undefined],
    ["unconfined\n", undefined],
    ["kernel\0", undefined],
    ["_", undefined],
    ["system_u:system_r:unconfined_t:s0", undefined],
    ["system_u:system_r:container_t:s0", "system_u:system_r:container_t:s0"],
    ["", undefined],
  ])("of a security module that says %j", (said, label) => {
    expect(self("attr/current", said).label).toBe(label as string);
  });
  test.each([
    ["0          0 4294967295", false],
    ["0     100000      65536", true],
    ["0 0 1\n1 1 4294967294", true],
  ])("of a user namespace %j", (map, few) => {
    expect(self("uid_map", map).fewIds).toBe(few);
  });
  test.each([
    ["1 2 0:3 / /proc/sys ro,nosuid - proc proc rw", true],
    [
      "1 2 0:3 / /proc rw - proc proc rw\n1 2 0:3 /sys/kernel /proc/sys/kernel ro - proc proc rw",
      true,
    ],
    ["1 2 0:3 / /proc/sys rw - proc proc ro", false],
    ["1 2 0:3 / /proc/system ro - proc proc rw", false],
    ["1 2 0:3 / /proc/sys rox - proc proc rw", false],
  ])("of settings at %j", (mounts, isReadOnly) => {
    expect(self("mountinfo", mounts).readOnlySettings).toBe(isReadOnly);
  });
  test("settings and limits", () => {
    const there = at({
      "/proc/sys/kernel/yama/ptrace_scope": "3\nmore",
      "/proc/self/limits":
        "Max open files            1024                 4096                 files",
    });
    expect([there.setting("kernel.yama.ptrace_scope"), there.hardLimit("Max open files")]).toEqual([
      "3",
      "4096",
    ]);
  });
  test("a container that a file names", () => {
    delete process.env["container"];
    const named = (told: string) => at({ "/run/systemd/container": told }).container;
    expect([named("lxc\n"), named("x".repeat(21)), named(""), named("\n")]).toEqual([
      ...["lxc", "x".repeat(20), undefined, undefined],
    ] as never);
    expect(at({ "/.dockerenv": "" }).container).toBe("docker");
    expect(at({ "/run/.containerenv": "", "/.dockerenv": "" }).container).toBe("podman");
    expect(at({}).container).toBeUndefined();
  });
});
