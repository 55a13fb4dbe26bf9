/**
 * `npm run test:boot`: boots a virtual machine, with systemd and a unified cgroup v2, and tries the executable in it. Leaves the
 * boot logs and a timing table beside the cached images.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { commandLine, UsageError } from "../../src/command-line/usage.ts";
import { TARGETS, type Target } from "./arch.ts";
import { boots, type Run, SIZES } from "./boots.ts";
import { cacheDir, image } from "./image.ts";
import { type Known, readRows, WRITES, writeRows } from "../places/rows.ts";
import type { Row } from "../places/seen.ts";
import { orderOfUnits } from "../places/units.ts";
import { type Kernel, KERNELS } from "./kernel.ts";
import { inLanes, lanesHere } from "./lanes.ts";
import { needPrograms } from "./packages.ts";
import { payload } from "./payload.ts";
import type { Said } from "./protocol.ts";
import { boot } from "./qemu.ts";

/**
 * A guard against hanging, ms without a word: many times what an emulated machine usually takes for one check, or for a suite of
 * test/sandbox, when it shares its host with others.
 */
const SILENCE = { x64: 600_000, arm64: 1_200_000 };

const help = `usage: npm run test:boot [-- OPTIONS]

Boots virtual machines (QEMU), and tries the executable in them: early boot, the service, limits, sandboxes.

  --arch ARCH      x64 or arm64 (default x64)
  --kernel NAME    one of ${Object.keys(KERNELS).join(", ")} (default: all)
  --boot TEXT      only the boots with that in their names
  --size SIZE      medium leaves out what takes long: half of the boots, and two kinds of checks (default large)
  --checks NAMES   only these checks, by their names in test/boot/inside/main.ts, comma-separated
  --suites NAMES   these suites of test/sandbox as well, comma-separated, or all
  --at-once N      so many machines at a time (default: as this host has processors and memory for)
  --accel ACCEL    tcg or kvm (default tcg)
  -h, --help       this text`;

interface Options {
  readonly target: Target;
  readonly accel: "tcg" | "kvm";
  readonly lanes: number;
  readonly runs: readonly Run[];
}

function parse(args: string[]): Options | undefined {
  const { values } = parseArgs({
    args,
    options: {
      arch: { type: "string", default: "x64" },
      accel: { type: "string", default: "tcg" },
      kernel: { type: "string" },
      boot: { type: "string" },
      checks: { type: "string" },
      size: { type: "string", default: "large" },
      suites: { type: "string" },
      "at-once": { type: "string", default: `${lanesHere()}` },
      help: { type: "boolean", short: "h" },
    },
  });
  if (values.help) return undefined;
  const { arch, accel, kernel } = values;
  if (arch !== "x64" && arch !== "arm64")
    throw new UsageError(`--arch ${arch}: expected x64 or arm64`);
  if (accel !== "tcg" && accel !== "kvm")
    throw new UsageError(`--accel ${accel}: expected tcg or kvm`);
  if (kernel !== undefined && !(kernel in KERNELS))
    throw new UsageError(`--kernel ${kernel}: expected one of ${Object.keys(KERNELS).join(", ")}`);
  const size = SIZES.find((one) => one === values.size);
  if (!size) throw new UsageError(`--size ${values.size}: expected one of ${SIZES.join(", ")}`);
  const lanes = Number(values["at-once"]);
  if (!Number.isInteger(lanes) || lanes < 1)
    throw new UsageError(`--at-once ${values["at-once"]}: expected a number from 1 on`);
  const runs = boots({ ...values, size, native: process.arch === arch });
  if (runs.length === 0) throw new UsageError(`--boot ${values.boot}: no boot has such a name`);
  return { target: TARGETS[arch], accel, lanes, runs };
}

const { target, accel, lanes, runs } = commandLine({ name: "npm run test:boot", help, parse });
const { arch } = target;

const times: [string, number][] = [];
async function timed<T>(name: string, work: Promise<T>): Promise<T> {
  const begin = performance.now();
  const result = await work;
  times.push([`host: ${name}`, (performance.now() - begin) / 1000]);
  return result;
}

