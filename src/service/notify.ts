/**
 * What the service manager hears of us (`Type=notify`, `Type=notify-reload`, `WatchdogSec=`), see sd_notify(3). Without
 * NOTIFY_SOCKET in the environment nobody listens, and nothing is sent.
 */
import { monotonicMicroseconds, sendDatagram } from "../../ffi/notify.ts";
import { DECIMAL, MOST_SECONDS } from "../config/ranges.ts";
import { visible } from "../visible.ts";

/** ms that a server's end takes besides. */
const AFTER_GRACE = 10_000;

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
  /** Ends the watchdog's timer. */
  close(): void;
}

/**
 * @param complain Told once, when the manager cannot be reached: the service goes on without it.
 * @param started The process that the manager started with this environment.
 */
export function serviceManager(
  env: Environment = process.env,
  complain: (message: string) => void = console.error,
  started = process.pid,
): ServiceManager {
  const socket = env["NOTIFY_SOCKET"];
  let reachable = socket !== undefined && socket !== "";
  const send = (...lines: string[]): void => {
    if (!reachable || socket === undefined) return;
    try {
      sendDatagram(socket, lines.join("\n"));
    } catch (error) {
      reachable = false;
      complain(`the service manager is not told: ${error instanceof Error ? error.message : ""}`);
    }
  };
  const interval = watchdogInterval(env, started);
  // From the event loop itself, so that it stops when the loop does.
  const watchdog =
    reachable && interval !== undefined
      ? setInterval(() => send("WATCHDOG=1"), interval)
      : undefined;
  return {
    ready: (status, main) =>
      send(
        ...(main === undefined ? [] : [`MAINPID=${main}`]),
        "READY=1",
        // A line of its own would be an assignment of its own: MAINPID=, to the service manager.
        `STATUS=${visible(oneLine(status))}`,
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
    close: () => clearInterval(watchdog),
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
