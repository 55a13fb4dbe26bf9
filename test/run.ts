/**
 * `npm test`: type check, format check, build, then every suite; the last line counts. Fails when anything failed, or when
 * nothing ran.
 */
import {
  chmodSync,
  closeSync,
  existsSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { canMake, type Lane, MACHINE, makeLane } from "./lane.ts";
import { type Job, jobs, type Kind, writeSeconds } from "./suites.ts";

const root = join(import.meta.dir, "..");
const bun = process.execPath;

type Step = readonly [title: string, ...command: string[]];

/** The next needs what the one before has made; one line beside the other. */
const STEPS: readonly (readonly Step[])[] = [
  [
    ["launcher", bun, "ffi/launcher/build.ts"],
    ["executable", bun, "src/make/build.ts"],
  ],
  [["types", bun, "check", "--no-script"]],
  [
    ["types of the console", bun, "check", "--no-script", "-p", "src/console"],
    ["format", bun, "fmt", "--check"],
    ["house", bun, "test/house.ts"],
  ],
];

/** Runs one step, and tells all of it at its end; returns whether it succeeded. */
async function step([title, ...command]: Step): Promise<boolean> {
  const running = Bun.spawn(command, { cwd: root, stdio: ["ignore", "pipe", "pipe"] });
  const said = await Promise.all([running.stdout.text(), running.stderr.text()]);
  const ok = (await running.exited) === 0;
  console.log(`\n── ${title}\n${said.join("").trim()}`);
  if (!ok) console.error(`${title}: failed`);
  return ok;
}

/** @returns of each whether it succeeded */
async function steps(): Promise<boolean[]> {
  const lines = STEPS.map(async (line) => {
    const done: boolean[] = [];
    for (const each of line) done.push(await step(each));
    return done;
  });
  return (await Promise.all(lines)).flat();
}

interface Report {
  readonly ok: boolean;
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
  /** Seconds by file. */
  readonly times: readonly (readonly [file: string, seconds: number])[];
}

let runs = 0;

/** Ms of a job, several times what the longest takes: what waits for itself in a system call no limit of a test ends. */
const LONGEST = 15 * 60_000;

/** Runs suites to their end; what fails in them is told then. */
async function suites(files: readonly string[], { enter, env }: Lane): Promise<Report> {
  const base = join(scratch, `run-${runs++}`);
  const [report, said] = [`${base}.xml`, `${base}.txt`];
  const how = ["--timeout", "30000", "--only-failures", "--reporter=junit"];
  const command = [bun, "test", ...how, `--reporter-outfile=${report}`, ...files];
  const output = openSync(said, "w");
  const running = Bun.spawn([...enter, ...command], {
    cwd: root,
    env: { ...process.env, ...env },
    stdio: ["ignore", output, output],
    ...{ timeout: LONGEST, killSignal: "SIGKILL" },
  });
  closeSync(output);
  const ok = (await running.exited) === 0;
  const text = readFileSync(said, "utf8").replace(/^bun test v.*\n/, "");
  // Its own counts are counted below.
  const told = (ok ? text.replace(/\n *\d+ pass\n[^]*$/, "") : text).trim();
  if (told !== "") console.log(told);
  const late = running.signalCode === "SIGKILL" ? `, perhaps after ${LONGEST / 60_000} min` : "";
  if (!ok) console.error(`failed, or ended before its end${late}: ${files.join(" ")}`);
  // There is none of one that has died.
  const xml = existsSync(report) ? readFileSync(report, "utf8") : "";
  const head = /<testsuites\b[^>]*>/.exec(xml)?.[0] ?? "";
  /** Over the top-level suites, which are files. */
  const total = (attribute: string) =>
    Number(new RegExp(`\\b${attribute}="(\\d+)"`).exec(head)?.[1] ?? 0);
  const [failures, skipped] = [total("failures"), total("skipped")];
  const suite = /^ {2}<testsuite name="([^"]*)".* time="([\d.]+)"/gm;
  return {
    ok,
    passed: total("tests") - failures - skipped,
    // One that ends before it reports has failed, too.
    failed: ok ? failures : Math.max(failures, 1),
    skipped,
    times: [...xml.matchAll(suite)].map(([, file = "", seconds]) => [file, Number(seconds)]),
  };
}

/** What runs one job after the other, of these kinds. */
interface Worker {
  readonly kinds: readonly Kind[];
  readonly lane: Lane;
}

/** At most, since suites fill memory too. */
const MOST = 6;

/** More than there are processors, since suites wait too: four, and in CI, which has time, one. */
const MORE = process.env["CI"] === undefined ? 4 : 1;