let passed = 0;
let skipped = 0;
/** Told once more at the end. */
const failures: string[] = [];
/** Rows of places, as they are to be committed. */
const rows: Known[] = [];
const committed = readRows().filter(({ kind }) => kind === "units, as they are");
/** Seconds from one word of a boot to the next: what is slow is seen. */
const waits: [string, number][] = [];
function onSaid(boot: string, kernel: Kernel): (said: Said) => void {
  let last = performance.now();
  return (said) => {
    if (said.kind === "time") times.push([`${boot}: ${said.name}`, said.seconds]);
    if (said.kind === "time" || said.kind === "done") return;
    waits.push([
      `${boot}: ${said.kind === "seen" ? said.row.place : said.name}`,
      (performance.now() - last) / 1000,
    ]);
    last = performance.now();
    if (said.kind === "seen") {
      compareRow(boot, kernel, said.row);
    } else if (said.kind === "ok") {
      passed++;
      console.log(`ok ${boot}: ${said.name}`);
    } else if (said.kind === "skipped") {
      skipped++;
      console.log(`skipped ${boot}: ${said.name}: ${said.why}`);
    } else {
      failures.push(`not ok ${boot}: ${said.name}: ${said.why}`);
      console.log(failures.at(-1));
    }
  };
}
/** The first check of a boot includes the boot. */
const SLOWEST = 25;

/** Where a kernel says otherwise than the newer one, its row has its name. What nobody has committed yet stands on no page. */
function compareRow(boot: string, kernel: Kernel, row: Row): void {
  const own = { ...row, place: `${row.place}, Linux ${kernel}` };
  const equals = (one: Row, other: Row) =>
    one.start === other.start && Bun.deepEquals(one.cells, other.cells);
  const named = (place: string) =>
    [...rows, ...committed].find((one) => one.place === place && one.user === row.user);
  const known = named(own.place) ?? named(row.place);
  const name = `${boot}: what is seen of ${row.place}, ${row.user}, is what is committed`;
  if (WRITES) {
    const plain = named(row.place);
    if (kernel === "6.1" || !plain) rows.push({ ...row, kind: "units, as they are" });
    else if (!equals(plain, row)) rows.push({ ...own, kind: "units, as they are" });
  } else if (known && equals(known, row)) {
    passed++;
    console.log(`ok ${name}`);
  } else if (!known || (kernel !== "6.1" && !named(own.place))) {
    skipped++;
    console.log(
      `skipped ${name}: no row of it is committed, see SPAWNBOX_PLACES_WRITE: ${JSON.stringify(row)}`,
    );
  } else {
    failures.push(`not ok ${name}: ${JSON.stringify(row)}`);
    console.log(failures.at(-1));
  }
}

await needPrograms(target);
const machine = await timed("root image", image(target));
using loaded = await timed("executable into the image", payload(target, machine));
const logs: string[] = [];
const initramfs = runs.some((run) => run.initramfs)
  ? await timed("initramfs", loaded.initramfs())
  : undefined;
const packages = runs.some((run) => run.packages)
  ? await timed("packages", loaded.packages())
  : undefined;
await inLanes(lanes, runs, async (run) => {
  const { name, kernel, append, disabled } = run;
  const log = join(cacheDir(), `boot-${arch}-${name.replaceAll(/\W+/g, "-")}.log`);
  logs.push(log);
  using root = await loaded.rootWithout(disabled);
  const started = {
    target,
    kernel: machine.kernel(kernel),
    initramfs: run.initramfs ? initramfs : undefined,
    root: root.path,
    suites: run.packages && packages ? packages : loaded.suites,
    accel,
    append,
    log,
    silence: SILENCE[arch],
    onSaid: onSaid(name, kernel),
  };
  const ended = await timed(name, boot(started));
  times.push([`processor time: ${name}`, ended.processor]);
  if (!ended.whole) {
    failures.push(`not ok ${name}: the machine did not come to its end`);
    console.log(failures.at(-1));
    console.log(ended.last.map((line) => `  | ${line}`).join("\n"));
  }
});
const listed = (rows: readonly [string, number][]) =>
  rows.map(([name, seconds]) => `${seconds.toFixed(5).padStart(11)} s  ${name}`).join("\n");
const table = listed(times);
const slowest = waits.toSorted(([, a], [, b]) => b - a).slice(0, SLOWEST);
console.log(`\nthe slowest checks:\n${listed(slowest)}`);
writeFileSync(join(cacheDir(), `timing-${arch}.txt`), `${table}\n`);
console.log(`\n${table}\n\nboot logs: ${logs.join(" ")}`);
if (WRITES && rows.length > 0)
  writeRows(rows, orderOfUnits([...committed, ...rows].map(({ place }) => place)), []);
for (const failure of failures) console.log(failure);
console.log(
  `${passed} passed, ${failures.length} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`,
);
process.exitCode = failures.length === 0 && passed > 0 ? 0 : 1;
