/** Tasks, one a row. */
import { useEffect, useState } from "preact/hooks";
import { duration, outcomeOf } from "./outcome.ts";
import { taskLink } from "./route.ts";
import { StateChip } from "./state-chip.tsx";
import { numberOf, objectOf } from "./json.ts";
import type { TaskRecord } from "./task-record.ts";
import { timeOf } from "./time.ts";

export function TaskList({ tasks }: { tasks: readonly TaskRecord[] }) {
  return (
    <ul class="list card">
      {tasks.map((task) => (
        <li key={task.id}>
          <a class="row-link task-row" href={taskLink(task.id)}>
            <StateChip task={task} />
            <code>
              {task.api}/{task.verb}
            </code>
            <span class="info">{wordsOf(task)}</span>
            <span class="quiet">{task.caller}</span>
            <span class="quiet">
              <Elapsed task={task} />
            </span>
            <time class="quiet" dateTime={new Date(task.asked).toISOString()}>
              {timeOf(task.asked)}
            </time>
          </a>
        </li>
      ))}
    </ul>
  );
}

/** Of what did not go as it should. */
function wordsOf({ state, status }: TaskRecord): string {
  if (state !== "ended") return "";
  const { kind, words } = outcomeOf(status);
  return kind === "good" ? "" : words;
}

/** How long it took, or takes by now. */
export function Elapsed({ task }: { task: TaskRecord }) {
  const [, tick] = useState(0);
  const runs = task.state === "running";
  useEffect(() => {
    if (!runs) return;
    const timer = setInterval(() => tick(performance.now()), 500);
    return () => clearInterval(timer);
  }, [runs]);
  const wall = numberOf(objectOf(task.status?.["usage"])["wall"]);
  if (wall !== undefined) return <>{duration(wall)}</>;
  if (task.begun === undefined || !runs) return null;
  return <>{duration(performance.now() - task.begun)}</>;
}
