/** Many calls over one WebSocket, each with a number to print: how many a second, and whether all came back right. */
import { connect } from "../../src/client.ts";
import { type Call, linesOf, overWebSocket } from "./calls.ts";
import { progress } from "./progress.ts";
import { type Row, table } from "./table.ts";

export interface Echoes {
  readonly verb: string;
  readonly outstanding: number;
  readonly calls: number;
  /** Calls a second. */
  readonly rate: number;
  /** Calls that failed, never came back, or came back with another output. */
  readonly lost: number;
  /** What the first one lost looked like. */
  readonly example?: string;
}

/** Milliseconds that one call may take; what has not come back then is lost. */
const CALL_LIMIT = 10_000;
/** Milliseconds after which no further call of a kind begins, for machines much slower than ours. */
const BUDGET = 5_000;

export async function measureEchoes(url: string, calls: number): Promise<Echoes[]> {
  const client = await connect(`${url.replace("http", "ws")}/api`);
  try {
    const results: Echoes[] = [];
    for (const verb of ["plain/echo", "full/echo"]) {
      for (const outstanding of [1, 8]) {
        progress(`${calls} calls of ${verb}, ${outstanding} outstanding`);
        results.push(await echoes(overWebSocket(client), verb, outstanding, calls));
      }
    }
    progress("");
    return results;
  } finally {
    await client.close();
  }
}

async function echoes(
  call: Call,
  verb: string,
  outstanding: number,
  calls: number,
): Promise<Echoes> {
  const begin = performance.now();
  let next = 0;
  const wrong: string[] = [];
  const caller = async (): Promise<void> => {
    while (next < calls && wrong.length < outstanding && performance.now() - begin < BUDGET) {
      const text = String(next++);
      try {
        const lines = linesOf(await limited(call(verb, { text })));
        if (JSON.stringify(lines) !== JSON.stringify([text])) {
          wrong.push(`${text} came back as ${JSON.stringify(lines)}`);
        }
      } catch (error) {
        wrong.push(`${text}: ${error instanceof Error ? error.message : String(error)}`);
      }
    }
  };
  await Promise.all(Array.from({ length: outstanding }, caller));
  const rate = next / ((performance.now() - begin) / 1000);
  const [example] = wrong;
  return { verb, outstanding, calls: next, rate, lost: wrong.length, ...(example && { example }) };
}

function limited<T>(promise: Promise<T>): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error(`no reply in ${CALL_LIMIT} ms`)), CALL_LIMIT);
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

export function printEchoes(echoes: readonly Echoes[]): string {
  const rows = echoes.map(({ verb, outstanding, calls, rate, lost, example }): Row => {
    const verdict = lost === 0 ? "none lost" : `${lost} LOST: ${example ?? ""}`;
    return [`${verb}, ${outstanding} outstanding`, `${calls}`, `${rate.toFixed(0)}/s`, verdict];
  });
  return table("echo over one WebSocket", ["calls", "rate", "output"], rows);
}
