/**
 * `npm test`: type check, format check, build, then every suite; the last line counts. Fails when anything failed, or when
 * nothing ran.
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
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

/** Sums an attribute over the top-level suites of a JUnit report. */
function total(report: string, attribute: string): number {
  const head = /<testsuites\b[^>]*>/.exec(report)?.[0] ?? "";
  return Number(new RegExp(`\\b${attribute}="(\\d+)"`).exec(head)?.[1] ?? 0);
}

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
  const report = join(scratch, "junit.xml");
  const only = process.argv.slice(2);
  const ok = step(
    "suites",
    bun,
    "test",
    "--timeout",
    "30000",
    "--only-failures",
    "--reporter=junit",
    `--reporter-outfile=${report}`,
    ...only,
  );
  const xml = readFileSync(report, "utf8");
  const failures = total(xml, "failures");
  skipped = total(xml, "skipped");
  passed += total(xml, "tests") - failures - skipped;
  failed += failures;
  if (!ok && failures === 0) failed++;
} finally {
  rmSync(scratch, { recursive: true });
}
console.log(`\n${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`);
process.exit(failed > 0 || passed === 0 ? 1 : 0);
