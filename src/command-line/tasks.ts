/** Tasks of a running server, as `monitor/tasks` tells them: found by id or pid, and in a line for people. */
import type { TaskRecord } from "../api/record.ts";
import { TASK_ID } from "../api/task-id.ts";
import { columns, padded } from "../columns.ts";
import { AfbError } from "../errors.ts";
import { isObject } from "../object.ts";
import type { Reply } from "../api/reply.ts";
import { visible } from "../visible.ts";
import type { Caller } from "./call-session.ts";
import { UsageError } from "./usage.ts";

const LIST = "monitor/tasks";

/** @throws AfbError with what the server says where it does not tell */
export async function tasksOf(client: Caller, filter: object): Promise<TaskRecord[]> {
  const { request, response } = await client.call(LIST, filter);
  if (request.status !== "success") throw refused(request);
  // As the server of this version has it: numbers come as they are written.
  return JSON.parse(JSON.stringify(response ?? [])) as TaskRecord[];
}

const refused = ({ status, info = "" }: Reply["request"]): AfbError =>
  status === "success" ? new AfbError("internal-error", info) : new AfbError(status, info);

export interface Named {
  readonly id?: string;
  readonly pid?: number;
}

/** What stands on a command line for a task. Throws UsageError. */
export function parseTask(positionals: readonly string[]): Named {
  const [text, ...others] = positionals;
  if (text === undefined) throw new UsageError("say which task: its ID, as spawnbox ps shows it");
  if (others.length > 0) throw new UsageError("name one task");
  if (/^\d{1,7}$/.test(text)) return { pid: Number(text) };
  if (TASK_ID.test(text)) return { id: text };
  throw new UsageError(`"${text}" is neither an ID, as spawnbox ps shows it, nor a pid`);
}

/** The task of that id, or the last of that pid. @throws AfbError where there is none that the caller may follow */
export async function taskOf(client: Caller, named: Named): Promise<TaskRecord> {
  const [task] = await tasksOf(client, { ...named, limit: 1 });
  if (task) return task;
  const what = named.id ?? `with pid ${named.pid}`;
  throw new AfbError(
    "no-item",
    `no task ${what} that you may follow: spawnbox ps --all shows those that are known`,
  );
}

const TITLES = ["ID", "TASK", "PID", "STATE", "BEGUN", "TOOK", "CALLER", "HOW IT ENDED"] as const;

/** Lines of a table, its titles first. */
export function tableOf(tasks: readonly TaskRecord[], now = Date.now()): string[] {
  const rows = [[...TITLES], ...tasks.map((task) => rowOf(task, now))];
  const widths = TITLES.map((_, i) => Math.max(...rows.map((row) => columns(row[i] ?? ""))));
  return rows.map((row) =>
    row
      .map((cell, i) => padded(cell, widths[i] ?? 0))
      .join("  ")
      .trimEnd(),
  );
}

function rowOf(task: TaskRecord, now: number): string[] {
  const { id, api, verb, pid, state, asked, started, caller, status } = task;
  // Not by its times: the clock of a board is set, and may be another than this one.
  const wall = status?.usage?.wall ?? task.wall;
  return [
    id,
    `${api}/${verb}`,
    pid === undefined ? "-" : `${pid}`,
    state,
    when(started ?? asked, now),
    wall === undefined ? "-" : duration(wall),
    whoOf(caller),
    state === "ended" ? (pid === undefined ? "never began" : outcome(status)) : "",
  ].map(visible);
}

const whoOf = ({ info, uid, address, operator, via }: TaskRecord["caller"]): string =>
  info ?? (uid === undefined ? (address ?? operator ?? via) : `uid ${uid}`);

/** How a task ended, in words. */
export function outcome(status: TaskRecord["status"]): string {
  if (!isObject(status)) return "lost: its server ended";
  const { exit, signal, cause } = status;
  const how = signal !== undefined ? `signal ${signal}` : `exit ${exit ?? "?"}`;
  return cause === undefined ? how : `${how}, ${cause}`;
}

/** The time today, else the date too, of this machine. */
function when(ms: number, now: number): string {
  const [date, other] = [new Date(ms), new Date(now)];
  const two = (value: number): string => `${value}`.padStart(2, "0");
  const time = [date.getHours(), date.getMinutes(), date.getSeconds()].map(two).join(":");
  if (date.toDateString() === other.toDateString()) return time;
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ${time}`;
}

function duration(ms: number): string {
  if (ms < 1000) return `${Math.max(0, Math.round(ms))} ms`;
  const seconds = ms / 1000;
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  const [minutes, hours] = [Math.floor(seconds / 60), Math.floor(seconds / 3600)];
  if (hours === 0) return `${minutes} min ${Math.floor(seconds % 60)} s`;
  return `${hours} h ${minutes % 60} min`;
}
