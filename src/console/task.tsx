/** One run: its state, what it prints, how it ended; found again by its id, also after the page or the server was away. */
import { useEffect, useRef, useState } from "preact/hooks";
import { call, generation, listen, type Reply, start, succeeded } from "./connection.ts";
import { inOneLine, isObject, numberOf, objectOf } from "./json.ts";
import type { Line, LogView } from "./log-view.ts";
import { outcomeOf } from "./outcome.ts";
import { Output } from "./output.tsx";
import { go, sandboxLink, taskLink, verbLink } from "./route.ts";
import { Shell } from "./shell.tsx";
import { StateChip } from "./state-chip.tsx";
import { linesOf, valueOf } from "./task-events.ts";
import { Elapsed, timeOf } from "./task-list.tsx";
import { readRecords, type TaskRecord } from "./task-record.ts";
import { t } from "./text.ts";
import { loadViews, views } from "./later.ts";

/** ms after which a task that was stopped, and is still there, can be killed; and between looks at one that waits. */
const KILLABLE = 5_000;
const LOOK = 1_000;
/** Of JSON values, the last. */
const MOST_VALUES = 200;

export function TaskView({ id }: { id: string }) {
  const [task, setTask] = useState<TaskRecord>();
  const [missing, setMissing] = useState("");
  const [values, setValues] = useState<readonly unknown[]>([]);
  const view = useRef<Pick<LogView, "add">>(undefined);
  /** What comes before there is a place for it. */
  const early = useRef<Line[]>([]);
  /** Number of the last event that came. */
  const last = useRef(0);

  useEffect(() => {
    if (generation.value === 0) return;
    const stop = follow(id, last, {
      task: setTask,
      missing: setMissing,
      event: (data) => {
        for (const line of linesOf(data))
          if (view.current) view.current.add(line);
          else early.current.push(line);
        const value = valueOf(data);
        if (!value) return;
        loadViews();
        setValues((before) => [...before.slice(1 - MOST_VALUES), value]);
      },
    });
    return stop;
  }, [id, generation.value]);

  const show = (made: Pick<LogView, "add">): void => {
    view.current = made;
    for (const line of early.current.splice(0)) made.add(line);
  };
  if (!task) return <p class="empty">{missing === "" ? t("loading") : missing}</p>;
  const { api, verb } = task;
  const { Values } = views.value ?? {};
  return (
    <>
      <p class="crumbs">
        <a href={verbLink(api, verb)}>
          {api}/{verb}
        </a>
        {" · "}
        <a href={sandboxLink(api, task.sandbox)}>{task.sandbox}</a>
      </p>
      <div class="title">
        <h1>
          <code>{verb}</code>
        </h1>
        <StateChip task={task} />
        <span class="quiet">
          <Elapsed task={task} />
        </span>
        <Buttons task={task} />
      </div>
      <p class="quiet">
        {timeOf(task.asked)} · {task.caller}
        {task.argv.length > 0 && (
          <>
            {" · "}
            <code class="argv">{task.argv.join(" ")}</code>
          </>
        )}
      </p>
      {task.state === "ended" && <End task={task} />}
      {Values && <Values values={values} />}
      <Output name={`${verb}-${id}`} onReady={show} />
      {missing !== "" && <p class="notice">{missing}</p>}
      <Shell {...{ api, verb, id, args: isObject(task.args) ? task.args : undefined }} />
    </>
  );
}

interface Follower {
  readonly task: (task: TaskRecord) => void;
  readonly missing: (why: string) => void;
  readonly event: (data: Readonly<Record<string, unknown>>) => void;
}

