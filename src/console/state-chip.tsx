/** Whether a task runs, or how it ended, in a word and a colour. */
import { outcomeOf } from "./outcome.ts";
import type { TaskRecord } from "./task-record.ts";
import { t } from "./text.ts";

export function StateChip({ task }: { task: TaskRecord }) {
  if (task.state !== "ended")
    return (
      <span class={`chip ${task.state}`}>
        {t(task.state === "running" ? "running" : "waiting")}
      </span>
    );
  const { kind } = outcomeOf(task.status);
  return <span class={`chip ${kind}`}>{t(kind)}</span>;
}
