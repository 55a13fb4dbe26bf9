/** Tasks that this page has started: the answer to the start is the stream of its events, so nothing of them is lost. */
import type { Reply } from "./connection.ts";
import type { Json } from "./json.ts";
import { EventStream, openStream } from "./stream.ts";

/** Whose events nobody has heard yet. */
const fresh = new Map<string, EventStream>();
/** Of tasks that one does not look at any more. Some are read on: a task may end with its client. */
const aside = new Set<EventStream>();
const MOST_ASIDE = 3;

/** @param input what the command reads, where it reads something */
export async function startTask(
  api: string,
  verb: string,
  args: Json,
  input?: string,
): Promise<{ readonly id: string } | Reply> {
  try {
    const stream = await (input === undefined
      ? openStream(api, verb, {}, JSON.stringify({ action: "start", args }))
      : openStream(api, verb, { query: JSON.stringify(args) }, input));
    if (!(stream instanceof EventStream)) return stream;
    await stream.begin();
    fresh.set(stream.id, stream);
    return stream;
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    return { status: "disconnected", info: error.message, response: undefined };
  }
}

export const isStarted = (id: string): boolean => fresh.has(id);

export function takeStream(id: string): EventStream | undefined {
  const stream = fresh.get(id);
  fresh.delete(id);
  return stream;
}

export function putAside(stream: EventStream): void {
  aside.add(stream);
  for (const one of [...aside].slice(0, -MOST_ASIDE)) {
    aside.delete(one);
    one.leave();
  }
}
