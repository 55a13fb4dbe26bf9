/** The events of one task as something to iterate over. */
import { failure, type Reply } from "../api/reply.ts";
import type { ClientEvents } from "./events.ts";
import { AfbError } from "../errors.ts";
import { CallError, ConnectionError } from "./errors.ts";
import { isObject } from "../object.ts";

/** A data event; what it carries besides depends on the encoder. */
export interface TaskData {
  readonly pid: number;
  readonly stdout?: unknown;
  readonly stderr?: unknown;
  readonly [key: string]: unknown;
}

/** How a task ended. */
export interface TaskStatus {
  readonly exit?: number;
  readonly signal?: string;
  readonly info?: string;
  readonly [key: string]: unknown;
}

/** Of events that were left out, since this client did not keep up: how many, and the bytes of their data as JSON. */
export interface Missed {
  readonly events: number;
  readonly bytes: number;
}

export interface FollowOptions {
  /** The task waits for this client, and it misses nothing. */
  readonly lossless?: boolean;
  /** Called where events were left out, before the next one is yielded. */
  readonly missed?: ((missed: Missed) => void) | undefined;
}

/** A task that runs already. */
interface Followed extends Pick<FollowOptions, "missed"> {
  readonly pid: number;
}

type Told = readonly [name: string, data: Record<string, unknown>];

/**
 * Events of other names that are kept until the reply: those that come right behind it are read with it. A start may wait for long,
 * while other tasks of the connection tell much.
 */
const EARLY = 1000;

interface Connection {
  call(method: string, args: unknown): Promise<Reply>;
  on<Name extends keyof ClientEvents>(name: Name, listener: ClientEvents[Name]): () => void;
}

export async function* followTask(
  connection: Connection,
  method: string,
  args: unknown,
  followed?: Followed,
): AsyncGenerator<TaskData, TaskStatus, void> {
  const queue: Told[] = [];
  const early: Told[] = [];
  let lost: string | undefined;
  let wake = (): void => undefined;
  const own = method.toLowerCase();
  /**
   * The name of its events: those of a verb that starts another, or of another binder, have the one that they have there, and the first
   * of them tells it. Numbers of processes are not enough, since several binders may have the same.
   */
  let name: string | undefined;
  /** Whose they are, as the reply of a start says. */
  let api: string | undefined;
  const isOfApi = (told: string): boolean => api === undefined || told.startsWith(`${api}/`);
  const isOwn = (told: string): boolean => {
    if (told === own) name = own;
    else if (isOfApi(told)) name ??= told;
    return told === name;
  };
  const verb = own.slice(own.indexOf("/"));
  /** Of one that has told nothing yet, the reply knows the API; or it is the verb, which is mostly called the same there. */
  const isMaybeOwn = (told: string): boolean => {
    if (name !== undefined) return told === name;
    return told === own || (api === undefined ? told.endsWith(verb) : isOfApi(told));
  };
  let pid: number | undefined;
  const broken = (reason: string): void => {
    lost = reason;
    wake();
  };
  // Before the call: nothing that comes right behind the reply may be missed.
  const off = [
    connection.on("event", (event, data) => {
      if (!isObject(data)) return;
      const told = event.toLowerCase();
      // Before the reply nobody knows whose they are.
      if (pid === undefined && told !== own) {
        if (early.push([told, data]) > EARLY) early.shift();
        return;
      }
      if (pid !== undefined && data["pid"] !== pid && !isGone(data)) return;
      queue.push([told, data]);
      wake();
    }),
    connection.on("lost", broken),
    connection.on("close", broken),
  ];
  let ended = false;
  try {
    const reply = await connection.call(method, args);
    const task = followed ? following(reply, followed) : taskOf(reply);
    if (!task) throw new CallError(method, reply);
    ({ pid, api } = task);
    queue.push(...early.splice(0));
    if (task.status) {
      ended = true;
      yield task.data;
      return task.status;
    }
    for (;;) {
      const next = queue.shift();
      if (!next) {
        if (lost !== undefined) throw new ConnectionError(`${method}: connection lost: ${lost}`);
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
        continue;
      }
      const [told, event] = next;
      if (isGone(event)) {
        if (!isMaybeOwn(told)) continue;
        ended = true;
        if (event["type"] === "unsubscribed") throw new CallError(method, withdrawn(event["info"]));
        throw new ConnectionError(`${method}: connection lost: ${String(event["info"])}`);
      } else if (event["pid"] !== pid || !isOwn(told)) {
        continue;
      } else if (event["type"] === "final-event") {
        ended = true;
        return isObject(event["status"]) ? event["status"] : {};
      } else if (event["type"] === "unsubscribed") {
        ended = true;
        throw new CallError(method, withdrawn(event["info"]));
      } else if (event["type"] === "overflow") {
        const { events, bytes } = event;
        followed?.missed?.({ events: Number(events), bytes: Number(bytes) });
      } else if (event["type"] === "data") {
        const { type: _, ...data } = event;
        yield { ...data, pid };
      }
    }
  } finally {
    for (const take of off) take();
    if (pid !== undefined && !ended && lost === undefined) {
      // Of a task that ended meanwhile, or over a connection that is gone, there is nothing to unsubscribe.
      await connection
        .call(method, { action: "unsubscribe", args: { pid } })
        .catch((error: unknown) => {
          if (!(error instanceof ConnectionError)) throw error;
        });
    }
  }
}

/** The other binder has gone, and with it whoever could tell of the task; or what it tells is not for this caller any more. */
const isGone = (event: Readonly<Record<string, unknown>>): boolean =>
  ["disconnected", "unsubscribed"].includes(String(event["type"])) && event["pid"] === undefined;

/** As the server would answer a new subscription. */
const withdrawn = (info: unknown): Reply =>
  failure(new AfbError("insufficient-scope", typeof info === "string" ? info : ""));

interface Started {
  pid: number;
  /** In lower case; undefined where the reply does not say it. */
  api: string | undefined;
  /** Of one that has ended already. */
  status: TaskStatus | undefined;
  data: TaskData;
}

const following = ({ request }: Reply, { pid }: Followed): Started | undefined =>
  request.status === "success"
    ? { pid, api: undefined, status: undefined, data: { pid } }
    : undefined;

function taskOf({ request, response }: Reply): Started | undefined {
  if (request.status !== "success" || !isObject(response) || !("command" in response)) {
    return undefined;
  }
  const { pid, status, api, sandbox: _sandbox, command: _command, ...output } = response;
  if (typeof pid !== "number") return undefined;
  return {
    pid,
    api: typeof api === "string" ? api.toLowerCase() : undefined,
    status: isObject(status) ? status : undefined,
    data: { ...output, pid },
  };
}