/** From where it was left. Returns what ends it. */
function follow(id: string, last: { current: number }, to: Follower): () => void {
  let forget = (): void => {};
  let timer: ReturnType<typeof setTimeout> | undefined;
  let over = false;
  const look = async (): Promise<TaskRecord | undefined> => {
    const reply = await call("monitor/tasks", { id, state: "all", limit: 1 });
    const [task] = readRecords(reply.response);
    if (over) return undefined;
    if (task) to.task(task);
    else if (reply.status !== "disconnected")
      to.missing(succeeded(reply) ? t("noTask", id) : reply.info);
    return task;
  };
  const begin = async (): Promise<void> => {
    const task = await look();
    if (!task || over) return;
    if (task.state === "waiting") {
      timer = setTimeout(() => void begin(), LOOK);
      return;
    }
    const verb = `${task.api}/${task.verb}`;
    forget = listen(verb, (data) => {
      const number = numberOf(data["seq"]);
      // Where this client has started it, they come without a number at first.
      if (data["pid"] !== task.pid || number === undefined || number <= last.current) return;
      last.current = number;
      to.event(data);
      if (data["type"] === "final-event") void look();
      if (data["type"] === "unsubscribed") to.missing(t("unsubscribed"));
    });
    const args = { id, from: last.current + 1 };
    const reply = await call(verb, { action: "subscribe", args });
    if (over || succeeded(reply) || reply.status === "disconnected") return;
    to.missing(task.state === "ended" ? t("noOutput") : reply.info);
    await look();
  };
  void begin();
  return () => {
    over = true;
    clearTimeout(timer);
    forget();
  };
}

function Buttons({ task }: { task: TaskRecord }) {
  const { api, verb, id } = task;
  const [stopped, setStopped] = useState(0);
  const [killable, setKillable] = useState(false);
  const [failed, setFailed] = useState<Reply>();
  const runs = task.state !== "ended";
  useEffect(() => {
    if (stopped === 0) return;
    const timer = setTimeout(() => setKillable(true), KILLABLE);
    return () => clearTimeout(timer);
  }, [stopped]);
  const stop = async (signal?: string): Promise<void> => {
    setStopped(Date.now());
    const args = { id, ...(signal !== undefined && { signal }) };
    const reply = await call(`${api}/${verb}`, { action: "stop", args });
    setFailed(succeeded(reply) ? undefined : reply);
  };
  const again = async (): Promise<void> => {
    const started = await start(`${api}/${verb}`, objectOf(task.args));
    if (!("pid" in started)) return setFailed(started);
    const { response } = await call("monitor/tasks", {
      ...{ api, verb, pid: started.pid, state: "all", limit: 1 },
    });
    const [next] = readRecords(response);
    if (next) go(taskLink(next.id));
  };
  return (
    <span class="buttons">
      {runs && (
        <button type="button" class="danger" disabled={stopped > 0} onClick={() => void stop()}>
          {t(stopped > 0 ? "stops" : "stop")}
        </button>
      )}
      {runs && killable && (
        <button type="button" class="danger" onClick={() => void stop("SIGKILL")}>
          {t("kill")}
        </button>
      )}
      {!runs &&
        (task.hidden ? (
          // What it was called with is not told: the form asks for it.
          <a class="button" href={verbLink(api, verb)}>
            {t("again")}
          </a>
        ) : (
          <button type="button" onClick={() => void again()}>
            {t("again")}
          </button>
        ))}
      {failed && (
        <span class="fault" role="alert">
          {failed.info}
        </span>
      )}
    </span>
  );
}

function End({ task }: { task: TaskRecord }) {
  const { kind, words } = outcomeOf(task.status);
  const status = task.status ?? {};
  const { Denied } = views.value ?? {};
  const isDenied = status["denied"] !== undefined;
  useEffect(() => {
    if (isDenied) loadViews();
  }, [isDenied]);
  const rest = ["overflow", "replaced", "encoder"].filter((name) => status[name] !== undefined);
  return (
    <div class={`end ${kind}`} role="status">
      <p>{words}</p>
      {Denied && <Denied status={status} />}
      {rest.map((name) => (
        <p key={name} class="quiet">
          {name}: {inOneLine(status[name])}
        </p>
      ))}
    </div>
  );
}
