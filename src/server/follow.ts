/** Which tasks a caller gets events of, as told by the reply to its call. */
import type { Reply } from "../api/reply.ts";
import { isObject } from "../object.ts";

/** Pids of the tasks still running: the one started, or those subscribed to. Empty when there is nothing to wait for. */
export function tasksToFollow({ request, response }: Reply, args: unknown): Set<number> {
  if (request.status !== "success") return new Set();
  if (isObject(response)) {
    // With a status it has ended already.
    const started = "command" in response && !("status" in response);
    return new Set(started && typeof response["pid"] === "number" ? [response["pid"]] : []);
  }
  if (!isObject(args) || String(args["action"]).toLowerCase() !== "subscribe") return new Set();
  // `sandbox/command@pid`, one or a list
  const pids = [response].flat().map((uid) => Number(/@(\d+)$/.exec(String(uid))?.[1]));
  return new Set(pids.filter((pid) => pid > 0));
}
