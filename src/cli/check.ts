/** `spawnbox check`: every problem of the configs, without running anything of them. */
import { type Problem, problemLine } from "../config/problem.ts";
import { lookingOnly, thisMachine } from "../plan/machine.ts";
import type { ApiPlan, Plan } from "../plan/plan.ts";
import { ACCESS, accessOptions, load } from "../serve/access.ts";
import { AUDIT, auditOptions, unaudited } from "../serve/auditing.ts";
import { FLEET, fleetOptions } from "../serve/fleet.ts";
import { HISTORY, historyOptions } from "../serve/keeping.ts";
import { lookAt, type Named } from "../serve/looking.ts";
import { TLS, transportOptions } from "../serve/transport.ts";
import { SOURCE, type Source, sourceOf } from "../command-line/config-option.ts";
import { examine } from "../command-line/examine.ts";
import type { Manual } from "../manual/manual.ts";
import { readWithOperands } from "../manual/options.ts";
import { importWords } from "../plan/explain.ts";
import { requireReadable } from "../rpc/tls.ts";
import { visible } from "../visible.ts";
import { UsageError, withOptions } from "../command-line/usage.ts";

const OPTIONS = {
  ...SOURCE,
  ...ACCESS,
  ...AUDIT,
  ...HISTORY,
  fleet: { ...FLEET.fleet, text: "the fleet file of serve --fleet, with its certificates" },
  "tls-cert": TLS["tls-cert"],
  "tls-key": TLS["tls-key"],
  "tls-client-ca": TLS["tls-client-ca"],
  "no-try": { text: "only load and compile: on another machine than the server's" },
  json: { text: '{"ok", "problems": [{"file", "path", "message"}], "notices": [the same]}' },
} as const;

export const manual: Manual = {
  name: "spawnbox check",
  synopsis: ["[OPTIONS] PATH[:PATH...]", "[OPTIONS] --plan FILE"],
  about: `Loads the configs as a start would and prints every problem as "file: path: message".
A directory stands for every spawn-*.json in it. PATH may stand behind --config too, as for serve; without any,
AFB_SPAWN_CONFIG is used. Each different sandbox is made once, up to where its command would begin: run it as the user of
the server, where that will run, in a unit or container like its own. What --audit, --history,
--tls-cert and --fleet name is looked at, as a start with them would, and not made.`,
  options: OPTIONS,
  exit: "0 no problem, 1 problems, 2 wrong usage.",
  operands: { path: "file" },
};

export interface CheckResult {
  readonly exitCode: 0 | 1;
  /** What to print on standard output. */
  readonly output: string;
}

/** Exit code: 0 no problem, 1 problems, 2 wrong usage. */
export const run = (argv: string[]): Promise<number> =>
  withOptions(manual, parse, argv, async ({ source, ...options }) => {
    const { exitCode, output } = await check(source, options);
    console.log(output);
    return exitCode;
  });

interface Options {
  readonly json: boolean;
  readonly access?: string | undefined;
  /** A permission service is asked besides. */
  readonly asks?: boolean;
  /** Default true. */
  readonly trial?: boolean;
  /** What the server is to be given besides. */
  readonly named?: Named;
}

function parse(argv: string[]): (Options & { source: Source }) | undefined {
  const read = readWithOperands(OPTIONS, argv);
  if (!read) return undefined;
  const { values, positionals } = read;
  if (values.config !== undefined && positionals.length > 0)
    throw new UsageError("give the configs either behind --config or without, not both");
  const source = sourceOf(values.config ?? positionals.join(":"), values.plan);
  if (!source) throw new UsageError("no config file named");
  const { json } = values;
  const { access, cynagora } = accessOptions(values, process.env);
  const { tls } = transportOptions({ ...values, insecure: false, "trust-proxy": [] });
  const fleet = fleetOptions(values);
  const named = { audit: auditOptions(values), history: historyOptions(values), tls, fleet };
  return { source, json, access, asks: cynagora !== undefined, trial: !values["no-try"], named };
}

/** Loads what `source` names (a string: configs), and compiles and tries it, as `serve` would on this machine and as this user. */
export async function check(
  from: Source | string,
  { json, access, asks, trial = true, named }: Options,
): Promise<CheckResult> {
  const source: Source = typeof from === "string" ? { kind: "config", path: from } : from;
  const examined = await examine(
    () => load([source], access, lookingOnly(thisMachine()), asks),
    trial,
  );
  const { apis } = examined;
  // On another machine than the server's its files are not there.
  const seen = named && trial ? await lookAt(named) : undefined;
  const notices = [
    ...examined.notices,
    ...(named?.audit ? [] : unaudited(apis)),
    ...(seen?.notices ?? []),
  ];
  const problems = [
    ...examined.problems,
    ...(trial ? fileProblems(apis) : []),
    ...(seen?.problems ?? []),
  ];
  const ok = problems.length === 0;
  const exitCode = ok ? 0 : 1;
  if (json) return { exitCode, output: JSON.stringify({ ok, problems, notices }, null, 2) };
  const lines = [
    ...problems.map(problemLine),
    ...notices.map((notice) => `notice: ${problemLine(notice)}`),
    ...(ok ? summary(apis) : []),
  ];
  return { exitCode, output: lines.join("\n") };
}

/** What imports by TLS need. */
const fileProblems = (apis: readonly ApiPlan[]): Problem[] =>
  apis.flatMap(({ file, imports = [] }) =>
    imports.flatMap(({ address }, i) => {
      try {
        if (address.kind === "tcp") requireReadable(address.tls);
        return [];
      } catch (error) {
        const message = error instanceof Error ? error.message : String(error);
        return [{ file, path: `imports[${i}].uri`, message }];
      }
    }),
  );

function summary(apis: readonly ApiPlan[]): string[] {
  const verbs = apis.flatMap(({ api, sandboxes, actions }) => [
    ...sandboxes.flatMap(({ plans }) =>
      plans.map((plan) => `${api}/${plan.verb}${argumentsOf(plan)}`),
    ),
    ...(actions?.extra ?? []).map(({ uid }) => `${api}/${uid}`),
  ]);
  const count = (n: number, what: string) => `${n} ${what}${n === 1 ? "" : "s"}`;
  const head = `OK: ${count(apis.length, "API")}, ${count(verbs.length, "verb")}`;
  const imports = apis.flatMap(({ imports: all = [] }) => all.map(importWords));
  return [head, ...[...verbs, ...new Set(imports)].map((line) => visible(`  ${line}`))];
}

/** Such as ` %name% ?level?`: as the command line has them, so that what was not meant to be one is seen. */
function argumentsOf({ argv }: Plan): string {
  const marks = argv.elements.flat().flatMap((piece) => {
    if (piece.kind !== "value") return [];
    return [piece.required ? `%${piece.name}%` : `?${piece.name}?`];
  });
  return [...new Set(marks)].map((mark) => ` ${mark}`).join("");
}
