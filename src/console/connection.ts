/**
 * The WebSocket to the server: calls and their replies, events of tasks, and coming back after a loss. It speaks AFB
 * (`x-afb-ws-json1`), as any other client.
 */
import { signal } from "./signal.ts";
import { delayOf } from "./backoff.ts";
import { isObject, type Json, objectOf, parseJson, textOf } from "./json.ts";
import { recall } from "./storage.ts";

export interface Reply {
  readonly status: string;
  /** What to do about it. */
  readonly info: string;
  readonly response: unknown;
}

export const succeeded = ({ status }: Reply): boolean => status === "success";

export type Listener = (data: Json) => void;

/** Counts the connections: who follows something asks for it again when it changes. 0 before the first. */
export const generation = signal(0);
/** No server for a while. */
export const lost = signal(false);
/** The token that the server did not take, or not any more. */
export const refused = signal(false);

/** Everything is below that, also behind a proxy that puts something before it. */
export const base = location.pathname.replace(/(console\/)?[^/]*$/, "");
const address = `${location.origin.replace(/^http/, "ws")}${base}api`;

const [CALL, REPLY, ERROR, EVENT] = [2, 3, 4, 5];
/** ms without a server before that is told. */
const PATIENCE = 2_000;
/** ms of silence after which the server is asked whether it is there, and that an answer may take. */
const SILENCE = 5_000;
const ANSWER = 8_000;

let socket: WebSocket | undefined;
let opened = deferred<WebSocket>();
let tries = 0;
let retry: ReturnType<typeof setTimeout> | undefined;
/** Since it was looked at last. */
let isHeard = false;
let number = 0;
const calls = new Map<string, (reply: Reply) => void>();
const listeners = new Map<string, Set<Listener>>();

/** `Promise.withResolvers`, which browsers of cars do not have yet. */
function deferred<T>(): { readonly promise: Promise<T>; readonly resolve: (value: T) => void } {
  let resolve = (_: T): void => {};
  const promise = new Promise<T>((done) => (resolve = done));
  return { promise, resolve };
}

export function connect(): void {
  let patience = setTimeout(() => (lost.value = true), PATIENCE);
  const open = (): void => {
    clearTimeout(retry);
    const made = new WebSocket(address, "x-afb-ws-json1");
    let wasOpen = false;
    socket = made;
    made.onopen = () => {
      wasOpen = true;
      clearTimeout(patience);
      tries = 0;
      isHeard = true;
      lost.value = false;
      opened.resolve(made);
      generation.value++;
    };
    made.onmessage = ({ data }) => {
      isHeard = true;
      if (typeof data === "string") receive(data);
    };
    made.onclose = () => {
      if (socket !== made) return;
      socket = undefined;
      if (wasOpen) {
        patience = setTimeout(() => (lost.value = true), PATIENCE);
        opened = deferred();
      }
      for (const answer of calls.values())
        answer({ status: "disconnected", info: "", response: undefined });
      calls.clear();
      retry = setTimeout(open, delayOf(tries++));
    };
  };
  const now = (): void => {
    if (socket || document.hidden) return;
    tries = 0;
    open();
  };
  addEventListener("online", now);
  document.addEventListener("visibilitychange", now);
  setInterval(() => void probe(), SILENCE);
  open();
}

/** A network that is gone tells nobody: the server is asked. */
async function probe(): Promise<void> {
  const asked = socket;
  const wasHeard = isHeard;
  isHeard = false;
  if (!asked || asked.readyState !== WebSocket.OPEN || wasHeard) return;
  const timer = setTimeout(() => {
    if (socket === asked) lost.value = true;
    leave(asked);
  }, ANSWER);
  await call("monitor/session");
  clearTimeout(timer);
}

/** With another token everything is asked again. */
export function reconnect(): void {
  refused.value = false;
  if (socket) leave(socket);
}

/** At once: its close may wait for an answer that does not come, and what is called meanwhile waits for the next. */
function leave(left: WebSocket): void {
  left.close();
  left.onclose?.(new CloseEvent("close"));
}

export const token = (): string | undefined => recall("session", "token");

/** Waits for the server. Resolves also where the call is refused, or the connection is lost meanwhile (`disconnected`). */
export async function call(verb: string, args: unknown = null): Promise<Reply> {
  const on = await opened.promise;
  const id = String(++number);
  const secret = token();
  const { promise, resolve } = deferred<Reply>();
  calls.set(id, resolve);
  if (on.readyState !== WebSocket.OPEN) {
    calls.delete(id);
    return { status: "disconnected", info: "", response: undefined };
  }
  on.send(JSON.stringify([CALL, id, verb, args, ...(secret === undefined ? [] : [secret])]));
  const reply = await promise;
  if (reply.status === "invalid-token") refused.value = true;
  return reply;
}

/** Events of that name, until the function that is returned is called. */
export function listen(event: string, listener: Listener): () => void {
  const name = event.toLowerCase();
  const all = listeners.get(name) ?? new Set();
  listeners.set(name, all.add(listener));
  return () => {
    all.delete(listener);
  };
}

function receive(text: string): void {
  const message = parseJson(text);
  if (!Array.isArray(message)) return;
  const [kind, name, about] = message as unknown[];
  if (kind === EVENT && typeof name === "string") {
    const { data } = objectOf(about);
    const all = listeners.get(name.toLowerCase());
    if (all && isObject(data)) for (const listener of [...all]) listener(data);
  }
  if ((kind !== REPLY && kind !== ERROR) || typeof name !== "string") return;
  const answer = calls.get(name);
  calls.delete(name);
  const { request, response } = objectOf(about);
  const { status, info } = objectOf(request);
  answer?.({ status: textOf(status) ?? "?", info: textOf(info) ?? "", response });
}
