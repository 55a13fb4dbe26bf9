/** One run: its state, what it prints, how it ended; found again by its id, also after the page or the server was away. */
import { useEffect, useRef, useState } from "preact/hooks";
import { findVerb } from "./catalogue.ts";
import { call, generation, type Reply, succeeded } from "./connection.ts";
import { plainOf } from "./ansi.ts";
import { delayOf } from "./backoff.ts";
import { Denied } from "./denied.tsx";
import { inOneLine, isObject, type Json, objectOf } from "./json.ts";
import type { Line, LogView } from "./log-view.ts";
import { outcomeOf } from "./outcome.ts";
import { Output } from "./output.tsx";
import { go, sandboxLink, taskLink, verbLink } from "./route.ts";
import { ShellLines } from "./shell-lines.tsx";
import { StateChip } from "./state-chip.tsx";
import { isStarted, putAside, startTask, takeStream } from "./starts.ts";
import { EventStream, openStream } from "./stream.ts";
import { linesOf, valueOf } from "./task-events.ts";
import { Elapsed } from "./task-list.tsx";
import { readRecords, type TaskRecord } from "./task-record.ts";
import { t } from "./text.ts";
import { timeOf } from "./time.ts";
import { Values } from "./values.tsx";

/** ms after which a task that was stopped, and is still there, can be killed; and between looks at one that waits. */
const KILLABLE = 5_000;
const LOOK = 1_000;
/** Of JSON values, the last, and ms between two looks of their table. */
const MOST_VALUES = 200;
const CALM = 150;

export function TaskView({ id }: { id: string }) {
  const [task, setTask] = useState<TaskRecord>();
  const [missing, setMissing] = useState("");
  const [values, setValues] = useState<readonly unknown[]>([]);
  const view = useRef<Pick<LogView, "add">>(undefined);
  /** What comes before there is a place for it. */
  const early = useRef<Line[]>([]);
  /** Number of the last event that came. */
  const last = useRef(0);
  const latest = useRef<unknown[]>([]);

  useEffect(() => {
    if (generation.value === 0) return;
    let drawn: ReturnType<typeof setTimeout> | undefined;
    const draw = (): void => {
      drawn = undefined;
      setValues([...latest.current]);
    };
    const stop = follow(id, last, {
      task: setTask,
      missing: setMissing,
      event: (data) => {
        for (const line of linesOf(data))
          if (view.current) view.current.add(line);
          else early.current.push(line);
        const value = valueOf(data);
        if (!value) return;
        if (latest.current.push(value) > MOST_VALUES) latest.current.shift();
        drawn ??= setTimeout(draw, CALM);
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
            <code class="argv">{plainOf(task.argv.join(" "))}</code>
          </>
        )}
      </p>
      {task.state === "ended" && <End task={task} />}
      <Values values={values} />
      <Output name={`${verb}-${id}`} onReady={show} />
      {missing !== "" && <p class="notice">{missing}</p>}
      <details>
        <summary>{t("fromShell")}</summary>
        <ShellLines {...{ api, verb, id, args: isObject(task.args) ? task.args : undefined }} />
      </details>
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
  const over = new AbortController();
  const { signal } = over;
  const look = async (): Promise<TaskRecord | undefined> => {
    const reply = await call("monitor/tasks", { id, state: "all", limit: 1 });
    const [task] = readRecords(reply.response);
    if (signal.aborted) return undefined;
    if (task) to.task(task);
    else if (reply.status !== "disconnected")
      to.missing(succeeded(reply) ? t("noTask", id) : reply.info);
    return task;
  };
  let isOver = false;
  const hear = (data: Json, number: number): void => {
    const { type } = data;
    if (signal.aborted || (number > 0 && number <= last.current)) return;
    last.current = Math.max(last.current, number);
    to.event(data);
    if (type === "unsubscribed") to.missing(t("unsubscribed"));
    isOver = type === "final-event" || type === "unsubscribed";
  };
  /** From the start, where it was here; else what is kept, and what comes. */
  const open = ({ api, verb }: TaskRecord): Promise<EventStream | Reply> => {
    const own = takeStream(id);
    if (own) {
      signal.addEventListener("abort", () => putAside(own));
      return Promise.resolve(own);
    }
    const from = String(last.current + 1);
    return openStream(api, verb, { action: "subscribe", id, from });
  };
  const goOn = async (): Promise<void> => {
    for (let tries = 0; !signal.aborted; tries++) {
      const task = await look();
      if (!task) return;
      if (task.state === "waiting") {
        await pause(LOOK);
        continue;
      }
      try {
        const isFresh = isStarted(id);
        const stream = await open(task);
        if (!(stream instanceof EventStream)) {
          if (!isOver) to.missing(task.state === "ended" ? t("noOutput") : stream.info);
          return;
        }
        if (!isFresh) signal.addEventListener("abort", () => stream.leave());
        await stream.hear(hear);
        await look();
        // The reply to a start may have had the output, which is kept, too.
        if (isOver || (!isFresh && task.state === "ended")) return;
      } catch (error) {
        if (!(error instanceof TypeError || error instanceof DOMException)) throw error;
      }
      await pause(delayOf(tries) - delayOf(0));
    }
  };
  void goOn();
  return () => over.abort();
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

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
    // It may never have come to the task: that can be asked for again.
    if (!succeeded(reply) && signal === undefined) setStopped(0);
  };
  const again = async (): Promise<void> => {
    const started = await startTask(api, verb, objectOf(task.args));
    if ("id" in started) go(taskLink(started.id));
    else setFailed(started);
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
        (task.hidden || findVerb(api, verb)?.confirm !== false ? (
          // What it was called with is not told, or whether it is meant: the form asks.
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
          {failed.info || failed.status}
        </span>
      )}
    </span>
  );
}

function End({ task }: { task: TaskRecord }) {
  const { kind, words } = outcomeOf(task.status);
  const status = task.status ?? {};
  const rest = ["overflow", "replaced", "encoder"].filter((name) => status[name] !== undefined);
  return (
    <div class={`end ${kind}`} role="status">
      <p>{words}</p>
      <Denied status={status} />
      {rest.map((name) => (
        <p key={name} class="quiet">
          {name}: {inOneLine(status[name])}
        </p>
      ))}
    </div>
  );
}
