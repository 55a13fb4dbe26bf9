/**
 * Dry launches: all that a launch does up to the exec, to know before the first request what this machine, this user and what is
 * around the server refuse. A sandbox that is refused is a problem, in the words that its launch would have; where it may be
 * missing (`optional`), a notice.
 */
import { isExhaustion } from "../errors.ts";
import type { Problem } from "../config/problem.ts";
import { cgroupKey } from "../plan/cgroup-key.ts";
import { alike } from "../plan/alike.ts";
import { type ApiPlan, launchable, type Plan, type SandboxPlan } from "../plan/plan.ts";
import type { TaskGroup } from "./cgroup.ts";
import { type Confinement, confinement } from "./confinement.ts";
import { namespacesOff } from "./namespace-hints.ts";
import { LaunchedTask } from "./launched.ts";
import { keptLimits, lowerLimits } from "./lower-limits.ts";
import { LaunchError } from "./task.ts";

/** Tried before anything is served: of a thousand different sandboxes, the others would keep the first requests waiting. */
export const MOST_TRIED = 64;
/** At a time: they wait for the kernel and for the event loop by turns. */
const AT_ONCE = 4;
/** ms. A file system that does not answer must not keep the others from being served. */
const PATIENCE = 5_000;

export interface Tried {
  /** Without the commands that may be missing, and are; those that lack none are the same objects. */
  readonly apis: readonly ApiPlan[];
  readonly problems: readonly Problem[];
  readonly notices: readonly Problem[];
}

/** What stands against a plan. */
interface Finding {
  readonly message: string;
  /** It may be otherwise at a request, or depends on what comes later. */
  readonly passing: boolean;
}

export interface Trial {
  /** Of different sandboxes; a notice says so where there are more. */
  readonly most?: number;
  /** Others are not tried. */
  readonly isReady?: (plan: Plan) => boolean;
}

/** @param begin makes the group of a launch: see CgroupRoot */
export async function tryApis(
  apis: readonly ApiPlan[],
  begin: (key: string) => TaskGroup | undefined,
  { most = Infinity, isReady = () => true }: Trial = {},
): Promise<Tried> {
  const different = distinct(apis).filter(isReady);
  const trying = tryAll(different.slice(0, most), begin);
  // The kernel has the first of them in hand meanwhile.
  const problems: Problem[] = [];
  const notices: Problem[] = undercut(apis);
  if (different.length > most)
    notices.push({
      file: "",
      path: "",
      message: `only ${most} of ${different.length} different sandboxes were tried at the start: check tries all`,
    });
  const findings = await trying;
  const left = apis.map((api) => {
    const sandboxes = api.sandboxes.map((sandbox, i) => {
      const place = { file: api.file, path: `sandboxes[${i}]` };
      const against = new Map<Plan, Finding>();
      for (const plan of launchable(sandbox)) {
        const finding = findings.get(alike(plan.ops));
        if (finding) against.set(plan, finding);
      }
      for (const { message, passing, plans, whole } of grouped(against, sandbox)) {
        const who = whole ? "" : `${plans.map(({ command }) => command).join(", ")}: `;
        const must = plans.filter(({ optional }) => !optional);
        if (passing) notices.push({ ...place, message: `${who}${message}` });
        else if (must.length > 0) problems.push({ ...place, message: `${who}${message}` });
        else notices.push({ ...place, message: `${who}not available: ${message}` });
      }
      return without(sandbox, against);
    });
    const isSame = sandboxes.every((sandbox, i) => sandbox === api.sandboxes[i]);
    return isSame ? api : { ...api, sandboxes };
  });
  return { apis: left, problems, notices };
}

/** One plan of those that are {@link alike}: first one of each sandbox, as those of a sandbox differ in limits at most. */
function distinct(apis: readonly ApiPlan[]): Plan[] {
  const sandboxes = apis.flatMap((api) => api.sandboxes.map(launchable));
  const ordered = [...sandboxes.flatMap((plans) => plans.slice(0, 1)), ...sandboxes.flat()];
  const plans = new Map<string, Plan>();
  for (const plan of ordered) {
    const key = alike(plan.ops);
    if (!plans.has(key)) plans.set(key, plan);
  }
  return [...plans.values()];
}

