/** `npm run fuzz`: each target in a process of its own, for its part of the time. The last line counts targets. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { commandLine, UsageError } from "../../src/command-line/usage.ts";
import { targets } from "./targets.ts";

/** Milliseconds that one input may take. Far more than any does: a batch of launches on a busy machine takes some seconds. */
const HANG_MS = 150_000;

const help = `usage: npm run fuzz [-- OPTIONS]

  --seconds N  for all targets together (default 120)
  --seed S     the same seed makes the same inputs (default: by the clock)
  --first I    the number of the first input (default 0)
  --only NAME  one target: ${targets.map(({ name }) => name).join(", ")}
  -h, --help   this text`;

function parse(args: string[]) {
  const { values } = parseArgs({
    args,
    options: {
      seconds: { type: "string", default: "120" },
      seed: { type: "string", default: String(Date.now() % 2 ** 32) },
      only: { type: "string" },
      first: { type: "string", default: "0" },
      help: { type: "boolean", short: "h" },
    },
  });
  if (values.help) return undefined;
  for (const name of ["seconds", "seed", "first"] as const)
    if (!/^\d+$/.test(values[name])) throw new UsageError(`--${name}: expected a number`);
  const chosen = targets.filter(({ name }) => values.only === undefined || name === values.only);
  if (chosen.length === 0) throw new UsageError(`--only ${values.only}: there is no such target`);
  return { ...values, chosen };
}

const { chosen, ...values } = commandLine({ name: "npm run fuzz", help, parse });
const seconds = Number(values.seconds) / chosen.length;
const scratch = mkdtempSync(join(tmpdir(), "spawnbox-fuzz-"));
const progressFile = join(scratch, "progress");
const progress = (): number => Number(readFileSync(progressFile).readBigUInt64LE(0));

/** Whether the target held. */
async function fuzz(name: string): Promise<boolean> {
  writeFileSync(progressFile, Buffer.alloc(8));
  const worker = Bun.spawn(
    [
      process.execPath,
      join(import.meta.dir, "worker.ts"),
      name,
      values.seed,
      values.first,
      String(seconds),
      progressFile,
    ],
    { stdio: ["ignore", "inherit", "inherit"] },
  );
  let hangs = false;
  let seen = { input: -1, at: performance.now() };
  const watch = setInterval(() => {
    const input = progress();
    if (input !== seen.input) seen = { input, at: performance.now() };
    else if (performance.now() - seen.at > HANG_MS) {
      hangs = true;
      worker.kill("SIGKILL");
    }
  }, 500);
  await worker.exited;
  clearInterval(watch);
  const again = `npm run fuzz -- --only ${name} --seed ${values.seed} --first ${progress()}`;
  if (hangs) console.error(`${name}: hangs; again with: ${again}`);
  else if (worker.signalCode) console.error(`${name}: ${worker.signalCode}; again with: ${again}`);
  else if (worker.exitCode !== 0) console.error(`${name}: failed; again with: ${again}`);
  else console.log(`${name}: ${progress()} inputs`);
  return worker.exitCode === 0;
}

console.log(`fuzz: --seed ${values.seed}, ${values.seconds} s for ${chosen.length} target(s)`);
let passed = 0;
let failed = 0;
let skipped = 0;
try {
  for (const { name, missing } of chosen) {
    const absent = missing?.();
    if (absent === undefined) {
      if (await fuzz(name)) passed++;
      else failed++;
      continue;
    }
    console.error(`${name}: not fuzzed, this machine lacks ${absent}`);
    if (process.env["CI"]) failed++;
    else skipped++;
  }
} finally {
  rmSync(scratch, { recursive: true });
}
console.log(`\n${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`);
process.exit(failed > 0 || passed === 0 ? 1 : 0);
