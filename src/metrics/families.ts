/** What a server tells of itself, with the names and units of Prometheus' conventions. Loaded only once somebody asks. */
import { openDescriptors } from "../launch/supplies.ts";
import { CAUSES, type Counts, MODES } from "./counts.ts";
import type { Family, Labels } from "./family.ts";
import { startTime } from "./start.ts";

/** What there is now, of those who know. Asked only when somebody asks. */
export interface Sources {
  readonly version: string;
  readonly counts: Counts;
  /** Starts whose turn has not come, and how many tasks there may be; Infinity: any number. */
  readonly load: () => { readonly waiting: number; readonly most: number };
  /** Sandboxes that wait for a call. */
  readonly ready: () => number;
  /** Connections, those of them that are WebSockets, and those of these that have not taken what was sent. */
  readonly clients: () => {
    readonly open: number;
    readonly webSockets: number;
    readonly paused: number;
  };
  readonly reloads: () => {
    readonly done: number;
    readonly failed: number;
    readonly isGood: boolean;
  };
  /** undefined where there is none. */
  readonly audit: () =>
    { readonly written: number; readonly lost: number; readonly why?: string } | undefined;
  /** Tasks that it could not keep; undefined where there is none. */
  readonly history: () => number | undefined;
}

const one = (value: number, labels?: Labels) => [{ value, ...(labels && { labels }) }];

export function familiesOf(sources: Sources): Family[] {
  return [
    ...launches(sources.counts),
    ...tasks(sources),
    ...clients(sources),
    ...audit(sources),
    ...history(sources),
    ...server(sources),
    ...ownProcess(),
  ];
}

function launches({ sandboxes, seconds }: Counts): Family[] {
  const all = [...sandboxes.values()];
  const bySandbox = (value: (of: (typeof all)[number]) => number) =>
    all.map((of) => ({ labels: { api: of.api, sandbox: of.sandbox }, value: value(of) }));
  return [
    {
      ...{ name: "spawnbox_launches", type: "counter" },
      help: "Commands that were started, in a sandbox that was ready (warm) or one made for it (cold).",
      samples: all.flatMap(({ api, sandbox, launches }) =>
        MODES.map((mode) => ({ labels: { api, sandbox, mode }, value: launches[mode] })),
      ),
    },
    {
      ...{ name: "spawnbox_launch_seconds", type: "histogram", unit: "seconds" },
      help: "Time from the turn of a start until its command runs.",
      samples: MODES.map((mode) => ({ labels: { mode }, value: seconds[mode] })),
    },
    {
      ...{ name: "spawnbox_pool_hits", type: "counter" },
      help: "Starts that found a sandbox ready.",
      samples: bySandbox(({ launches }) => launches.warm),
    },
    {
      ...{ name: "spawnbox_pool_misses", type: "counter" },
      help: "Starts of commands with a pool that found none ready.",
      samples: bySandbox(({ misses }) => misses),
    },
  ];
}

function tasks({ counts, load, ready }: Sources): Family[] {
  const { waiting, most } = load();
  return [
    {
      ...{ name: "spawnbox_pool_ready", type: "gauge" },
      help: "Sandboxes that wait for a call.",
      samples: one(ready()),
    },
    {
      ...{ name: "spawnbox_tasks_running", type: "gauge" },
      help: "Tasks that run.",
      samples: one(counts.running),
    },
    {
      ...{ name: "spawnbox_tasks_queued", type: "gauge" },
      help: "Starts that wait for their turn.",
      samples: one(waiting),
    },
    {
      ...{ name: "spawnbox_tasks_limit", type: "gauge" },
      help: "Most tasks at a time.",
      samples: one(most),
    },
    {
      ...{ name: "spawnbox_tasks_ended", type: "counter" },
      help: "Tasks that have ended, by why: success is exit code 0, failure another one.",
      samples: CAUSES.map((cause) => ({ labels: { cause }, value: counts.outcomes[cause] })),
    },
    {
      ...{ name: "spawnbox_calls_refused", type: "counter" },
      help: "Calls of commands that did nothing of what they asked for, by the status of the reply.",
      samples: [...counts.refusals].map(([status, value]) => ({ labels: { status }, value })),
    },
    {
      ...{ name: "spawnbox_events", type: "counter" },
      help: "Events with output of tasks.",
      samples: one(counts.events),
    },
    {
      ...{ name: "spawnbox_output_bytes", type: "counter", unit: "bytes" },
      help: "What commands have printed.",
      samples: one(counts.bytes),
    },
  ];
}

