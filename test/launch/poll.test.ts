/** A look at a descriptor while signals come, as those of the engine's own threads do: it is never the end of the server. */
import { expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const PROGRAM = `
import { isReadable, isWritable, pipe } from ${JSON.stringify(join(import.meta.dir, "../../ffi/libc.ts"))};
import { hasEnded, openProcess } from ${JSON.stringify(join(import.meta.dir, "../../ffi/processes.ts"))};
const [read, write] = pipe();
const self = openProcess(process.pid);
for (const end = performance.now() + 1500; performance.now() < end;)
  if (isReadable(read) || !isWritable(write) || hasEnded(self)) process.exit(2);
`;

test("descriptors are looked at while a profiler interrupts", async () => {
  const dir = mkdtempSync(join(tmpdir(), "spawnbox-poll-"));
  try {
    const profiled = ["--cpu-prof", "--cpu-prof-dir", dir, "--cpu-prof-interval", "100"];
    const running = Bun.spawn([process.execPath, ...profiled, "-e", PROGRAM], {
      cwd: dir,
      stdio: ["ignore", "ignore", "pipe"],
    });
    expect(await running.stderr.text()).toBe("");
    expect(await running.exited).toBe(0);
  } finally {
    rmSync(dir, { recursive: true });
  }
});
