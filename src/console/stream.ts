/**
 * Events of one task as Server-Sent Events: many come with one read, where a WebSocket would wake the page for each, and a page that
 * is slow holds them back. Each has its number, so a stream that breaks is continued, and nothing is run again.
 */
import { base, type Reply, token } from "./connection.ts";
import { isObject, type Json, objectOf, parseJson, textOf } from "./json.ts";
import { isTurnOver, nextTurn } from "./turns.ts";

export type Hear = (data: Json, number: number) => void;

export class EventStream {
  /** Of the task; known with the first event. */
  id = "";
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  readonly #decoder = new TextDecoder();
  #rest = "";
  /** Events that nobody has heard yet. */
  #early: [Json, number][] = [];

  constructor(body: ReadableStream<Uint8Array<ArrayBuffer>>) {
    this.#reader = body.getReader();
  }

  /** Until the task has a name, or at the end. */
  async begin(): Promise<void> {
    const early: Hear = (data, number) => this.#early.push([data, number]);
    while (this.id === "") if (!(await this.#read(early))) return;
  }

  /** Resolves at the end. Rejects where the connection breaks. */
  async hear(hear: Hear): Promise<void> {
    for (const [data, number] of this.#early.splice(0)) {
      hear(data, number);
      if (isTurnOver()) await nextTurn();
    }
    while (await this.#read(hear));
  }

  /** Closes the connection. */
  leave(): void {
    // It may be broken already, which its reader is told.
    this.#reader.cancel().catch(() => undefined);
  }

  async #read(hear: Hear): Promise<boolean> {
    const { done, value } = await this.#reader.read();
    if (done) return false;
    const text = this.#decoder.decode(value, { stream: true });
    this.#rest += text;
    // One long event comes in many pieces: it is not looked through with each.
    if (!text.includes("\n")) return true;
    const blocks = this.#rest.split("\n\n");
    this.#rest = blocks.pop() ?? "";
    for (const block of blocks) {
      this.#take(block, hear);
      // What is not read meanwhile waits at the server.
      if (isTurnOver()) await nextTurn();
    }
    return true;
  }

  /** Comments and replies are no events of the task. */
  #take(block: string, hear: Hear): void {
    let number = 0;
    for (const line of block.split("\n")) {
      const [, id, digits] = /^id: (\w+):(\d+)$/.exec(line) ?? [];
      if (id !== undefined) [this.id, number] = [id, Number(digits)];
      if (!line.startsWith("data: ")) continue;
      const { data, jtype } = objectOf(parseJson(line.slice("data: ".length)));
      if (jtype === "afb-event" && isObject(data)) hear(data, number);
    }
  }
}

/** The stream of a call, or the reply that says why there is none. Rejects where there is no server. */
export async function openStream(
  api: string,
  verb: string,
  query: Readonly<Record<string, string>>,
  body?: string,
): Promise<EventStream | Reply> {
  const path = [api, ...verb.split("/")].map(encodeURIComponent).join("/");
  const secret = token();
  const response = await fetch(`${base}api/${path}/events?${new URLSearchParams(query)}`, {
    ...(body !== undefined && { method: "POST", body }),
    headers: {
      ...(body !== undefined && { "content-type": "application/json" }),
      ...(secret !== undefined && { authorization: `Bearer ${secret}` }),
    },
  });
  if (response.ok && response.status !== 204 && response.body)
    return new EventStream(response.body);
  const reply = objectOf(parseJson(await response.text()));
  const { status, info } = objectOf(reply["request"]);
  return {
    status: textOf(status) ?? String(response.status),
    info: textOf(info) ?? "",
    response: reply["response"],
  };
}