/** Where there are no lanes, what serves is the first's. */
function workers(): Worker[] {
  const count = Math.min(availableParallelism() + MORE, MOST);
  const lanes = Array.from({ length: count }, (_, i) => makeLane(i + 1, scratch));
  const [first, ...more] = lanes;
  if (!first || !canMake(first)) {
    for (const lane of lanes) lane.remove();
    return [
      { kinds: ["machine", "serves"], lane: MACHINE },
      { kinds: ["beside"], lane: MACHINE },
    ];
  }
  return [
    { kinds: ["machine", "serves", "beside"], lane: first },
    ...more.map((lane): Worker => ({ kinds: ["serves", "beside"], lane })),
  ];
}

/** Waits for a file, or for the end of what would make it. */
async function appears(file: string, running: Promise<unknown>): Promise<void> {
  let over = false;
  void running.finally(() => (over = true));
  while (!over && !existsSync(file)) await Bun.sleep(50);
}

/** Runs all jobs: those that measure before the others. */
async function inTurn(jobs: readonly Job[]): Promise<Report[]> {
  const reports: Report[] = [];
  const left = new Set(jobs);
  const work = async ({ kinds, lane }: Worker) => {
    const mine = () => [...left].filter(({ kind }) => kinds.includes(kind));
    // What nobody else may run comes first; then the longest, so that none is alone at the end.
    const next = () => mine().find(({ kind }) => kind === "machine") ?? mine().at(0);
    for (let job = next(); job; job = next()) {
      left.delete(job);
      reports.push(
        await suites(
          job.files.map((file) => `./${file}`),
          job.kind === "serves" ? lane : MACHINE,
        ),
      );
    }
  };
  /** What is measured needs the machine; not what a suite does after that, unless others would meet it on the machine itself. */
  const measuring: Promise<unknown>[] = [];
  for (const job of jobs.filter(({ kind }) => kind === "measures")) {
    left.delete(job);
    const measured = join(scratch, `measured-${measuring.length}`);
    const running = suites(
      job.files.map((file) => `./${file}`),
      { ...MACHINE, env: { SPAWNBOX_TEST_MEASURED: measured } },
    ).then((report) => reports.push(report));
    measuring.push(running);
    await appears(measured, running);
  }
  const all = workers();
  await Promise.all(
    all.map(async (worker) => {
      if (worker.kinds.includes("machine")) await Promise.all(measuring);
      await work(worker);
    }),
  );
  for (const { lane } of all) lane.remove();
  return reports;
}

/** See sched(7): what its processes take of the processors together, before other sessions; `nice` of "/autogroup-N nice M". */
const AUTOGROUP = "/proc/self/autogroup";
/**
 * Three times the weight of another session, and no more. Who buries a process turns in the kernel for as long as somebody else is
 * letting go of its entries in /proc (`shrink_dcache_parent`; newer kernels sleep). Commands have sessions of their own, and of tests
 * that weigh thirty times as much they do not come to let go: all processors turned for up to 20 s.
 */
const PREFERRED = -5;

/**
 * Attacks make sessions of their own, to each of which the kernel gives as much of the processors as to the one of all tests: fifty of
 * them leave little to what is to end them, and to what runs beside. @returns puts it back
 */
function prefer(): () => void {
  try {
    const before = /nice (-?\d+)/.exec(readFileSync(AUTOGROUP, "utf8"))?.[1] ?? "0";
    writeFileSync(AUTOGROUP, String(PREFERRED));
    return () => writeFileSync(AUTOGROUP, before);
  } catch {
    // The kernel has none, or this user may not.
    return () => {};
  }
}

const SLOWEST = 15;
const forget = prefer();
const scratch = mkdtempSync(join(tmpdir(), "spawnbox-test-"));
chmodSync(scratch, 0o755);
let failed = 0;
let passed = 0;
let skipped = 0;
try {
  for (const ok of await steps()) {
    if (ok) passed++;
    else failed++;
  }
  console.log("\n── suites");
  const only = process.argv.slice(2);
  const reports = only.length > 0 ? [await suites(only, MACHINE)] : await inTurn(jobs());
  for (const report of reports) {
    passed += report.passed;
    failed += report.failed;
    skipped += report.skipped;
  }
  const times = reports.flatMap((report) => report.times).toSorted(([, a], [, b]) => b - a);
  console.log("\nthe slowest files:");
  for (const [file, seconds] of times.slice(0, SLOWEST))
    console.log(`${seconds.toFixed(1).padStart(7)} s  ${file}`);
  if (only.length === 0 && process.env["SPAWNBOX_SECONDS_WRITE"] === "1") writeSeconds(times);
} finally {
  rmSync(scratch, { recursive: true });
  forget();
}
console.log(`\n${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`);
process.exit(failed > 0 || passed === 0 ? 1 : 0);
