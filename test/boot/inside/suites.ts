/** The suites of test/sandbox, with the executable of this machine as their Bun. */
import { mkdirSync } from "node:fs";
import { failuresIn } from "../../failures.ts";
import { check, say } from "./check.ts";

const TREE = "/usr/lib/spawnbox-test/tree";
const DISK = "/dev/nvme1n1";

/** ms; its tests have limits of their own. */
const LIMIT = 7_200_000;

/** What depends on the kernel most. */
const SUITES = ["contract", "ends", "features", "submounts", "attack-identity"];
/** What else ends within half an hour in an emulated machine. Floods and endurance do not. */
const MORE = [
  "told",
  "pool",
  "pool-surroundings",
  "launcher",
  "abi",
  "attack-descriptors",
  "attack-files",
  "attack-isolation",
  "attack-privileges",
  "attack-processes",
  "attack-swaps",
  "attack-syscalls",
];

/** @param wanted "some", "all" or names with commas between them. */
export async function suiteChecks(wanted: string): Promise<void> {
  await check("the disk of the suites", () => {
    mkdirSync(TREE);
    must("mount", DISK, TREE);
    must("ln", "-s", "/usr/bin/spawnbox", `${TREE}/dist/spawnbox`);
  });
  const named = { some: SUITES, all: [...SUITES, ...MORE] }[wanted] ?? wanted.split(",");
  for (const suite of named) {
    const begin = performance.now();
    await check(`the suite ${suite} comes to its end`, () => runSuite(suite), LIMIT);
    say({ kind: "time", name: `suite ${suite}`, seconds: (performance.now() - begin) / 1000 });
  }
}

function must(...command: string[]): void {
  const { exitCode, stderr } = Bun.spawnSync(command);
  if (exitCode !== 0) throw new Error(`${command.join(" ")}: ${stderr}`);
}

/** The host has only lines of checks; all of it is in the log of the boot. */
const reasonOf = (output: string, test: string): string =>
  failuresIn(output)
    .findLast(({ name }) => name.startsWith(`(fail) ${test}`))
    ?.reason.join(" ") ?? "see the output of the suite";

/** Each test is said when it ends: a suite may take longer than a machine may be silent. */
async function runSuite(suite: string): Promise<void> {
  const child = Bun.spawn(
    ["/usr/bin/spawnbox", "test", `./test/sandbox/${suite}.test.ts`, "--timeout", "600000"],
    {
      cwd: TREE,
      env: { ...process.env, BUN_BE_BUN: "1", SPAWNBOX_TEST_PATIENCE: "15" },
      stdio: ["ignore", "ignore", "pipe"],
    },
  );
  const decoder = new TextDecoder();
  let output = "";
  let told = 0;
  let [passed, failed] = [0, 0];
  for await (const chunk of child.stderr) {
    output += decoder.decode(chunk, { stream: true });
    // At the end all that failed are listed once more.
    const summary = output.search(/^\d+ tests? failed:$/m);
    const end = summary < 0 ? output.lastIndexOf("\n") + 1 : summary;
    const lines = output.slice(told, end);
    told = Math.max(told, end);
    for (const [, how, text] of lines.matchAll(/^\((pass|fail)\) (.*?)(?: \[[\d.]+m?s\])?$/gm)) {
      const name = `${suite}: ${text}`;
      if (how === "pass") say({ kind: "ok", name });
      else say({ kind: "not ok", name, why: reasonOf(output, text ?? "") });
      if (how === "pass") passed++;
      else failed++;
    }
  }
  const exitCode = await child.exited;
  if (failed > 0 || exitCode !== 0) console.log(output);
  if (passed === 0 || (exitCode !== 0 && failed === 0))
    throw new Error(`exit code ${exitCode}: ${output.slice(-600)}`);
}
