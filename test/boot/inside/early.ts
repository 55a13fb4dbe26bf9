/** Early boot: what the init hook did before systemd, and that systemd came up all the same. */
import assert from "node:assert/strict";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { connect } from "../../../src/client.ts";
import { until } from "../../served.ts";
import { check, say } from "./check.ts";

const ANNOUNCEMENT = "/run/spawnbox/early.json";

/** Words of the kernel command line. */
export const cmdline = readFileSync("/proc/cmdline", "utf8").trim().split(" ");

/** The init that an initramfs is to start in the end, by way of ours or not. */
const started = cmdline.find((word) => word.startsWith("spawnbox.starts="))?.split("=")[1];

export const bootedEarly =
  started !== undefined || cmdline.some((word) => word.startsWith("init=/usr/lib/spawnbox/"));

function kernelLog(): string {
  return Bun.spawnSync(["dmesg"]).stdout.toString();
}

/** When the kernel log has it, in seconds; throws unless that was before systemd. */
function beforeSystemd(text: string): number {
  const log = kernelLog();
  const at = (pattern: string) => new RegExp(`\\[ *(\\d+\\.\\d+)\\] ${pattern}`).exec(log)?.[1];
  const [it, systemd] = [at(text), at("systemd\\[1\\]:")];
  if (it === undefined)
    throw new Error(`not in the kernel log: ${log.match(/.*spawnbox.*/g)?.join("; ")}`);
  if (systemd !== undefined && Number(it) > Number(systemd))
    throw new Error(`${it} s, systemd at ${systemd} s`);
  return Number(it);
}

/** With the hook and a working config: the early server has run its task, and serves still. */
export async function earlyChecks(): Promise<void> {
  await check("early: PID 1 is systemd", () => {
    const name = readFileSync("/proc/1/comm", "utf8").trim();
    if (name !== "systemd") throw new Error(`PID 1 is ${name}`);
  });
  await check("early: the tasks were done before systemd started", () => {
    const seconds = beforeSystemd("spawnbox: early tasks done");
    say({ kind: "time", name: "kernel start to early tasks done", seconds });
  });
  await serverCheck();
  await check("early: a plugin from disk, called by onload, serves on", async () => {
    beforeSystemd(".*the sensor plugin is here: good morning");
    const client = await connect("ws://127.0.0.1:1234/api");
    try {
      const count = await client.call("sensor/count", { text: "one two three" });
      assert.equal((count.response as { words?: number }).words, 3, JSON.stringify(count));
    } finally {
      await client.close();
    }
  });
  await startedCheck();
}

/** What an initramfs was asked to start is what came of it, and knows nothing of what was in between. */
async function startedCheck(): Promise<void> {
  if (started === undefined) return;
  await check(`early: the initramfs has started ${started} in the end`, () => {
    assert(!cmdline.includes("init=/usr/lib/spawnbox/init"));
    const of = (file: string) => readFileSync(`/proc/1/${file}`, "utf8").split("\0");
    assert.equal(of("cmdline")[0], started);
    const environment = of("environ");
    // The script's own, which its /init leaves there: proof of an initramfs.
    assert(environment.includes("rootmnt=/root"), environment.join());
    assert.deepEqual(
      environment.filter((variable) => variable.startsWith("SPAWNBOX")),
      [],
    );
  });
}

async function serverCheck(): Promise<void> {
  await check("early: its server lives on under systemd and answers", async () => {
    await until("it is announced", () => existsSync(ANNOUNCEMENT));
    const { pid, urls } = JSON.parse(readFileSync(ANNOUNCEMENT, "utf8")) as {
      pid: number;
      urls: string[];
    };
    if (!readFileSync(`/proc/${pid}/cmdline`, "utf8").includes("early"))
      throw new Error(`pid ${pid} is another`);
    const client = await connect(`${urls[0]?.replace("http", "ws")}/api`);
    try {
      const { response } = await client.call("early/who");
      const { stdout } = response as { stdout?: string[] };
      if (stdout?.[0] !== "65534") throw new Error(JSON.stringify(response));
    } finally {
      await client.close();
    }
  });
}

/** With the hook, and something wrong: the machine is up, and the kernel log says what was wrong. */
export async function passedOverChecks(expected: string): Promise<void> {
  await check(`early: the machine boots, and says "${expected}"`, () => {
    const log = kernelLog();
    if (!log.includes(`spawnbox: ${expected}`))
      throw new Error(log.match(/.*spawnbox.*/g)?.join("; ") ?? "nothing said");
  });
  for (const [, text = ""] of cmdline.map((word) => word.split("spawnbox.log="))) {
    if (text === "") continue;
    const logged = text.replaceAll("+", " ");
    await check(`early: the kernel log has "${logged}"`, () =>
      assert(kernelLog().includes(logged)),
    );
  }
  if (cmdline.includes("spawnbox.serves")) await serverCheck();
  await startedCheck();
  if (cmdline.includes("spawnbox.full")) {
    await check("early: the root is full, and there is no /tmp", () => {
      assert.throws(() => writeFileSync("/var/more", "x".repeat(10_000)), /ENOSPC/);
      assert.equal(existsSync("/tmp"), false);
    });
  }
  if (!cmdline.includes("ro")) return;
  await check("early: the root is still read-only", () => {
    const root = /^\S+ \/ ext4 (\S+)/m.exec(readFileSync("/proc/mounts", "utf8"))?.[1];
    if (!root?.startsWith("ro")) throw new Error(`mounted ${root}`);
  });
}
