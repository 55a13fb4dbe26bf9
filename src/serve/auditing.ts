/** The audit of a server: what the command line says of it, and the calls that are refused where there must be one and is none. */
import type { AuditOptions } from "../audit/open.ts";
import type { Audit } from "../audit/audit.ts";
import type { TaskRecord } from "../api/record.ts";
import type { Fed, Refusal, Relayed, Stopping, Witness } from "../api/witness.ts";
import type { Problem } from "../config/problem.ts";
import { DECIMAL } from "../config/ranges.ts";
import { AfbError } from "../errors.ts";
import { serverLog } from "../log.ts";
import type { Values } from "../manual/options.ts";
import { type ApiPlan, launchable, type Plan } from "../plan/plan.ts";
import { parseSize } from "../plan/size.ts";

const DEFAULT_MAX = "8M";
const DEFAULT_FILES = 4;
/** Less is a line or two. */
const LEAST = 4096;
const MOST_FILES = 999;

export const AUDIT = {
  audit: {
    argument: "FILE",
    text: "one line of JSON for each start, stop, end and refusal: into a file, or stderr, journal or syslog",
    words: ["stderr", "journal", "syslog"],
    path: "file",
  },
  "audit-max": {
    argument: "SIZE",
    text: `size of the file at which another is begun (default ${DEFAULT_MAX}; 0: never)`,
  },
  "audit-files": {
    argument: "N",
    text: `files of before that are kept, FILE.1 the latest of them (default ${DEFAULT_FILES})`,
  },
} as const;

/** undefined: no audit. @throws TypeError, which is wrong usage */
export function auditOptions(values: Values<typeof AUDIT>): AuditOptions | undefined {
  const { audit: to, "audit-max": max, "audit-files": files } = values;
  if (to === undefined) {
    const given =
      max === undefined ? (files === undefined ? undefined : "--audit-files") : "--audit-max";
    if (given !== undefined) throw new TypeError(`${given} is for --audit FILE`);
    return undefined;
  }
  if (to === "" || to.endsWith("/"))
    throw new TypeError("--audit: expected a file, stderr, journal or syslog");
  return { to, most: parseMax(max ?? DEFAULT_MAX), count: parseFiles(files) };
}

function parseMax(text: string): number {
  // Beyond 15 digits there is no disk, and no number.
  const size = text.length <= 15 ? Number(parseSize(text)) : Number.NaN;
  if (size === 0 || (size >= LEAST && Number.isSafeInteger(size))) return size;
  throw new TypeError(
    `--audit-max ${text}: expected a size such as ${DEFAULT_MAX}, at least ${LEAST} bytes; or 0`,
  );
}

function parseFiles(text = String(DEFAULT_FILES)): number {
  if (DECIMAL.test(text) && Number(text) >= 1 && Number(text) <= MOST_FILES) return Number(text);
  throw new TypeError(`--audit-files ${text}: expected a number of files, from 1 to ${MOST_FILES}`);
}

/** From one audit to another: one of both is called, once it is sure which it is. */
export interface Change {
  keep(): Promise<void>;
  giveBack(): Promise<void>;
}

export class Auditing implements Witness {
  #audit: Audit | undefined;

  /**
   * From now on calls are told there; undefined: where they were.
   * @throws Error that says why it cannot be there, and what to do
   */
  async use(options: AuditOptions | undefined): Promise<Change> {
    if (!options) return { keep: async () => {}, giveBack: async () => {} };
    const { openAudit } = await import("../audit/open.ts");
    const before = this.#audit;
    const opened = openAudit(options, serverLog.for(""));
    this.#audit = opened;
    return {
      keep: async () => before?.close(),
      giveBack: async () => {
        this.#audit = before;
        await opened.close();
      },
    };
  }

  /** undefined where there is none. */
  get audit(): Audit | undefined {
    return this.#audit;
  }

  mayStart(record: TaskRecord, plan: Plan): Promise<void> | undefined {
    if (!plan.audited) return undefined;
    if (!this.#audit) throw refused(plan, "there is no audit: start the server with --audit");
    return this.#audit.begin(record).then((why) => {
      if (why !== undefined) throw refused(plan, `${this.#audit?.sink.name}: ${why}`);
    });
  }

  started(record: TaskRecord): void {
    this.#audit?.started(record);
  }

  ended(record: TaskRecord): void {
    this.#audit?.ended(record);
  }

  stopping(stopping: Stopping): void {
    this.#audit?.stopping(stopping);
  }

  fed(fed: Fed): void {
    this.#audit?.fed(fed);
  }

  refused(refusal: Refusal): void {
    this.#audit?.refused(refusal);
  }

  relayed(relayed: Relayed): void {
    this.#audit?.relayed(relayed);
  }

  reopen(): void {
    this.#audit?.reopen();
  }

  async close(): Promise<void> {
    await this.#audit?.close();
  }
}

/** Of each config whose calls are refused where there is no audit. */
export function unaudited(apis: readonly ApiPlan[]): Problem[] {
  return apis.flatMap(({ file, sandboxes }) => {
    const all = sandboxes.flatMap(launchable).filter(({ audited }) => audited);
    if (all.length === 0) return [];
    const verbs = [...new Set(all.map(({ verb }) => verb))].join(", ");
    const message = `without an audit every start of ${verbs} is refused: serve with --audit FILE`;
    return [{ file, path: "audit.required", message }];
  });
}

const refused = ({ api, verb }: Plan, why: string): AfbError =>
  new AfbError("not-available", `${api}/${verb} must be audited, and cannot be: ${why}`);
