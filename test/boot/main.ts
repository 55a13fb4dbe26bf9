/**
 * `npm run test:boot [-- --arch x64|arm64] [--kernel 6.1|5.10] [--all] [--accel tcg|kvm]`: boots a virtual machine, with systemd
 * and a unified cgroup v2, and tries the executable in it. Leaves the boot logs and a timing table beside the cached images.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { TARGETS } from "./arch.ts";
import { cacheDir, image } from "./image.ts";
import { type Kernel, KERNELS } from "./kernel.ts";
import { needPrograms } from "./packages.ts";
import { payload } from "./payload.ts";
import type { Said } from "./protocol.ts";
import { boot } from "./qemu.ts";

/** A guard against hanging, ms: many times what an emulated machine usually takes, which shares its host with others. */
const LIMIT = { x64: 1_800_000, arm64: 3_600_000 };

const { values } = parseArgs({
  options: {
    arch: { type: "string", default: "x64" },
    accel: { type: "string", default: "tcg" },
    kernel: { type: "string" },
    all: { type: "boolean", default: false },
  },
});
const { arch, accel, kernel: only, all } = values;
if ((arch !== "x64" && arch !== "arm64") || (accel !== "tcg" && accel !== "kvm")) usage();
if (only !== undefined && !(only in KERNELS)) usage();

function usage(): never {
  const kernels = Object.keys(KERNELS).join("|");
  console.error(
    `usage: npm run test:boot [-- --arch x64|arm64] [--kernel ${kernels}] [--all] [--accel tcg|kvm]`,
  );
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
const onSaid = (boot: string) => (said: Said) => {
  if (said.kind === "time") times.push([`${boot}: ${said.name}`, said.seconds]);
  if (said.kind === "ok") passed++;
  if (said.kind === "not ok") failed++;
  if (said.kind === "ok") console.log(`ok ${boot}: ${said.name}`);
  if (said.kind === "not ok") console.log(`not ok ${boot}: ${said.name}: ${said.why}`);
};

await needPrograms(target);
const machine = await timed("root image", image(target));
using loaded = await timed("executable into the image", payload(target, machine));
const HOOK = "init=/usr/lib/spawnbox/init";
/** For those that meet it: an emulated machine may be slow. */
const PATIENT = "spawnbox.deadline=300";
interface Run {
  readonly name: string;
  readonly kernel: Kernel;
  /** Words for the kernel command line. */
  readonly append: readonly string[];
}
/**
 * The first boot of each kernel runs every check, and on the old one test/sandbox too, which `npm test` runs on a new one; the
 * others break early boot in some way.
 */
const BOOTS: readonly Run[] = [
  { name: "the whole boot", kernel: "6.1", append: [HOOK, PATIENT] },
  {
    name: "the whole boot, Linux 5.10",
    kernel: "5.10",
    append: [HOOK, PATIENT, `spawnbox.suites=${all ? "all" : "some"}`],
  },
  {
    name: "boot without a server",
    kernel: "6.1",
    append: [
      HOOK,
      "spawnbox.path=/no/such/file",
      "spawnbox.test=cannot+execute",
      "spawnbox.end=reboot",
    ],
  },
  {
    name: "boot with a server that hangs",
    kernel: "6.1",
    append: [
      HOOK,
      "spawnbox.path=/usr/lib/spawnbox-test/hang",
      "spawnbox.deadline=1",
      "spawnbox.test=deadline+passed",
      "spawnbox.end=reboot-now",
    ],
  },
  {
    name: "boot with a server that is late",
    kernel: "6.1",
    append: [
      HOOK,
      "spawnbox.path=/usr/lib/spawnbox-test/late",
      "spawnbox.deadline=1",
      "spawnbox.test=deadline+passed",
      "spawnbox.serves",
    ],
  },
  {
    name: "boot with a broken config",
    kernel: "6.1",
    append: [
      HOOK,
      "spawnbox.path=/usr/lib/spawnbox-test/broken",
      "spawnbox.test=the+early+server+ended+before+its+tasks+were+done",
    ],
  },
  {
    name: "boot with a read-only root",
    kernel: "6.1",
    append: [HOOK, PATIENT, "ro", "spawnbox.test=early+tasks+done", "spawnbox.serves"],
  },
];
let done = true;
const logs: string[] = [];
for (const { name, kernel, append } of BOOTS) {
  if (only !== undefined && kernel !== only) continue;
  const log = join(cacheDir(), `boot-${arch}-${name.replaceAll(/\W+/g, "-")}.log`);
  logs.push(log);
  const started = {
    target,
    kernel: machine.kernel(kernel),
    root: loaded.root,
    suites: loaded.suites,
    accel,
    append,
    log,
    limit: LIMIT[arch],
    onSaid: onSaid(name),
  };
  done = (await timed(name, boot(started))) && done;
}
const table = times
  .map(([name, seconds]) => `${seconds.toFixed(5).padStart(11)} s  ${name}`)
  .join("\n");
writeFileSync(join(cacheDir(), `timing-${arch}.txt`), `${table}\n`);
console.log(`\n${table}\n\nboot logs: ${logs.join(" ")}\n${passed} passed, ${failed} failed`);
if (!done) console.error("the tests in the machine did not come to their end");
process.exitCode = done && failed === 0 && passed > 0 ? 0 : 1;
