/**
 * A server that is an operator: what its clients see of the boards, and call on them. It connects to the broker when the first of
 * them asks, and leaves it when nobody has asked for a while.
 */
import type { Asking } from "../api/gate.ts";
import type { Client, Request } from "../api/client.ts";
import { Feed } from "../api/feed.ts";
import { AfbError } from "../errors.ts";
import { isObject } from "../object.ts";
import { boardsOf } from "./campaign.ts";
import {
  BOARD,
  type BoardFilter,
  callOf,
  filterOf,
  readArguments,
  STOP,
} from "./desk-arguments.ts";
import { DeskCall, type Summary } from "./desk-call.ts";
import { Operator, type OperatorOptions } from "./operator.ts";
import type { Presence } from "./presence.ts";
import { CALL_PRIVILEGE, LOOK_PRIVILEGE } from "./privileges.ts";
import { ALL } from "./topics.ts";

export interface DeskOptions extends Pick<OperatorOptions, "fleet" | "operator" | "tell"> {
  /** Whether a caller has these privileges now. */
  readonly may: (privileges: readonly string[], asking: Asking) => boolean | Promise<boolean>;
  /** A call begins. */
  readonly called: (request: Request, id: string, to: string, method: string) => void;
  /** ms; see the constant. */
  readonly idle?: number;
}

/** Events of it, of all kinds. */
export const EVENT = "monitor/fleet";
/** Calls to boards or groups at a time. */
const MOST_CALLS = 16;
/** ms without anybody who asks after which the broker is left. */
const IDLE = 60_000;
const LOOK = 5000;
/** Bytes of one answer of a board: whatever it sends, there are others. */
const MOST_WHOLE = 16 << 20;
/** ms that boards have to say how their tasks have ended where this server ends. */
const ENDING = 2000;
/** Names of groups that are told. */
const MOST_GROUPS = 1000;

interface Follower {
  readonly feed: Feed;
  readonly forget: () => void;
  readonly request: Request;
  readonly filter: BoardFilter;
}

export class Desk {
  #opening: Promise<Operator> | undefined;
  #operator: Operator | undefined;
  readonly #followers = new Map<Client, Follower>();
  readonly #calls = new Map<string, DeskCall>();
  readonly #describing = new Map<string, Promise<ReadonlyMap<string, unknown>>>();
  #asked = performance.now();
  #working = 0;
  #isClosed = false;
  readonly #timer: ReturnType<typeof setInterval>;

  constructor(readonly options: DeskOptions) {
    const { idle = IDLE } = options;
    this.#timer = setInterval(() => this.#look(idle), Math.min(idle, LOOK));
    this.#timer.unref();
  }