async function tryAll(
  plans: readonly Plan[],
  begin: (key: string) => TaskGroup | undefined,
): Promise<Map<string, Finding>> {
  const found = new Map<string, Finding>();
  const waiting = plans.values();
  const work = async () => {
    for (const plan of waiting) {
      const finding = await tryOne(plan, begin);
      if (finding) found.set(alike(plan.ops), finding);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  return found;
}

async function tryOne(
  plan: Plan,
  begin: (key: string) => TaskGroup | undefined,
): Promise<Finding | undefined> {
  let task: LaunchedTask | undefined;
  const ignore = () => {};
  try {
    task = LaunchedTask.launch(
      plan,
      { argv: [], env: plan.env },
      { stdout: ignore, stderr: ignore },
      begin(cgroupKey(plan)),
    );
    // Its end, and that of its group, takes as long again, and tells nothing more.
    return await inTime(task);
  } catch (error) {
    if (!(error instanceof LaunchError)) throw error;
    await task?.ended;
    return { message: error.message, passing: isPassing(error) };
  }
}

/** Nothing where it starts. One that is late is ended, which is not waited for: what hangs in the kernel may not even die. */
async function inTime(task: LaunchedTask): Promise<Finding | undefined> {
  const late = Promise.withResolvers<Finding>();
  const patience = setTimeout(() => {
    task.kill();
    const message = `a trial of it has not come to its end within ${PATIENCE / 1000} s: a file system does not answer, or the machine is overloaded`;
    late.resolve({ message, passing: true });
  }, PATIENCE);
  const started = task.started.then(() => undefined);
  return Promise.race([started, late.promise]).finally(() => clearTimeout(patience));
}

/** What is made by others after the start, a network namespace or a loaded policy; and what is only used up now. */
function isPassing({ step, errno }: LaunchError): boolean {
  if (errno === "ENOSPC" && namespacesOff(confinement()) !== undefined) return false;
  if (isExhaustion(errno)) return true;
  return (step === "join net" || step === "label") && errno === "ENOENT";
}

/** Those of a sandbox against which the same is said. */
function grouped(against: ReadonlyMap<Plan, Finding>, sandbox: SandboxPlan) {
  const all = launchable(sandbox).length;
  const messages = Map.groupBy(against, ([, { message }]) => message);
  return [...messages].map(([message, entries]) => ({
    message,
    passing: entries.every(([, finding]) => finding.passing),
    plans: entries.map(([plan]) => plan),
    whole: entries.length === all,
  }));
}

/** Without the sandboxes whose groups cannot be made, and which may be missing. @param missing why, by `cgroupKey` */
export function withoutGroups(
  apis: readonly ApiPlan[],
  missing: ReadonlyMap<string, string>,
): Pick<Tried, "apis" | "notices"> {
  const notices: Problem[] = [];
  const left = apis.map((api) => {
    const sandboxes = api.sandboxes.map((sandbox, i) => {
      const message = missing.get(cgroupKey({ api: api.api, sandbox: sandbox.uid }));
      if (message === undefined) return sandbox;
      const path = `sandboxes[${i}]`;
      notices.push({ file: api.file, path, message: `not available: ${message}` });
      const finding = { message, passing: false };
      return without(sandbox, new Map(launchable(sandbox).map((plan) => [plan, finding])));
    });
    return { ...api, sandboxes };
  });
  return { apis: missing.size > 0 ? left : apis, notices };
}

/** The sandbox without what may be missing, and is. */
function without(sandbox: SandboxPlan, against: ReadonlyMap<Plan, Finding>): SandboxPlan {
  const missing = (plan: Plan): boolean =>
    plan.optional === true && against.get(plan)?.passing === false;
  const gone = sandbox.plans.filter(missing);
  if (gone.length === 0 && !(sandbox.exec && missing(sandbox.exec))) return sandbox;
  const { exec, ...rest } = sandbox;
  return {
    ...rest,
    ...(exec && !missing(exec) && { exec }),
    plans: sandbox.plans.filter((plan) => !missing(plan)),
    unavailable: [
      ...(sandbox.unavailable ?? []),
      ...gone.map((plan) => ({
        ...{ verb: plan.verb, command: plan.command, privileges: plan.privileges },
        ...(plan.info !== undefined && { info: plan.info }),
        reason: against.get(plan)?.message ?? "",
      })),
    ],
  };
}

/** Limits that the server's own undercut, or what it keeps of it: these hold. */
function undercut(apis: readonly ApiPlan[]): Problem[] {
  let read: Confinement | undefined;
  // Most configs have none, and need not wait for this.
  const here = () => (read ??= confinement());
  return apis.flatMap(({ file, sandboxes }) =>
    sandboxes.flatMap((sandbox, i) =>
      lowered(sandbox, here).map((message) => ({ file, path: `sandboxes[${i}]`, message })),
    ),
  );
}

function lowered(sandbox: SandboxPlan, here: () => Confinement): string[] {
  const said = launchable(sandbox).flatMap(({ policy: { rlimits, profileLimits = [] } }) => {
    const wanted = rlimits.filter(([resource]) => profileLimits.includes(resource));
    const undercut = wanted.length > 0 ? lowerLimits(wanted, here()) : [];
    return [...undercut, ...keptLimits(rlimits, here)];
  });
  return [...new Set(said)].map((words) => `the lower limit holds: ${words}`);
}
