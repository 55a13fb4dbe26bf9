/**
 * Tasks in a file, by bun:sqlite. What is written is there when a process dies, and when the power goes the file is whole, perhaps
 * without the last of it: WAL, with NORMAL synchronisation.
 */
import { type BigIntStats, statSync } from "node:fs";
import { Database, type Statement } from "bun:sqlite";
import type { Kind, Wanted } from "../api/archive.ts";
import { CREDIBLE } from "../credible.ts";
import type { Limits } from "./limits.ts";

/** `spbx`, so that no file of another program is taken for ours. */
const APPLICATION = 0x73706278;
const VERSION = 1;
/** Bytes of the file of what is to come: then it goes into the other. */
const WAL = 1 << 20;
/** Part of the tasks that goes when there are too many bytes. */
const PART = 1 / 16;
const DAY = 86_400_000;

const SCHEMA = `
CREATE TABLE kind (key INTEGER PRIMARY KEY, api TEXT, verb TEXT, privileges TEXT, UNIQUE (api, verb, privileges));
CREATE TABLE task (
  seq INTEGER PRIMARY KEY, id TEXT UNIQUE, kind INTEGER, pid INTEGER, info TEXT, address TEXT, uid TEXT,
  asked INTEGER, last INTEGER, record TEXT
);
CREATE TABLE output (task TEXT, first INTEGER, count INTEGER, bytes INTEGER, events TEXT, PRIMARY KEY (task, first)) WITHOUT ROWID;
`;

export interface TaskRow {
  readonly id: string;
  readonly api: string;
  readonly verb: string;
  readonly privileges: string;
  readonly pid: number | null;
  readonly info: string | null;
  readonly address: string | null;
  readonly uid: string | null;
  readonly asked: number;
  /** Number of its last event. */
  readonly last: number;
  /** JSON. */
  readonly record: string;
}

export interface OutputRow {
  /** Number of its first event. */
  readonly first: number;
  readonly count: number;
  /** JSON of each, in lines. */
  readonly events: string;
}

interface Named {
  readonly record: string;
  readonly last: number;
}

/** Of the file beside it that is mapped by all who have it open. */
const isOfMemory = (error: unknown): boolean =>
  error instanceof Error && "code" in error && String(error.code).startsWith("SQLITE_IOERR_SHM");

export class Store {
  #db: Database;
  readonly #path: string;
  #file: BigIntStats | undefined;
  readonly #kinds = new Map<string, number>();
  readonly #statements = new Map<string, Statement>();
  /**
   * When the last task of before the clock was set, or the file opened, was asked for: epoch ms, by the clock of then. undefined until
   * something is written.
   */
  #before: number | undefined;

  /** @throws Error that says why it cannot be used */
  constructor(path: string) {
    this.#path = path;
    this.#db = this.#opened(false);
  }

  /**
   * @param alone nobody else can read it meanwhile. Then SQLite needs no memory in common with others, which file systems of other
   * machines (9p, virtiofs) and some of FUSE do not give.
   */
  #opened(alone: boolean): Database {
    const db = new Database(this.#path, { readwrite: true, create: false });
    this.#db = db;
    try {
      if (alone) db.run("PRAGMA locking_mode = EXCLUSIVE");
      this.#open();
      this.#file = statSync(this.#path, { bigint: true });
      return db;
    } catch (error) {
      this.close();
      if (!alone && isOfMemory(error)) return this.#opened(true);
      throw error;
    }
  }