function clients({ clients }: Sources): Family[] {
  const { open, webSockets, paused } = clients();
  return [
    {
      ...{ name: "spawnbox_connections", type: "gauge" },
      help: "Open connections of clients.",
      samples: one(open),
    },
    {
      ...{ name: "spawnbox_websockets", type: "gauge" },
      help: "Those of them that are WebSockets.",
      samples: one(webSockets),
    },
    {
      ...{ name: "spawnbox_clients_paused", type: "gauge" },
      help: "WebSockets whose client has not taken yet what was sent.",
      samples: one(paused),
    },
  ];
}

function audit({ audit }: Sources): Family[] {
  const now = audit();
  if (!now) return [];
  return [
    {
      ...{ name: "spawnbox_audit_lines", type: "counter" },
      help: "Lines of the audit that are written.",
      samples: one(now.written),
    },
    {
      ...{ name: "spawnbox_audit_lost_lines", type: "counter" },
      help: "Lines of the audit that are lost.",
      samples: one(now.lost),
    },
    {
      ...{ name: "spawnbox_audit_writable", type: "gauge" },
      help: "1 where the last line could be written, else 0.",
      samples: one(now.why === undefined ? 1 : 0),
    },
  ];
}

function history({ history }: Sources): Family[] {
  const lost = history();
  if (lost === undefined) return [];
  return [
    {
      ...{ name: "spawnbox_history_lost_tasks", type: "counter" },
      help: "Tasks that the history could not keep.",
      samples: one(lost),
    },
  ];
}

function server({ version, reloads }: Sources): Family[] {
  const { done, failed, isGood } = reloads();
  return [
    {
      ...{ name: "spawnbox_build", type: "info" },
      help: "The version of the server.",
      samples: one(1, { version }),
    },
    {
      ...{ name: "spawnbox_reloads", type: "counter" },
      help: "Times that the configs were read anew.",
      samples: [
        { labels: { result: "success" }, value: done },
        { labels: { result: "failure" }, value: failed },
      ],
    },
    {
      ...{ name: "spawnbox_reload_successful", type: "gauge" },
      help: "0 where the last reload failed, and the configs of before are served.",
      samples: one(isGood ? 1 : 0),
    },
  ];
}

/** Nothing, where it is read from a file and no descriptor is left: the others are what is looked for then. */
function told(look: () => number) {
  try {
    return one(look());
  } catch {
    return [];
  }
}

/** By the names that all clients of Prometheus have. */
function ownProcess(): Family[] {
  const { user, system } = process.cpuUsage();
  return [
    {
      ...{ name: "process_cpu_seconds", type: "counter", unit: "seconds" },
      help: "Time that the server itself has taken of the processors.",
      samples: one((user + system) / 1e6),
    },
    {
      ...{ name: "process_resident_memory_bytes", type: "gauge", unit: "bytes" },
      help: "Memory of the server itself.",
      samples: told(() => process.memoryUsage.rss()),
    },
    {
      ...{ name: "process_start_time_seconds", type: "gauge", unit: "seconds" },
      help: "When the server was started, since 1970.",
      samples: told(startTime),
    },
    {
      ...{ name: "process_open_fds", type: "gauge" },
      help: "Open descriptors of the server.",
      samples: told(openDescriptors),
    },
  ];
}
