/**
 * What the service manager hears of us (`Type=notify`, `Type=notify-reload`, `WatchdogSec=`), see sd_notify(3). Without
 * NOTIFY_SOCKET in the environment nobody listens, and nothing is sent.
 */
import { CError } from "../../ffi/errno.ts";
import { monotonicMicroseconds, sendDatagram } from "../../ffi/notify.ts";
import { DECIMAL, MOST_SECONDS } from "../config/ranges.ts";
import { visible } from "../visible.ts";

/** ms that a server's end takes besides. */
const AFTER_GRACE = 10_000;
/** ms until what could not be sent is tried again: twice as long each time, up to the most. */
const AGAIN = 50;
const MOST_AGAIN = 5_000;
const LOOK = 10;
/** Of a status: systemd ignores a message of more than 4096 bytes, and with it what else it says. */
const MOST_STATUS = 1_000;
/** What waits to be sent. */
const MOST_WAITING = 16;

type Environment = Readonly<Record<string, string | undefined>>;

export interface ServiceManager {
  /**
   * Serving.
   * @param status One line for `systemctl status`.
   * @param main The process that the service is from now on, when it is not this one.
   */
  ready(status: string, main?: number): void;
  /** A reload begins; {@link ready} tells its end, also one without success. */
  reloading(): void;
  /** @param grace ms that the tasks may take to end: it waits for longer than its TimeoutStopSec=, if it must */
  stopping(grace: number): void;
  /** Waits until all of it is sent, for so many ms at most. @returns whether it is */
  told(most: number): Promise<boolean>;
  /** Ends its timers. */
  close(): void;
}

/**
 * What cannot be sent waits and is tried again, in its order: a manager that is busy, as in a boot or amid a reload of its own, has
 * no room in its socket, and one that never hears `READY=1` or no sign of life kills the service.
 * @param complain Told once, when the manager cannot be reached: the service goes on meanwhile.
 * @param started The process that the manager started with this environment.
 */
export function serviceManager(
  env: Environment = process.env,
  complain: (message: string) => void = console.error,
  started = process.pid,
): ServiceManager {
  const socket = env["NOTIFY_SOCKET"];
  const waiting: string[] = [];
  let timer: ReturnType<typeof setTimeout> | undefined;
  let delay = AGAIN;
  let isTold = false;
  /** @returns whether it has been sent */
  const sent = (text: string): boolean => {
    try {
      sendDatagram(socket ?? "", text);
      return true;
    } catch (error) {
      // A manager that is busy has no room for the moment, which is nobody's fault.
      if (!isTold && !(error instanceof CError && error.errno === "EAGAIN")) {
        isTold = true;
        complain(
          `the service manager is not told: ${error instanceof Error ? error.message : ""}; it is tried again`,
        );
      }
      return false;
    }
  };
  const flush = (): void => {
    clearTimeout(timer);
    timer = undefined;
    for (let next = waiting[0]; next !== undefined; next = waiting[0]) {
      if (!sent(next)) {
        timer = setTimeout(flush, delay).unref();
        delay = Math.min(2 * delay, MOST_AGAIN);
        return;
      }
      waiting.shift();
    }
    delay = AGAIN;
  };
  const send = (...lines: string[]): void => {
    if (socket === undefined || socket === "") return;
    waiting.push(lines.join("\n"));
    // Of reloads without an end the last tell all.
    if (waiting.length > MOST_WAITING) waiting.shift();
    flush();
  };
  const interval = watchdogInterval(env, started);
  let soon: ReturnType<typeof setTimeout> | undefined;
  // One that is not sent is tried again before the next, which would be too late.
  const ping = (): void => {
    clearTimeout(soon);
    if (interval !== undefined && !sent("WATCHDOG=1"))
      soon = setTimeout(ping, Math.min(interval / 4, MOST_AGAIN)).unref();
  };
  // From the event loop itself, so that it stops when the loop does.
  const watchdog =
    socket !== undefined && socket !== "" && interval !== undefined
      ? setInterval(ping, interval)
      : undefined;
  return {
    ready: (status, main) =>
      send(
        ...(main === undefined ? [] : [`MAINPID=${main}`]),
        "READY=1",
        // A line of its own would be an assignment of its own: MAINPID=, to the service manager.
        `STATUS=${visible(oneLine(status)).slice(0, MOST_STATUS)}`,
      ),
    reloading: () => send("RELOADING=1", `MONOTONIC_USEC=${monotonicMicroseconds()}`),
    stopping: (grace) =>
      grace > 0
        ? send(
            "STOPPING=1",
            `EXTEND_TIMEOUT_USEC=${(grace + AFTER_GRACE) * 1000}`,
            `STATUS=stopping: the tasks have ${grace / 1000} s to end`,
          )
        : send("STOPPING=1", "STATUS=stopping: the tasks are being killed"),
    told: async (most) => {
      const end = performance.now() + most;
      while (waiting.length > 0 && performance.now() < end) await Bun.sleep(LOOK);
      return waiting.length === 0;
    },
    close: () => {
      clearInterval(watchdog);
      clearTimeout(soon);
      clearTimeout(timer);
    },
  };
}

/** Milliseconds between two signs of life: half of what the manager allows. undefined when it does not watch us. */
export function watchdogInterval(env: Environment, pid = process.pid): number | undefined {
  const watched = env["WATCHDOG_PID"];
  if (watched !== undefined && watched !== String(pid)) return undefined;
  const text = env["WATCHDOG_USEC"] ?? "";
  const microseconds = DECIMAL.test(text) ? Number(text) : 0;
  // What a timer cannot count would be over at once, and again and again.
  const most = MOST_SECONDS * 1000;
  return microseconds > 0
    ? Math.min(most, Math.max(1, Math.floor(microseconds / 2000)))
    : undefined;
}

function oneLine(text: string): string {
  const lines = text.split("\n").map((line) => line.trim());
  return lines.filter((line) => line !== "").join("; ");
}
