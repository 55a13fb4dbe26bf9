/** When this process was started, by the clock as it is now: a board that began in 1970 has been set since. */
import { readFileSync } from "node:fs";

/** Ticks of a second, which are the same on all that it runs on, see sysconf(3). */
const TICKS = 100;

/**
 * Seconds since 1970. As others compute it, so it moves with the clock, and with nothing else: not with sleep, nor from one time to the
 * next. Where /proc has no such file (ProcSubset=pid) it is by the clock of the start.
 */
export function startTime(read = (path: string): string => readFileSync(path, "utf8")): number {
  try {
    return startOf(read("/proc/stat"), read("/proc/self/stat"));
  } catch (error) {
    if (!(error instanceof Error && "code" in error)) throw error;
    return performance.timeOrigin / 1000;
  }
}

/** See proc_stat(5) and proc_pid_stat(5): the name of a program may have blanks and brackets in it. */
function startOf(machine: string, own: string): number {
  const [, booted = "0"] = /^btime (\d+)$/m.exec(machine) ?? [];
  const fields = own.slice(own.lastIndexOf(")") + 2).split(" ");
  return Number(booted) + Number(fields[19] ?? 0) / TICKS;
}
