/** `http` of a command: HTTP statuses by exit code. */
import type { Command } from "../config/command-schema.ts";
import { DECIMAL } from "../config/ranges.ts";
import type { Plan } from "./plan.ts";
import type { Report } from "./report.ts";

/** RFC 9110: with these comes no body, or only a part of one, so that they could not carry a reply. */
const WITHOUT_REPLY: ReadonlySet<number> = new Set([204, 205, 206, 304]);

export function compileHttp(
  { http }: Pick<Command, "http">,
  path: string,
  report: Report,
): Pick<Plan, "http"> {
  if (!http) return {};
  const statuses = Object.entries(http).flatMap(([exit, status]): [string, number][] => {
    const fault = faultOf(exit, status);
    if (fault !== undefined) report.problem(path, fault);
    return fault === undefined && typeof status === "number" ? [[exit, status]] : [];
  });
  return statuses.length > 0 ? { http: Object.fromEntries(statuses) } : {};
}

function faultOf(exit: string, status: unknown): string | undefined {
  const key = JSON.stringify(exit);
  if (!DECIMAL.test(exit) || Number(exit) > 255)
    return `found the key ${key}, expected an exit code: "0" to "255"`;
  const found = `${key}: found ${JSON.stringify(status)}, expected an HTTP status from 200 to 599`;
  if (typeof status !== "number" || !Number.isInteger(status)) return found;
  if (status < 200 || status > 599) return found;
  if (WITHOUT_REPLY.has(status)) return `${key}: ${status} is for answers without a whole body`;
  return undefined;
}

/** In the order of the exit codes, such as `["422", [1, 2]]`. */
export function exitsByStatus(
  http: NonNullable<Plan["http"]>,
): [status: string, exits: number[]][] {
  const exits = Object.keys(http).map(Number);
  const groups = Map.groupBy(exits, (exit) => String(http[exit]));
  return [...groups];
}

export const httpWords = (http: NonNullable<Plan["http"]>): string =>
  `over REST the HTTP status tells the exit: ${exitsByStatus(http)
    .map(([status, exits]) => `${status} for ${exits.join(", ")}`)
    .join("; ")}`;
