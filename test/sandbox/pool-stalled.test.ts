/** Warm sandboxes with a source on a file system that has ceased to answer, as one of a network does. */
import { describe, expect, test } from "bun:test";
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { shell, system, until, users } from "../served.ts";
import { acls, canLookInside, childrenOf, full, serveSandboxes, sh, waitingOf } from "./attack.ts";

/** fuse(4) as the kernel speaks it: one empty directory, without an answer to anything between SIGUSR1 and SIGUSR2. Every time-out is 0. */
const FUSE = `
import ctypes, os, signal, struct, sys, time
INIT, GETATTR, FORGET, BATCH_FORGET, STATFS, OPENDIR = 26, 3, 2, 42, 17, 27
fuse = os.open("/dev/fuse", os.O_RDWR)
options = f"fd={fuse},rootmode=40755,user_id=0,group_id=0,allow_other"
if ctypes.CDLL(None).mount(b"stalled", sys.argv[1].encode(), b"fuse", 2, options.encode()): sys.exit("not mounted")
print("mounted", flush=True)
answers = [True]
signal.signal(signal.SIGUSR1, lambda *_: (answers.clear(), print("stalled", flush=True)))
signal.signal(signal.SIGUSR2, lambda *_: answers.append(True))
directory = struct.pack("<6Q10I", 1, 0, 0, 0, 0, 0, 0, 0, 0, 0o40755, 2, 0, 0, 0, 4096, 0)
content = {
    INIT: struct.pack("<4I2H2I2HI28x", 7, 31, 65536, 0, 12, 10, 65536, 1, 32, 0, 0),
    GETATTR: struct.pack("<QII", 0, 0, 0) + directory,
    STATFS: bytes(80),
    OPENDIR: struct.pack("<QII", 1, 0, 0),
}
while True:
    try: request = os.read(fuse, 1 << 18)
    except OSError: break
    _, operation, unique = struct.unpack("<IIQ", request[:16])
    while not answers: time.sleep(0.01)
    if operation in (FORGET, BATCH_FORGET): continue
    data = content.get(operation, b"")
    os.write(fuse, struct.pack("<IiQ", 16 + len(data), 0 if data else -38, unique) + data)
`;

// Only root may mount it for others.
describe.skipIf(!canLookInside || !existsSync("/dev/fuse")).each(users)("served by %s", (user) => {
  test("[warm sandboxes] a source that does not answer holds up its own launches only", async () => {
    const source = mkdtempSync(join(tmpdir(), "spawnbox-stalled-"));
    chmodSync(source, 0o755);
    const daemon = Bun.spawn(["/usr/bin/python3", "-IS", "-c", FUSE, source], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    const said = daemon.stdout.getReader();
    const says = async () => new TextDecoder().decode((await said.read()).value).trim();
    try {
      expect(await says()).toBe("mounted");
      const namespace = { ...full, mounts: [...system, { target: "/source", source }] };
      await using served = await serveSandboxes(
        [
          { uid: "stalled", acls, namespace, pool: 1, commands: [shell] },
          { uid: "other", acls, namespace: full, pool: 1, commands: [shell] },
        ],
        { user },
      );
      // A supervisor that still looks at the source when it ceases to answer could not be killed.
      const sleeps = (pid: string) => readFileSync(`/proc/${pid}/wchan`, "utf8").includes("poll");
      const ready = () =>
        until("both wait", () => {
          const both = waitingOf(served.pid);
          return both.length === 2 && both.every(sleeps);
        });
      await ready();
      expect((await sh(served, "stalled", "echo fine")).lines).toEqual(["fine"]);
      await ready();
      daemon.kill("SIGUSR1");
      expect(await says()).toBe("stalled");
      for (const pid of childrenOf(served.pid)) process.kill(Number(pid), "SIGKILL");
      // After the loss of one that waits, no other is made before the next request: that is to be this one.
      await until("they are gone", () => childrenOf(served.pid).length === 0);
      await Bun.sleep(200);
      const late = sh(served, "stalled", "echo late");
      await Bun.sleep(300);
      daemon.kill("SIGUSR2");
      expect((await late).lines).toEqual(["late"]);
      expect((await sh(served, "other", "echo fine")).lines).toEqual(["fine"]);
      await ready();
      daemon.kill("SIGUSR1");
      expect(await says()).toBe("stalled");
      let told = 0;
      const calls = Array.from({ length: 20 }, async () => {
        const { request } = await served.call("a/stalled/sh", { script: "echo fine" });
        told++;
        return request.info;
      });
      await Bun.sleep(300);
      expect((await sh(served, "other", "echo fine")).lines).toEqual(["fine"]);
      expect((await sh(served, "other", "echo fine")).lines).toEqual(["fine"]);
      expect(told).toBe(0);
      // Its end makes the kernel answer in its stead.
      daemon.kill("SIGKILL");
      await daemon.exited;
      for (const info of await Promise.all(calls)) expect(info).toContain(source);
      expect((await sh(served, "other", "echo fine")).lines).toEqual(["fine"]);
    } finally {
      daemon.kill("SIGKILL");
      await daemon.exited;
      Bun.spawnSync(["umount", "--lazy", source]);
      rmdirSync(source);
    }
  });
});
