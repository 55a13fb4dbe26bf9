/** What the kernel says of an open descriptor of this process: proc_pid_fdinfo(5). */
import { existsSync, readFileSync } from "node:fs";

const flagsOf = (fd: number): number =>
  Number.parseInt(
    /^flags:\s+(\d+)/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, "latin1"))?.[1] ?? "0",
    8,
  );

export const FLAG = {
  NONBLOCK: 0o4000,
  ASYNC: 0o20000,
  CLOEXEC: 0o2000000,
  PATH: 0o10000000,
} as const;

export const has = (fd: number, flag: keyof typeof FLAG): boolean =>
  (flagsOf(fd) & FLAG[flag]) !== 0;

export const isOpen = (fd: number): boolean => existsSync(`/proc/self/fdinfo/${fd}`);
