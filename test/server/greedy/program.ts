/** What all client programs of the load test have in common: where and how long, and a report as their last words. */
import { connect, type NetConnectOpts, type Socket } from "node:net";

/** `host:port`, or the path of a unix socket. */
export const door = process.argv[2] ?? "";
export const seconds = Number(process.argv[3]);
/** After this, ms of performance.now(), nothing more is begun; what was begun is waited for. */
export const end = performance.now() + seconds * 1000;
/** How this one behaves, where there is a choice. */
export const manner = process.argv[4] ?? "";

export const over = (): boolean => performance.now() >= end;
export const pause = (milliseconds: number): Promise<void> =>
  new Promise((resolve) => setTimeout(resolve, milliseconds));
/** Until the end. */
export const rest = (): Promise<void> => pause(Math.max(0, end - performance.now()));

/** What a client program has to say: lists of milliseconds, numbers, and what went wrong. */
export interface Told {
  /** Calls that the server has taken on, and that had no reply, another than theirs, or two. */
  lost: number;
  /** Of the first that was lost. */
  wrong?: string;
  [count: string]: unknown;
}

/** Prints the report, and ends the program with all its connections. */
export function report(told: Told): never {
  console.log(JSON.stringify(told));
  process.exit(0);
}

/** Connected; undefined where that is refused or cut off. Its errors are ends. */
export function open(): Promise<Socket | undefined> {
  const at = door.lastIndexOf(":");
  const where: NetConnectOpts = door.startsWith("/")
    ? { path: door }
    : { host: door.slice(0, at), port: Number(door.slice(at + 1)) };
  const socket = connect(where);
  return new Promise((resolve) => {
    socket.on("error", () => socket.destroy());
    socket.on("close", () => resolve(undefined));
    socket.once("connect", () => {
      socket.setNoDelay(true);
      resolve(socket);
    });
  });
}

/** Calls `each` with numbers from 0, all at once, and waits for all. */
export const many = (count: number, each: (n: number) => Promise<void>): Promise<void[]> =>
  Promise.all(Array.from({ length: count }, (_, n) => each(n)));
