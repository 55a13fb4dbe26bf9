/**
 * `npm run test:boot [-- --arch x64|arm64] [--accel tcg|kvm]`: boots a virtual machine, with systemd and a unified cgroup v2, and tries the
 * executable in it. Leaves the boot log and a timing table beside the cached images.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { TARGETS } from "./arch.ts";
import { cacheDir, image } from "./image.ts";
import { needPrograms } from "./packages.ts";
import { payload } from "./payload.ts";
import type { Said } from "./protocol.ts";
import { boot } from "./qemu.ts";

/** Three times what an emulated machine usually takes, ms. */
const LIMIT = { x64: 360_000, arm64: 900_000 };

const { values } = parseArgs({
  options: { arch: { type: "string", default: "x64" }, accel: { type: "string", default: "tcg" } },
});
const { arch, accel } = values;
if ((arch !== "x64" && arch !== "arm64") || (accel !== "tcg" && accel !== "kvm")) {
  console.error("usage: npm run test:boot [-- --arch x64|arm64] [--accel tcg|kvm]");
  process.exit(2);
}
const target = TARGETS[arch];

const times: [string, number][] = [];
async function timed<T>(name: string, work: Promise<T>): Promise<T> {
  const begin = performance.now();
  const result = await work;
  times.push([`host: ${name}`, (performance.now() - begin) / 1000]);
  return result;
}

let passed = 0;
let failed = 0;
function onSaid(said: Said): void {
  if (said.kind === "time") times.push([said.name, said.seconds]);
  if (said.kind === "ok") passed++;
  if (said.kind === "not ok") failed++;
  if (said.kind === "ok") console.log(`ok ${said.name}`);
  if (said.kind === "not ok") console.log(`not ok ${said.name}: ${said.why}`);
}

await needPrograms(target);
const machine = await timed("root image", image(target));
using loaded = await timed("executable into the image", payload(target, machine));
const log = join(cacheDir(), `boot-${arch}.log`);
const HOOK = "init=/usr/lib/spawnbox/init";
/** What each boot adds to the kernel command line; the first runs every check, the others break early boot in some way. */
const BOOTS: Readonly<Record<string, readonly string[]>> = {
  "the whole boot": [HOOK],
  "boot without a server": [HOOK, "spawnbox.path=/no/such/file", "spawnbox.test=cannot+execute"],
  "boot with a server that hangs": [
    HOOK,
    "spawnbox.path=/usr/lib/spawnbox-test/hang",
    "spawnbox.deadline=1",
    "spawnbox.test=deadline+passed",
  ],
};
let done = true;
for (const [name, append] of Object.entries(BOOTS)) {
  const file = name === "the whole boot" ? log : `${log}.${append.length}`;
  const started = {
    target,
    ...machine,
    root: loaded.root,
    accel,
    append,
    log: file,
    limit: LIMIT[arch],
    onSaid,
  };
  done = (await timed(name, boot(started))) && done;
}
const table = times
  .map(([name, seconds]) => `${seconds.toFixed(5).padStart(11)} s  ${name}`)
  .join("\n");
writeFileSync(join(cacheDir(), `timing-${arch}.txt`), `${table}\n`);
console.log(`\n${table}\n\nboot log: ${log}\n${passed} passed, ${failed} failed`);
if (!done) console.error("the tests in the machine did not come to their end");
process.exitCode = done && failed === 0 && passed > 0 ? 0 : 1;
