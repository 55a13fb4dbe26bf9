/** What runs in units of systemd, hardened in all ways: what is seen is said, and compared by the host with what is committed. */
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { release } from "node:os";
import { join } from "node:path";
import type { Problem } from "../../../src/config/problem.ts";
import { PROFILES } from "../../places/profiles.ts";
import { lasting, RUNS, SERVES, startOf, withoutName } from "../../places/said.ts";
import type { Row } from "../../places/seen.ts";
import { UNIT_USER, type Unit, UNITS } from "../../places/units.ts";
import type { User } from "../../served.ts";
import { check, say } from "./check.ts";

const SPAWNBOX = "/usr/bin/spawnbox";
const DIR = "/run/spawnbox-places";
/** As many as the machine has processors. */
const AT_ONCE = 2;

/** @param optional what cannot be had is left out, instead of stopping the start */
const config = (optional: boolean) => ({
  metadata: { uid: "c", api: "c" },
  sandboxes: PROFILES.map((profile) => ({
    ...{ uid: profile, profile, optional, acls: { user: "nobody" } },
    commands: [{ uid: "x", encoder: "sync", exec: { cmdpath: "/bin/echo", args: ["ok"] } }],
  })),
});

const isNew = !release().startsWith("5.");
/** What differs between kernels: what filters, capabilities and namespaces have to do with. */
const depends = ({ name, users }: Unit): boolean =>
  users.length > 1 || /Filter|Restrict|Capability|Kernel/.test(name);

/** @param suffix of the names of places, in another machine than the usual */
export async function placeChecks(
  only: (unit: Unit) => boolean = () => true,
  suffix = "",
): Promise<void> {
  mkdirSync(DIR, { recursive: true });
  for (const optional of [false, true])
    writeFileSync(join(DIR, `${optional}.json`), JSON.stringify(config(optional)));
  const jobs = UNITS.filter((unit) => only(unit) && (isNew || depends(unit)))
    .flatMap((unit) => unit.users.map((user) => [unit, user] as const))
    .values();
  const work = async () => {
    for (const [unit, user] of jobs)
      await check(
        `unit of ${user}: ${unit.name}${suffix}: check, start and calls say the same`,
        async () => {
          const row = await look(unit, user);
          say({ kind: "seen", row: { ...row, place: `${unit.name}${suffix}` } });
        },
      );
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  rmSync(DIR, { recursive: true });
}

let count = 0;

async function look(unit: Unit, user: User): Promise<Row> {
  const name = `place-${++count}`;
  const properties = [
    ...unit.properties,
    `RuntimeDirectory=${name}`,
    ...(user === "root" || unit.properties.includes("DynamicUser=yes")
      ? []
      : [`User=${UNIT_USER}`]),
  ];
  const socket = `/run/${name}/s`;
  const script = `echo @@ check; ${SPAWNBOX} check --json ${DIR}/false.json 2>&1
echo @@ serve; exec ${SPAWNBOX} serve --config ${DIR}/true.json --unix ${socket} 2>&1`;
  const child = Bun.spawn(
    [
      ...["systemd-run", "--quiet", "--wait", "--pipe", "--collect", `--unit=${name}`],
      ...properties.flatMap((property) => ["-p", property]),
      ...["/bin/sh", "-c", script],
    ],
    { stdio: ["ignore", "pipe", "pipe"] },
  );
  const errors = child.stderr.text();
  let output = "";
  const replies: Record<string, string> = {};
  const decoder = new TextDecoder();
  let called = false;
  for await (const chunk of child.stdout) {
    output += decoder.decode(chunk, { stream: true });
    if (called || !output.includes("serves on ")) continue;
    called = true;
    for (const profile of PROFILES) {
      const url = `http://localhost/api/c/${profile}/x`;
      const response = await fetch(url, {
        unix: socket,
        method: "POST",
        signal: AbortSignal.timeout(60_000),
      });
      replies[profile] = await response.text();
    }
    Bun.spawnSync(["systemctl", "kill", "--signal=TERM", `${name}.service`]);
  }
  await child.exited;
  const [, checked = "", served = ""] = /@@ check\n([^]*?)@@ serve\n([^]*)$/.exec(output) ?? [];
  if (checked === "") throw new Error(`nothing came of it: ${output}${await errors}`);
  const fail = (why: string): never => {
    throw new Error(
      `${why}: ${checked.replaceAll(/\s+/g, " ").slice(0, 300)} | ${served.slice(0, 300)}`,
    );
  };
  const isJson = checked.startsWith("{");
  const problems = isJson ? (JSON.parse(checked) as { problems: Problem[] }).problems : [];
  const general = isJson ? undefined : withoutName(checked);
  const cells = Object.fromEntries(
    PROFILES.map((profile, i) => {
      const told = problems
        .filter(({ path }) => path === "" || path.startsWith(`sandboxes[${i}]`))
        .map(({ message }) => lasting(message));
      if (general !== undefined) told.push(general);
      const reply = replies[profile];
      const launched = reply === undefined ? startOf(served, told) : answered(reply);
      if (told.length === 0)
        return [profile, launched === RUNS ? RUNS : fail(`${profile}: ${launched}`)];
      if (told.length > 1 || told[0] !== launched) fail(`${profile}: ${launched}`);
      return [profile, launched];
    }),
  ) as Row["cells"];
  const refused = Object.values(cells).some((text) => text !== RUNS);
  return { place: unit.name, user, cells, start: refused ? "" : SERVES };
}

/** What a reply says: of a command that ran, or why not. */
function answered(reply: string): string {
  if (reply.includes('"stdout":["ok"]')) return RUNS;
  const { request } = JSON.parse(reply) as { request?: { info?: string } };
  return lasting((request?.info ?? reply).replace(/^\S+ not started: /, ""));
}
