/** A task as `monitor/tasks` tells it. */
import { isObject, type Json, listOf, numberOf, objectOf, textOf, textsOf } from "./json.ts";

export interface TaskRecord {
  readonly id: string;
  readonly api: string;
  readonly verb: string;
  readonly sandbox: string;
  readonly state: string;
  readonly caller: string;
  readonly pid: number | undefined;
  /** ms since 1970 by the clock of the board. */
  readonly asked: number;
  /** When it began, by `performance.now()` here: the clock of the board may be another, and is set. Of one that runs. */
  readonly begun: number | undefined;
  readonly args: unknown;
  readonly argv: readonly string[];
  /** Its arguments are not all told. */
  readonly hidden: boolean;
  readonly lines: number;
  readonly status: Json | undefined;
}

export function readRecord(value: unknown): TaskRecord | undefined {
  if (!isObject(value)) return undefined;
  const { id, api, verb, state } = value;
  if (typeof id !== "string" || typeof api !== "string" || typeof verb !== "string")
    return undefined;
  const status = value["status"];
  const wall = numberOf(value["wall"]);
  return {
    ...{ id, api, verb },
    sandbox: textOf(value["sandbox"]) ?? "",
    state: textOf(state) ?? "",
    caller: callerOf(objectOf(value["caller"])),
    pid: numberOf(value["pid"]),
    asked: numberOf(value["asked"]) ?? 0,
    begun: wall === undefined ? undefined : performance.now() - wall,
    args: value["args"],
    argv: textsOf(value["argv"]),
    hidden: value["hidden"] === true || value["cut"] !== undefined,
    lines: numberOf(objectOf(value["printed"])["lines"]) ?? 0,
    status: isObject(status) ? status : undefined,
  };
}

export const readRecords = (value: unknown): TaskRecord[] =>
  listOf(value).flatMap((one) => readRecord(one) ?? []);

function callerOf({ info, uid, address, certificate, via }: Json): string {
  const who = textOf(info) ?? textOf(certificate) ?? textOf(address);
  return who ?? (numberOf(uid) === undefined ? (textOf(via) ?? "") : `uid ${String(uid)}`);
}
