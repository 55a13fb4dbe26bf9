/**
 * `npm test`: type check, format check, build, then every suite; the last line counts. Fails when anything failed, or when
 * nothing ran.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const root = join(import.meta.dir, "..");
const bun = process.execPath;

/** Runs one step with its output on ours; returns whether it succeeded. */
function step(title: string, ...command: string[]): boolean {
  console.log(`\n── ${title}`);
  const done = Bun.spawnSync(command, { cwd: root, stdio: ["ignore", "inherit", "inherit"] });
  if (!done.success) console.error(`${title}: failed`);
  return done.success;
}

/**
 * What runs beside everything else, in a process of its own, as it mostly waits: suites that run nothing as another user, so that
 * what others do to all processes of a user, or count of them, does not concern them.
 */
const BESIDE = /^test\/(api|config|encoders|plan|plugins|server)\//;
/** But not what serves for real, which it does as several users. */
const APART = /^import \{[^}]*\b(serve|users)\b[^}]*\} from "\.\.\/served\.ts"/m;

/**
 * What launches within the process of the tests, as `check` does. From then on orphans come to that process (launch/orphans.ts),
 * where nobody reaps them: after hundreds of killed servers no key would be left for their user. So it is a process of its own,
 * before the others.
 */
const WITHIN = /^test\/(launch\/|compat\/|cli\/(check|several)\.|sandbox\/attack-identity\.)/;

/** What looks at the memory of its own process: with a process for each, in which nothing else has left any. */
const WEIGHS = /process\.memoryUsage/;

/** Files of tests, by the process they run in. */
function groups(): { first: string[][]; then: string[][] } {
  const files = [...new Bun.Glob("test/**/*.test.ts").scanSync({ cwd: root })].toSorted();
  const groupOf = (file: string) => {
    if (WITHIN.test(file)) return "within";
    const text = readFileSync(join(root, file), "utf8");
    if (WEIGHS.test(text)) return "weighs";
    const isBeside = BESIDE.test(file) && !APART.test(text);
    return isBeside ? "beside" : "alone";
  };
  const { within = [], weighs = [], beside = [], alone = [] } = Object.groupBy(files, groupOf);
  const exactly = (group: string[]) => group.map((file) => `./${file}`);
  return {
    first: [...weighs.map((file) => exactly([file])), exactly(within)],
    then: [exactly(alone), exactly(beside)],
  };
}

interface Report {
  readonly ok: boolean;
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
  /** Seconds by file. */
  readonly times: readonly (readonly [file: string, seconds: number])[];
}

/** Runs suites to their end; only what fails is told. */
async function suites(files: readonly string[], report: string): Promise<Report> {
  const how = ["--timeout", "30000", "--only-failures", "--reporter=junit"];
  const command = [bun, "test", ...how, `--reporter-outfile=${report}`, ...files];
  const ok =
    (await Bun.spawn(command, { cwd: root, stdio: ["ignore", "inherit", "inherit"] }).exited) === 0;
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

const SLOWEST = 15;
const scratch = mkdtempSync(join(tmpdir(), "spawnbox-test-"));
let failed = 0;
let passed = 0;
let skipped = 0;
try {
  const steps: [string, ...string[]][] = [
    ["launcher", bun, "ffi/launcher/build.ts"],
    ["types", bun, "check"],
    ["format", bun, "fmt", "--check"],
    ["house", bun, "test/house.ts"],
    ["executable", bun, "src/make/build.ts"],
  ];
  for (const [title, ...command] of steps) {
    if (step(title, ...command)) passed++;
    else failed++;
  }
  console.log("\n── suites");
  const only = process.argv.slice(2);
  const report = (name: string) => join(scratch, `${name}.xml`);
  const { first, then } = only.length > 0 ? { first: [only], then: [] } : groups();
  const reports: Report[] = [];
  for (const [i, files] of first.entries()) reports.push(await suites(files, report(`first-${i}`)));
  const beside = then.map((files, i) => suites(files, report(`${i}`)));
  reports.push(...(await Promise.all(beside)));
  for (const report of reports) {
    passed += report.passed;
    failed += report.failed;
    skipped += report.skipped;
  }
  const times = reports.flatMap((report) => report.times).toSorted(([, a], [, b]) => b - a);
  console.log("\nthe slowest files:");
  for (const [file, seconds] of times.slice(0, SLOWEST))
    console.log(`${seconds.toFixed(1).padStart(7)} s  ${file}`);
} finally {
  rmSync(scratch, { recursive: true });
}
console.log(`\n${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`);
process.exit(failed > 0 || passed === 0 ? 1 : 0);
