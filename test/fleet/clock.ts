/** Time that stands until a test moves it, and what is done every so often, done when a test says so. */
import { spyOn } from "bun:test";

export interface Every {
  readonly ms: number;
  readonly run: () => void;
  /** It keeps the process. */
  readonly keeps: boolean;
  readonly isCleared: () => boolean;
}

export interface Clock extends Disposable {
  pass(ms: number): void;
  readonly now: number;
  /** What is made, and the first thing that it does every so often, which is done by `run` alone. */
  making<T>(make: () => T): readonly [made: T, every: Every];
}

const real = { setInterval: globalThis.setInterval, clearInterval: globalThis.clearInterval };
/** ms: a connection that is to come back comes back at once. */
const SOON = 2000;

/** Of performance.now(); timers of others go on. One at a time. */
export function clock(): Clock {
  let now = 1_000_000;
  const time = spyOn(performance, "now").mockImplementation(() => now);
  const cleared = new Set<unknown>();
  const clearing = spyOn(globalThis, "clearInterval").mockImplementation((timer) => {
    cleared.add(timer);
    real.clearInterval(timer as Timer);
  });
  const setting = spyOn(globalThis, "setInterval").mockImplementation(((
    run: () => void,
    ms: number,
  ) => real.setInterval(run, ms < SOON ? 1 : ms)) as typeof setInterval);
  return {
    pass: (ms) => void (now += ms),
    get now() {
      return now;
    },
    making(make) {
      let found: { readonly timer: NodeJS.Timeout; ms: number; run: () => void } | undefined;
      setting.mockImplementationOnce(((run: () => void, ms: number) => {
        const timer = real.setInterval(() => {}, 1 << 30);
        found = { timer, ms, run };
        return timer;
      }) as typeof setInterval);
      const made = make();
      if (!found) throw new Error("it does nothing every so often");
      const { timer, ms, run } = found;
      return [
        made,
        { ms, run, keeps: timer.hasRef(), isCleared: () => cleared.has(timer) },
      ] as const;
    },
    [Symbol.dispose]() {
      time.mockRestore();
      setting.mockRestore();
      clearing.mockRestore();
    },
  };
}
