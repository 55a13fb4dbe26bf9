/** Tasks whose output and end a test decides. */
import { constants } from "node:os";
import type { Launch, Outcome, OutputSink, Task, TaskInput } from "../../src/launch/task.ts";

export interface Controlled {
  readonly pid: number;
  readonly argv: readonly string[];
  readonly sink: OutputSink;
  /** What it was told, such as `stop`, `stop 15` or `kill`. */
  readonly told: string[];
  /** What it has been given to read. */
  readonly read: string[];
  /** Its command prints that. */
  print(text: string): void | Promise<void>;
  end(outcome?: Partial<Outcome>): void;
}

const USAGE = { wall: 0, user: 0, system: 0, maxrss: 0 };

/** Tasks end by a kill; by a stop only where the test ends them. */
export function controlled() {
  const tasks: Controlled[] = [];
  const launch: Launch = async (plan, argv, sink) => {
    const { promise: ended, resolve } = Promise.withResolvers<Outcome>();
    const pid = tasks.length + 1;
    const told: string[] = [];
    const read: string[] = [];
    const input: TaskInput = {
      give: async (data) => {
        read.push(Buffer.from(data).toString());
        return true;
      },
      end: () => void read.push("END"),
    };
    const end = (outcome: Partial<Outcome> = { exit: 0 }) => resolve({ ...outcome, usage: USAGE });
    tasks.push({
      ...{ pid, argv, sink, told, read, end },
      print: (text) => sink.stdout(new TextEncoder().encode(text)),
    });
    const task: Task = {
      ...{ plan, pid, ended },
      ...(plan.input !== undefined && { input }),
      stop: (signal) => void told.push(signal === undefined ? "stop" : `stop ${signal}`),
      end() {
        told.push("end");
        end({ signal: constants.signals.SIGTERM });
      },
      kill() {
        told.push("kill");
        end({ signal: constants.signals.SIGKILL });
      },
    };
    return task;
  };
  /** The last that was started. */
  const last = (): Controlled => {
    const task = tasks.at(-1);
    if (!task) throw new Error("nothing was started");
    return task;
  };
  return { launch, tasks, last };
}
