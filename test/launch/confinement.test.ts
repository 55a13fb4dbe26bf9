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