  /** `monitor/fleet/boards` */
  async boards(request: Request): Promise<object> {
    const filter = filterOf(request.args);
    const { client } = request;
    if (filter.follow !== undefined && !client)
      throw new AfbError("invalid-request", "follow: events need a WebSocket connection");
    return await this.#with(async (operator) => {
      if (client && filter.follow === true) this.#follow(client, request, filter);
      if (client && filter.follow === false) this.#forget(client);
      return listOf(operator, filter);
    });
  }

  /** `monitor/fleet/board` */
  async board(request: Request): Promise<object> {
    const { board } = readArguments(BOARD, request.args);
    return await this.#with(async (operator) => {
      requireBroker(operator);
      const seen = operator.presence.boards.get(board);
      if (!seen?.about && seen?.status === undefined)
        throw new AfbError("no-item", `no board ${board} was ever seen`);
      const describing =
        this.#describing.get(board) ??
        operator.describe(board).finally(() => this.#describing.delete(board));
      this.#describing.set(board, describing);
      const apis = await describing;
      return { ...rowOf(operator.presence, board), described: [...apis].map(describe) };
    });
  }

  /** `monitor/fleet/call` */
  async call(request: Request): Promise<object> {
    const { client } = request;
    const given = callOf(request.args);
    // Such a stream ends with its reply.
    const wait = given.wait || !client || request.caller?.via === "events";
    const asked = { ...given, wait };
    return await this.#with(async (operator) => {
      requireBroker(operator);
      if (this.#calls.size >= MOST_CALLS)
        throw new AfbError("busy", `${MOST_CALLS} calls to boards are under way: try again`);
      const boards = boardsOf(operator.presence, asked.target, asked.isQueued);
      if (typeof boards === "string") throw new AfbError("no-item", boards);
      const id = crypto.randomUUID();
      const call = new DeskCall({ id, asked, operator, request, event: EVENT });
      this.#calls.set(id, call);
      this.options.called(request, id, asked.to, asked.invocation.method);
      if (wait || !client) return await this.#work(call, id);
      // In a later turn: the reply comes before its events.
      setImmediate(() => void this.#tellEnd(client, this.#work(call, id), id));
      const online = boards.filter((board) => operator.presence.isOnline(board)).length;
      return { call: id, boards: boards.length, online };
    });
  }

  /** `monitor/fleet/stop` */
  stop(request: Request): void {
    const { call, leave = false } = readArguments(STOP, request.args);
    const found = this.#calls.get(call);
    if (!found) throw new AfbError("no-item", `no call ${call} is under way`);
    found.stop(leave, leave ? "left" : "stopped");
  }

  /** What callers may do has changed. */
  recheck(): void {
    const { may } = this.options;
    const unless = (privilege: string, request: Request, lost: () => void): void =>
      void Promise.resolve(may([privilege], request)).then((has) => has || lost());
    for (const [client, { request }] of this.#followers)
      unless(LOOK_PRIVILEGE, request, () => this.#forget(client));
    for (const call of this.#calls.values())
      unless(CALL_PRIVILEGE, call.request, () => call.stop(false, "its caller may not any more"));
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    clearInterval(this.#timer);
    for (const call of this.#calls.values()) call.stop(false, "the server has ended");
    const end = performance.now() + ENDING;
    while (this.#calls.size > 0 && performance.now() < end) await Bun.sleep(10);
    for (const id of this.#calls.keys()) this.#operator?.abandon(id, "the server has ended");
    for (const client of [...this.#followers.keys()]) this.#forget(client);
    await this.#leave();
  }

  /** Rejects with the AfbError that says why there is no connection. */
  async #with<T>(work: (operator: Operator) => Promise<T>): Promise<T> {
    this.#asked = performance.now();
    this.#working++;
    const operator = await this.#open().finally(() => this.#working--);
    this.#working++;
    try {
      return await work(operator);
    } catch (error) {
      // In the middle of it.
      if (!(error instanceof AfbError)) requireBroker(operator);
      throw error;
    } finally {
      this.#working--;
      this.#asked = performance.now();
    }
  }

  async #open(): Promise<Operator> {
    if (this.#isClosed) throw new AfbError("not-available", "the server is shutting down");
    this.#opening ??= this.#connect().catch((error: unknown) => {
      this.#opening = undefined;
      const why = error instanceof Error ? error.message : String(error);
      throw new AfbError("not-available", `no connection to the broker of the fleet: ${why}`);
    });
    return await this.#opening;
  }

  async #connect(): Promise<Operator> {
    const { fleet, operator: name, tell } = this.options;
    const operator: Operator = new Operator({
      ...{ fleet, operator: name, isOneOfMany: true, whole: MOST_WHOLE },
      tell: (text) => {
        tell(text);
        this.#tellAll({ type: "broker", connected: operator.isConnected, info: text });
      },
      seen: (board) => this.#seen(operator.presence, board),
    });
    try {
      await operator.connect();
      await operator.look();
      if (this.#isClosed) throw new Error("the server is shutting down");
    } catch (error) {
      await operator.close();
      throw error;
    }
    this.#operator = operator;
    return operator;
  }

  #look(idle: number): void {
    const isUsed = this.#followers.size + this.#calls.size + this.#working > 0;
    if (!isUsed && this.#operator && performance.now() - this.#asked > idle) void this.#leave();
  }

  async #leave(): Promise<void> {
    const operator = this.#operator;
    this.#operator = undefined;
    this.#opening = undefined;
    await operator?.close();
  }

  async #work(call: DeskCall, id: string): Promise<Summary> {
    try {
      return await call.work();
    } finally {
      this.#calls.delete(id);
      this.#asked = performance.now();
    }
  }

  async #tellEnd(client: Client, working: Promise<Summary>, id: string): Promise<void> {
    try {
      await client.send(EVENT, { type: "end", ...(await working) });
    } catch (error) {
      const info = error instanceof Error ? error.message : String(error);
      await client.send(EVENT, { type: "end", call: id, summary: {}, info });
    }
  }

  #follow(client: Client, request: Request, filter: BoardFilter): void {
    request.follows?.(EVENT);
    const before = this.#followers.get(client);
    if (!client.connected) return;
    const forget = before?.forget ?? client.onClose(() => this.#forget(client));
    const feed = before?.feed ?? new Feed(client, EVENT);
    this.#followers.set(client, { feed, forget, request, filter });
  }

  #forget(client: Client): void {
    this.#followers.get(client)?.forget();
    this.#followers.delete(client);
  }

  #seen(presence: Presence, board: string): void {
    const row = rowOf(presence, board);
    for (const { feed, filter } of this.#followers.values())
      if (fits(row, filter)) feed.push({ type: "board", ...row });
  }

  #tellAll(data: object): void {
    for (const { feed } of this.#followers.values()) feed.push(data);
  }
}

function requireBroker({ isConnected }: Operator): void {
  if (!isConnected)
    throw new AfbError("not-available", "the broker of the fleet is not reached: trying again");
}

interface Row {
  readonly board: string;
  /** Absent where nobody says any more that there is one. */
  readonly status?: "online" | "offline";
  /** Of one that is online: s since its last sign of life. */
  readonly silent?: number;
  readonly version?: string;
  readonly groups: readonly string[];
  readonly apis: readonly string[];
}

function rowOf({ boards }: Presence, board: string): Row {
  const { status, heard, about } = boards.get(board) ?? {};
  const { version, groups = [], apis = [] } = about ?? {};
  return {
    board,
    ...(status !== undefined && { status }),
    ...(heard !== undefined && {
      silent: Math.max(0, Math.round((performance.now() - heard) / 1000)),
    }),
    ...(version !== undefined && { version }),
    ...{ groups, apis },
  };
}

function fits({ board, version = "", groups, apis }: Row, { group, search }: BoardFilter): boolean {
  if (group !== ALL && !groups.includes(group)) return false;
  return (
    search === "" || [board, version, ...groups, ...apis].join(" ").toLowerCase().includes(search)
  );
}

function listOf({ presence, isConnected, options }: Operator, filter: BoardFilter): object {
  const all = presence.of(ALL);
  const groups = new Set<string>();
  for (const board of all)
    for (const group of presence.boards.get(board)?.about?.groups ?? [])
      if (groups.size < MOST_GROUPS) groups.add(group);
  const rows: Row[] = [];
  const found = { found: 0, foundOnline: 0 };
  for (const board of all) {
    const row = rowOf(presence, board);
    if (!fits(row, filter)) continue;
    found.found++;
    if (row.status === "online") found.foundOnline++;
    if (board > filter.after && rows.length < filter.limit) rows.push(row);
  }
  return {
    ...{ operator: options.operator, connected: isConnected, known: all.length },
    online: all.filter((board) => presence.isOnline(board)).length,
    ...{ groups: [...groups].sort(), ...found, boards: rows },
  };
}

/** What a board has told may be anything. */
function describe([api, told]: readonly [string, unknown]): object {
  const { info, verbs } = isObject(told) ? told : {};
  const all = Array.isArray(verbs) ? verbs.filter(isObject) : [];
  return {
    api,
    ...(typeof info === "string" && { info }),
    verbs: all.flatMap(
      ({ name, info: about, task, confirm, arguments: args, privileges, sample }) =>
        typeof name === "string"
          ? {
              name,
              ...(typeof about === "string" && { info: about }),
              ...(task === true && { task }),
              ...(confirm === true && { confirm }),
              ...(isObject(args) && { arguments: args }),
              ...(Array.isArray(privileges) && { privileges }),
              ...(Array.isArray(sample) && { sample }),
            }
          : [],
    ),
  };
}
