/** What runs, and what has run; it goes on by itself. */
import { useEffect, useState } from "preact/hooks";
import { call, generation, listen, succeeded } from "./connection.ts";
import { outcomeOf } from "./outcome.ts";
import { TaskList } from "./task-list.tsx";
import { readRecord, readRecords, type TaskRecord } from "./task-record.ts";
import { t } from "./text.ts";

const PAGE = 100;
const STATES = ["all", "running", "good", "bad", "stopped"] as const;

export function Activity() {
  const [tasks, setTasks] = useState<ReadonlyMap<string, TaskRecord>>();
  const [sought, setSought] = useState("");
  const [state, setState] = useState<string>("all");
  const [more, setMore] = useState(false);
  const [fault, setFault] = useState("");

  const add = (found: readonly TaskRecord[]): void =>
    setTasks((before) => {
      const all = new Map(before);
      for (const task of found) all.set(task.id, task);
      return all;
    });
  useEffect(() => {
    if (generation.value === 0) return;
    const forget = listen("monitor/tasks", ({ task, type }) => {
      const record = readRecord(task);
      if (record) add([type === "dropped" ? { ...record, state: "ended" } : record]);
    });
    void call("monitor/tasks", { follow: true, state: "all", limit: PAGE }).then((reply) => {
      const found = readRecords(reply.response);
      if (!succeeded(reply)) setFault(reply.info);
      add(found);
      setMore(found.length === PAGE);
    });
    return () => {
      forget();
      void call("monitor/tasks", { follow: false, limit: 1 });
    };
  }, [generation.value]);

  const older = async (before: string): Promise<void> => {
    const reply = await call("monitor/tasks", { state: "all", limit: PAGE, before });
    const found = readRecords(reply.response);
    add(found);
    setMore(found.length === PAGE);
  };
  const all = [...(tasks?.values() ?? [])].sort((a, b) => (a.id < b.id ? 1 : -1));
  const words = sought.toLowerCase().split(/\s+/);
  const shown = all.filter((task) => {
    const now = task.state === "ended" ? outcomeOf(task.status).kind : "running";
    const text = `${task.api}/${task.verb} ${task.caller} ${task.id}`.toLowerCase();
    return (state === "all" || state === now) && words.every((word) => text.includes(word));
  });
  const oldest = all.at(-1);
  return (
    <>
      <h1>{t("activity")}</h1>
      <form class="search" role="search" onSubmit={(event) => event.preventDefault()}>
        <input
          type="search"
          data-search
          value={sought}
          placeholder={t("searchTasks")}
          aria-label={t("searchTasks")}
          onInput={({ currentTarget }) => setSought(currentTarget.value)}
        />
        <select
          aria-label={t("outcome")}
          value={state}
          onChange={({ currentTarget }) => setState(currentTarget.value)}
        >
          {STATES.map((one) => (
            <option key={one} value={one}>
              {t(one)}
            </option>
          ))}
        </select>
      </form>
      {fault !== "" && <p class="fault">{fault}</p>}
      {shown.length > 0 ? (
        <TaskList tasks={shown} />
      ) : (
        <p class="empty">{t(tasks ? (all.length > 0 ? "nothingFound" : "noTasks") : "loading")}</p>
      )}
      {more && oldest && (
        <button type="button" onClick={() => void older(oldest.id)}>
          {t("older")}
        </button>
      )}
    </>
  );
}
