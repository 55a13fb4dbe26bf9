/**
 * What a page costs, as the browser itself notes it: the processor time of the thread that runs scripts and draws. Other than what a
 * clock tells, that is about the same on a busy machine.
 */
interface Noted {
  readonly name: string;
  readonly ph: string;
  readonly pid: number;
  readonly tid: number;
  /** µs */
  readonly ts: number;
  /** µs, by the clock and of the processor. */
  readonly dur?: number;
  readonly tdur?: number;
}

/** A task of the thread: nothing is drawn, nor a key heard, before it is over. */
export interface Task {
  /** ms of the processor. */
  readonly cpu: number;
  /** ms by the clock: with what others had of the processor meanwhile. */
  readonly clock: number;
  /** What it consists of. */
  readonly names: readonly string[];
}

export async function traced(
  view: Bun.WebView,
  act: () => Promise<void>,
): Promise<readonly Task[]> {
  const noted: Noted[] = [];
  const over = Promise.withResolvers<void>();
  const collect = (event: Event): void => {
    if (event instanceof MessageEvent) noted.push(...(event.data as { value: Noted[] }).value);
  };
  const end = (): void => over.resolve();
  view.addEventListener("Tracing.dataCollected", collect);
  view.addEventListener("Tracing.tracingComplete", end);
  try {
    await view.cdp("Tracing.start", {
      transferMode: "ReportEvents",
      traceConfig: {
        includedCategories: ["toplevel", "devtools.timeline"],
      },
    });
    await act();
    await view.cdp("Tracing.end");
    await over.promise;
  } finally {
    view.removeEventListener("Tracing.dataCollected", collect);
    view.removeEventListener("Tracing.tracingComplete", end);
  }
  return read(noted);
}

function read(noted: readonly Noted[]): Task[] {
  const scripts = (of: readonly Noted[]) => of.filter(({ name }) => name === "FunctionCall").length;
  // There are others, of pages that are not there any more.
  const all =
    [...Map.groupBy(noted, ({ pid, tid }) => `${pid}:${tid}`).values()].toSorted(
      (a, b) => scripts(b) - scripts(a),
    )[0] ?? [];
  const spans = all
    .filter(({ ph }) => ph === "X")
    .toSorted((a, b) => a.ts - b.ts || (b.dur ?? 0) - (a.dur ?? 0));
  const tasks: { cpu: number; clock: number; names: string[] }[] = [];
  let end = 0;
  for (const { name, ts, dur = 0, tdur = 0 } of spans) {
    if (ts < end) tasks.at(-1)?.names.push(name);
    else {
      tasks.push({ cpu: tdur / 1000, clock: dur / 1000, names: [name] });
      end = ts + dur;
    }
  }
  return tasks;
}

/** Of the longest tasks, in words. */
export const longest = (tasks: readonly Task[], count = 3): string =>
  tasks
    .toSorted((a, b) => b.cpu - a.cpu)
    .slice(0, count)
    .map(({ cpu, names }) => `${Math.round(cpu)} ms: ${names.slice(0, 6).join(", ")}`)
    .join("\n");