  /** Nobody has removed it, or put another in its place: what is written then is written for nobody. */
  get isThere(): boolean {
    const now = statSync(this.#path, { bigint: true, throwIfNoEntry: false });
    return now !== undefined && now.ino === this.#file?.ino && now.dev === this.#file.dev;
  }

  /**
   * What is written goes beside the file first, and into it once nobody reads what was there before: who reads and does not end would
   * let that grow until the disk is full.
   * @param most bytes beside the file
   * @throws Error where they are more, and cannot go into it now
   */
  settle(most: number): void {
    if (this.#beside <= most) return;
    this.#db.run("PRAGMA wal_checkpoint(TRUNCATE)");
    const beside = this.#beside;
    if (beside > most)
      throw Object.assign(new Error(`it reads for long: ${this.#path}-wal has ${beside} bytes`), {
        code: "SQLITE_BUSY",
      });
  }

  get #beside(): number {
    return statSync(`${this.#path}-wal`, { throwIfNoEntry: false })?.size ?? 0;
  }

  /** All of it, or nothing. Whoever else has the file must not hold the server up: SQLite waits for nobody unless it is told to. */
  write(work: () => void): void {
    this.#wholly(() => {
      const last = "SELECT asked FROM task ORDER BY seq DESC LIMIT 1";
      this.#before ??= this.#get<{ asked: number }>(last)?.asked ?? 0;
      work();
    });
  }

  #wholly(work: () => void): void {
    this.#run("BEGIN IMMEDIATE");
    try {
      work();
      this.#run("COMMIT");
    } catch (error) {
      if (this.#db.inTransaction) this.#run("ROLLBACK");
      this.#kinds.clear();
      throw error;
    }
  }

  task(row: TaskRow): void {
    const { id, pid, info, address, uid, asked, last, record } = row;
    this.#run(
      `INSERT INTO task (id, kind, pid, info, address, uid, asked, last, record) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
       ON CONFLICT (id) DO UPDATE SET pid = excluded.pid, last = excluded.last, record = excluded.record`,
      ...[id, this.#kind(row), pid, info, address, uid, asked, last, record],
    );
  }

  /** Whether a task is there: one that runs for long may have been let go. */
  has(id: string): boolean {
    return this.#get("SELECT 1 FROM task WHERE id = ?", id) !== undefined;
  }

  output(task: string, { first, count, events }: OutputRow): void {
    this.#run(
      "INSERT OR REPLACE INTO output (task, first, count, bytes, events) VALUES (?, ?, ?, ?, ?)",
      ...[task, first, count, events.length, events],
    );
  }

  /** What a task has sent before that number. */
  forget(task: string, first: number): void {
    this.#run("DELETE FROM output WHERE task = ? AND first < ?", task, first);
  }

  /** Whether it is right now shows what was there before. */
  clockIsSet(): void {
    this.#before = undefined;
  }

  /**
   * Lets go what is beyond the limits.
   * @param now epoch ms
   * @param isSteady the clock has been as it is for so long that all that was there before may go, where it says so
   */
  trim({ tasks, bytes, days }: Limits, now: number, isSteady: boolean): void {
    const { count } = this.#row<{ count: number }>("SELECT count(*) AS count FROM task");
    let gone = Math.max(0, count - tasks);
    if (this.bytes > bytes) gone = Math.max(gone, Math.ceil(count * PART));
    const time = now - days * DAY;
    // A clock that is far ahead for a moment would empty the file.
    const before = this.#before ?? 0;
    const isLikely = isSteady || (before >= time && before <= now);
    const last = isLikely ? this.#lastOld(time, now) : 0;
    if (gone === 0 && last === 0) return;
    const late =
      "SELECT seq FROM task WHERE seq <= ?1 OR seq IN (SELECT seq FROM task ORDER BY seq LIMIT ?2)";
    this.#run(
      `DELETE FROM output WHERE task IN (SELECT id FROM task WHERE seq IN (${late}))`,
      ...[last, gone],
    );
    this.#run(`DELETE FROM task WHERE seq IN (${late})`, last, gone);
    this.#run("DELETE FROM kind WHERE key NOT IN (SELECT kind FROM task)");
    this.#kinds.clear();
  }

  /**
   * The last task of before a time; 0: none. What its clock said counts only as far as it can be: a board may have begun anew in
   * 1970, or anywhere, and set its clock later. So what comes after a task that is not old is not old either, and a time of before
   * this program is none.
   */
  #lastOld(time: number, now: number): number {
    const first = this.#get<{ seq: number }>(
      "SELECT seq FROM task WHERE asked BETWEEN ? AND ? ORDER BY seq LIMIT 1",
      ...[time, now],
    );
    const last = this.#get<{ seq: number }>(
      "SELECT seq FROM task WHERE seq < ? AND asked >= ? AND asked < ? ORDER BY seq DESC LIMIT 1",
      // Where none is new, as while one runs for months, all that are old are.
      ...[first?.seq ?? Number.MAX_SAFE_INTEGER, CREDIBLE, time],
    );
    return last?.seq ?? 0;
  }

  /** Gives room back to the file system, where it is more than so many bytes: what is less is used again. */
  shrink(most: number): void {
    const { free } = this.#row<{ free: number }>(
      "SELECT freelist_count * page_size AS free FROM pragma_freelist_count, pragma_page_size",
    );
    if (free > most) this.#db.run("PRAGMA incremental_vacuum");
  }

  /** Of the file, without what is free in it. */
  get bytes(): number {
    return this.#row<{ bytes: number }>(
      "SELECT (page_count - freelist_count) * page_size AS bytes FROM pragma_page_count, pragma_freelist_count, pragma_page_size",
    ).bytes;
  }

  /** The greatest id; undefined where there is no task. */
  get newest(): string | undefined {
    return this.#row<{ id: string | null }>("SELECT max(id) AS id FROM task").id ?? undefined;
  }

  kinds(): Kind[] {
    const rows = this.#all<{ key: number; api: string; verb: string; privileges: string }>(
      "SELECT key, api, verb, privileges FROM kind",
    );
    return rows.map(({ privileges, ...kind }) => ({
      ...kind,
      privileges: JSON.parse(privileges) as string[],
    }));
  }

  /** JSON of records. */
  records({ kinds, caller, pid, id, before, limit }: Wanted): string[] {
    const where = [`kind IN (${kinds.map(Number).join(",")})`];
    const values: (string | number)[] = [];
    const add = (condition: string, ...given: (string | number)[]): void => {
      where.push(condition);
      values.push(...given);
    };
    if (caller !== undefined) add("(info = ? OR address = ? OR uid = ?)", caller, caller, caller);
    if (pid !== undefined) add("pid = ?", pid);
    if (id !== undefined) add("id = ?", id);
    if (before !== undefined) add("id < ?", before);
    const sql = `SELECT record FROM task WHERE ${where.join(" AND ")} ORDER BY id DESC LIMIT ?`;
    // Not kept: lists of kinds are many.
    using statement = this.#db.prepare(sql);
    return (statement.all(...values, limit) as { record: string }[]).map(({ record }) => record);
  }

  find(id: string): (Named & { readonly kind: Kind }) | undefined {
    const row = this.#get<Named & { kind: number }>(
      "SELECT record, last, kind FROM task WHERE id = ?",
      id,
    );
    const kind = row && this.kinds().find(({ key }) => key === row.kind);
    return row && kind ? { ...row, kind } : undefined;
  }

  outputOf(id: string): OutputRow[] {
    return this.#all<OutputRow>(
      "SELECT first, count, events FROM output WHERE task = ? ORDER BY first",
      id,
    );
  }

  /** A statement that is not finalized would keep the file open. */
  close(): void {
    for (const statement of this.#statements.values()) statement.finalize();
    this.#statements.clear();
    this.#db.close();
  }

  #open(): void {
    const { application_id: application } = this.#row<{ application_id: number }>(
      "PRAGMA application_id",
    );
    const { user_version: version } = this.#row<{ user_version: number }>("PRAGMA user_version");
    const { tables } = this.#row<{ tables: number }>(
      "SELECT count(*) AS tables FROM sqlite_schema",
    );
    const isNew = tables === 0 && application === 0;
    if (!isNew && application !== APPLICATION)
      throw new Error("is a database of another program: give another file");
    if (version > VERSION)
      throw new Error(
        `is of a newer spawnbox (version ${version}, this one knows ${VERSION}): use that, or give another file`,
      );
    if (isNew) this.#db.run("PRAGMA auto_vacuum = INCREMENTAL");
    this.#db.run("PRAGMA journal_mode = WAL");
    this.#db.run("PRAGMA synchronous = NORMAL");
    this.#db.run(`PRAGMA journal_size_limit = ${WAL}`);
    this.#db.run(`PRAGMA wal_autocheckpoint = ${WAL / 4096}`);
    // Of 2 MB that it would take: what is written is at the end of each table.
    this.#db.run("PRAGMA cache_size = -256");
    if (!isNew) return;
    this.#wholly(() => {
      this.#db.run(SCHEMA);
      this.#db.run(`PRAGMA application_id = ${APPLICATION}`);
      this.#db.run(`PRAGMA user_version = ${VERSION}`);
    });
  }

  #kind({ api, verb, privileges }: TaskRow): number {
    const name = JSON.stringify([api, verb, privileges]);
    const known = this.#kinds.get(name);
    if (known !== undefined) return known;
    this.#run(
      "INSERT OR IGNORE INTO kind (api, verb, privileges) VALUES (?, ?, ?)",
      api,
      verb,
      privileges,
    );
    const row = this.#get<{ key: number }>(
      "SELECT key FROM kind WHERE api = ? AND verb = ? AND privileges = ?",
      ...[api, verb, privileges],
    );
    if (!row) throw new Error("the kind of a task is not kept");
    this.#kinds.set(name, row.key);
    return row.key;
  }

  #run(sql: string, ...values: (string | number | null)[]): void {
    this.#statement(sql).run(...values);
  }

  /** Of a query that always has one. */
  #row<Row>(sql: string): Row {
    return this.#statement(sql).get() as Row;
  }

  #get<Row>(sql: string, ...values: (string | number)[]): Row | undefined {
    return (this.#statement(sql).get(...values) as Row | null) ?? undefined;
  }

  #all<Row>(sql: string, ...values: (string | number)[]): Row[] {
    return this.#statement(sql).all(...values) as Row[];
  }

  #statement(sql: string): Statement {
    const known = this.#statements.get(sql);
    if (known) return known;
    const made = this.#db.prepare(sql);
    this.#statements.set(sql, made);
    return made;
  }
}
