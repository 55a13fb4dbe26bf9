/**
 * How fast output becomes events or a reply, over one WebSocket: megabytes that a command prints in a second, and of the server's
 * processor time. Beside another executable, such as that of an earlier commit, where one is given.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { acls } from "./configs.ts";
import { type Contender, interleave, type Pace } from "./interleave.ts";
import { progress } from "./progress.ts";
import type { Scratch } from "./scratch.ts";
import { serveCommand, startServer } from "./server.ts";
import { median } from "./statistics.ts";
import { type Row, table } from "./table.ts";

/** Bytes that a command prints. */
const SIZE = 4 << 20;
const LINE = "the quick brown fox jumps over the lazy dog, 0123456789";
/** What is printed to each encoder, again and again. */
const PRINTED = {
  line: `${LINE}\n`,
  json: '{"n": 12, "name": "speed", "values": [1, 2.5, true, null], "unit": "km/h"}\n',
  "json, as written": '{"n": 12.50, "name": "speed", "values": [1.0, 2.50, 1e3], "unit": "km/h"}\n',
  raw: `${LINE}\n`,
} as const;
type Kind = keyof typeof PRINTED;
/**
 * What one client is to get: lines a second, and megabytes; or, where that is more than the runtime alone does for such a reply, near
 * to that.
 */
const LINES_GOAL = 800_000;
const RAW_GOAL = 400;
const NEAR = 1.15;
const ALONE = "the runtime alone, raw";
const KINDS = Object.keys(PRINTED) as Kind[];
const NAMES = { now: "now", against: "against" } as const;
type Name = keyof typeof NAMES;

export interface Rate {
  readonly kind: Kind;
  /** Megabytes a second of time, and of the server's processor time. */
  readonly wall: number;
  readonly processor: number;
  /** The same as parts of the other executable's: above 1 is faster. */
  readonly against?: { readonly wall: number; readonly processor: number };
  /** Of the same by the runtime alone, megabytes a second. */
  readonly floor?: number;
}

/** Rejects when a command does not end well. */
export async function measureRates(
  executables: { readonly now: string; readonly against?: string | undefined },
  scratch: Scratch,
  pace: Pace,
): Promise<Rate[]> {
  const config = scratch.json("rates.json", {
    metadata: { uid: "rates", api: "rates" },
    sandboxes: {
      uid: "plain",
      acls,
      commands: KINDS.map((kind, i) => ({
        uid: `print${i}`,
        encoder: kind.replace(/,.*/, ""),
        exec: { cmdpath: "/bin/cat", args: [printedBy(kind, i, scratch)] },
      })),
    },
  });
  const contenders: Contender[] = [];
  const processor = new Map<string, number[]>();
  const ends: (() => Promise<void>)[] = [];
  try {
    for (const name of Object.keys(NAMES) as Name[]) {
      const executable = executables[name];
      if (executable === undefined) continue;
      const server = await startServer(serveCommand(executable, config), scratch);
      ends.push(() => server.stop());
      const printer = await Printer.connect(server.url);
      KINDS.forEach((kind, i) => {
        const key = `${name} ${kind}`;
        const spent: number[] = [];
        processor.set(key, spent);
        contenders.push({
          name: key,
          async run() {
            const before = processorTime(server.pid);
            await printer.run(`rates/print${i}`);
            spent.push(processorTime(server.pid) - before);
          },
        });
      });
    }
    const alone = [process.execPath, join(import.meta.dir, "runtime.ts")];
    const server = await startServer(alone, scratch);
    ends.push(() => server.stop());
    const printer = await Printer.connect(server.url);
    const printed = printedBy("raw", KINDS.indexOf("raw"), scratch);
    contenders.push({ name: ALONE, run: () => printer.run("x", printed) });
    progress("rates of output");
    const wall = await interleave(contenders, pace);
    const perSecond = (name: string) => SIZE / 1e6 / (median(wall.get(name) ?? []) / 1000);
    return KINDS.map((kind) => {
      const rates = (name: Name) => {
        const spent = processor.get(`${name} ${kind}`)?.slice(pace.warmUp) ?? [];
        return {
          wall: perSecond(`${name} ${kind}`),
          processor: SIZE / 1e6 / (median(spent) / 1000),
        };
      };
      const now = { ...rates("now"), ...(kind === "raw" && { floor: perSecond(ALONE) }) };
      if (executables.against === undefined) return { kind, ...now };
      const other = rates("against");
      const against = {
        wall: now.wall / other.wall,
        processor: now.processor / other.processor,
      };
      return { kind, ...now, against };
    });
  } finally {
    for (const end of ends) await end();
  }
}

function printedBy(kind: Kind, i: number, scratch: Scratch): string {
  const text = PRINTED[kind];
  return scratch.file(`printed-${i}`, text.repeat(Math.ceil(SIZE / text.length)));
}

/** Milliseconds that all threads of a process have run: proc_pid_schedstat(5). */
export function processorTime(pid: number): number {
  const tasks = readdirSync(`/proc/${pid}/task`);
  const nanoseconds = tasks.map((task) => {
    try {
      return Number(readFileSync(`/proc/${pid}/task/${task}/schedstat`, "utf8").split(" ")[0]);
    } catch {
      // The thread has ended meanwhile.
      return 0;
    }
  });
  return nanoseconds.reduce((sum, one) => sum + one, 0) / 1e6;
}

/** A client that looks at frames only as far as it must, so that the server is what is measured. */
class Printer {
  #last = 0;
  #heard: (frame: string) => void = () => undefined;

  private constructor(readonly socket: WebSocket) {
    socket.onmessage = ({ data }) => this.#heard(String(data));
  }

  static async connect(url: string): Promise<Printer> {
    const socket = new WebSocket(`${url.replace("http", "ws")}/api`, "x-afb-ws-json1");
    await new Promise((resolve, reject) => {
      socket.onopen = resolve;
      socket.onerror = reject;
    });
    return new Printer(socket);
  }

  /** Resolves when the task has ended and all of its output is here. */
  run(method: string, args: unknown = null): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#heard = (frame) => {
      if (frame.includes('"exit":0')) resolve();
      else if (frame.startsWith("[4,")) reject(new Error(frame.slice(0, 500)));
    };
    this.socket.send(JSON.stringify([2, `${++this.#last}`, method, args]));
    return promise;
  }
}

function goalOf({ kind, wall, floor }: Rate): string {
  const lines = (wall * 1e6) / PRINTED.line.length;
  if (kind === "line")
    return `${(lines / 1e6).toFixed(2)} M lines/s, ≥ ${LINES_GOAL / 1e6}: ${lines >= LINES_GOAL ? "reached" : "missed"}`;
  if (floor === undefined) return "";
  const goal = Math.min(RAW_GOAL, floor / NEAR);
  return `${ALONE}: ${floor.toFixed(0)} MB/s; ≥ ${goal.toFixed(0)}: ${wall >= goal ? "reached" : "missed"}`;
}

export function printRates(rates: readonly Rate[]): string {
  const rows = rates.map((rate): Row => {
    const { kind, wall, processor, against } = rate;
    return [
      kind,
      `${wall.toFixed(0)} MB/s`,
      `${processor.toFixed(0)} MB/s`,
      against ? `× ${against.wall.toFixed(2)}, × ${against.processor.toFixed(2)}` : "",
      goalOf(rate),
    ];
  });
  return table(
    "output over one WebSocket, and by the server's processor time (× against)",
    ["wall", "processor", "against", "goal"],
    rows,
  );
}
