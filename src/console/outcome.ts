/** How a task ended, in words. */
import { isObject, numberOf, textOf } from "./json.ts";
import { t } from "./text.ts";

export type Kind = "good" | "bad" | "stopped";

export interface Outcome {
  readonly kind: Kind;
  readonly words: string;
}

/** @param status of the end; undefined where the server ended before */
export function outcomeOf(status: unknown): Outcome {
  if (!isObject(status)) return { kind: "bad", words: t("endLost") };
  const cause = textOf(status["cause"]) ?? textOf(status["info"]);
  const exit = numberOf(status["exit"]);
  const signal = textOf(status["signal"]);
  const others = numberOf(status["others"]) ?? 0;
  const more = others > 0 ? ` ${t("endOthers", others)}` : "";
  if (cause === "timeout") return { kind: "bad", words: t("endTimeout") + more };
  if (cause === "stopped") return { kind: "stopped", words: t("endStopped") + more };
  if (cause === "oom") return { kind: "bad", words: t("endMemory") };
  if (cause === "seccomp")
    return { kind: "bad", words: t("endSeccomp", textOf(status["syscall"]) ?? "") };
  if (cause === "supervisor") return { kind: "bad", words: t("endSupervisor") };
  if (signal !== undefined) return { kind: "bad", words: t("endSignal", signal) };
  if (exit === 0) return { kind: "good", words: t("endGood") };
  return { kind: "bad", words: t("endExit", exit ?? "?") };
}

/** `1.2 s`, from milliseconds. */
export function duration(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  const seconds = ms / 1000;
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${Math.floor(seconds % 60)} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}
