/** The suites of test/sandbox, with the executable of this machine as their Bun. */
import { existsSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { check, say } from "./check.ts";

const TREE = "/usr/lib/spawnbox-test/tree";
const DISK = "/dev/nvme1n1";
const REPORT = "/run/suites.xml";

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
    await check(`the suite ${suite} comes to its end`, () => runSuite(suite));
    say({ kind: "time", name: `suite ${suite}`, seconds: (performance.now() - begin) / 1000 });
  }
}

function must(...command: string[]): void {
  const { exitCode, stderr } = Bun.spawnSync(command);
  if (exitCode !== 0) throw new Error(`${command.join(" ")}: ${stderr}`);
}

function runSuite(suite: string): void {
  const { stderr, exitCode } = Bun.spawnSync(
    [
      ...["/usr/bin/spawnbox", "test", `./test/sandbox/${suite}.test.ts`],
      ...["--timeout", "600000", "--reporter=junit", `--reporter-outfile=${REPORT}`],
    ],
    {
      cwd: TREE,
      env: { ...process.env, BUN_BE_BUN: "1", SPAWNBOX_TEST_PATIENCE: "15" },
      stdio: ["ignore", "ignore", "pipe"],
    },
  );
  const output = stderr.toString();
  if (!existsSync(REPORT)) throw new Error(`exit code ${exitCode}: ${output.slice(-600)}`);
  const cases = [
    ...readFileSync(REPORT, "utf8").matchAll(/<testcase name="([^"]*)" [^>]*?(\/>|>\s*<(\w+))/g),
  ];
  rmSync(REPORT);
  let failures = 0;
  for (const [, text = "", , inner] of cases) {
    const name = `${suite}: ${text.replaceAll("&gt;", ">").replaceAll("&apos;", "'")}`;
    if (inner === "skipped") continue;
    if (inner === undefined) say({ kind: "ok", name });
    else say({ kind: "not ok", name, why: "see the output of the suite" });
    if (inner !== undefined) failures++;
  }
  if (failures > 0 || exitCode !== 0) console.log(output);
  if (cases.length === 0 || (exitCode !== 0 && failures === 0))
    throw new Error(`exit code ${exitCode}: ${output.slice(-600)}`);
}
