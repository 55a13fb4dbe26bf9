/** `spawnbox fleet call`: a call to boards, printed as it goes. */
import type { Invocation } from "../fleet/calls.ts";
import { type Campaign, carryOut, type Hearer, type Progress } from "../fleet/campaign.ts";
import type { Operator } from "../fleet/operator.ts";
import { countsOf, type Outcome } from "../fleet/outcome.ts";
import type { Lines } from "./lines.ts";

export interface FleetCall extends Campaign {
  /** Ctrl-C leaves the tasks alone. */
  readonly detach: boolean;
  readonly json: boolean;
}

const INTERRUPTED = 130;
/** ms that tasks have to end after Ctrl-C. */
const STOPPING = 5000;

export async function fleetCall(operator: Operator, call: FleetCall, out: Lines): Promise<number> {
  const { target, detach, json } = call;
  const print = json ? jsonPrinter(out) : linePrinter(out);
  const id = crypto.randomUUID();
  const outcomes: Outcome[] = [];
  let isLeft = false;
  const hearer: Hearer = {
    event: print.event,
    outcome: (outcome) => {
      // That nobody waits for it any more is no result.
      if (isLeft) return;
      outcomes.push(outcome);
      return print.outcome(outcome);
    },
    stage: (progress) => (isLeft ? undefined : print.stage(progress)),
  };
  const interruption = interrupted();
  const stop = new AbortController();
  const work = async (): Promise<string | undefined> => {
    const seen = target.kind === "board" ? target.board : "+";
    await Promise.all([operator.look(seen), operator.expect(id)]);
    return await carryOut(operator, call, id, hearer, stop.signal);
  };
  const working = work();
  const closed = out.closed.then(() => CLOSED);
  const why = await Promise.race([working, interruption.happened, closed]);
  if (why === INTERRUPTION || why === CLOSED) {
    stop.abort();
    isLeft = detach;
    const left = operator.sayAll(detach ? { leave: true } : { stop: true });
    if (left > 0 && detach)
      console.error(`spawnbox fleet call: left (boards: ${left}); the tasks go on`);
    if (left > 0 && !detach) {
      console.error(`spawnbox fleet call: stopping (boards: ${left}); Ctrl-C again leaves them`);
      interruption.again();
      await Promise.race([working, Bun.sleep(STOPPING), interruption.happened]);
    }
  }
  interruption.end();
  working.catch(() => {});
  const told = typeof why === "string" ? why : undefined;
  if (target.kind === "group" || told !== undefined) await print.summary(outcomes, told);
  await out.flush();
  if (why === INTERRUPTION) return INTERRUPTED;
  const isOk = told === undefined && outcomes.length > 0;
  return isOk && outcomes.every(({ result }) => result === "ok") ? 0 : 1;
}

const INTERRUPTION = Symbol("interrupted");
/** Nobody reads what is printed. */
const CLOSED = Symbol("closed");

function interrupted() {
  let happening = Promise.withResolvers<typeof INTERRUPTION>();
  const listen = (): void => happening.resolve(INTERRUPTION);
  process.on("SIGINT", listen);
  process.on("SIGTERM", listen);
  return {
    get happened() {
      return happening.promise;
    },
    again: () => {
      happening = Promise.withResolvers();
    },
    end: () => {
      process.off("SIGINT", listen);
      process.off("SIGTERM", listen);
    },
  };
}

interface Printer {
  readonly event: Invocation["event"];
  readonly outcome: (outcome: Outcome) => void | Promise<void>;
  readonly stage: (progress: Progress) => void | Promise<void>;
  readonly summary: (all: readonly Outcome[], why: string | undefined) => void | Promise<void>;
}

/** One value a line, for scripts. */
const jsonPrinter = (out: Lines): Printer => ({
  event: (board, { event, data }) => out.print(JSON.stringify({ board, event, data })),
  outcome: ({ board, result, reply, info }) =>
    out.print(JSON.stringify({ board, result, reply, info })),
  stage: (progress) => out.print(JSON.stringify({ progress })),
  summary: (all, why) => out.print(JSON.stringify({ summary: countsOf(all), info: why })),
});

const linePrinter = (out: Lines): Printer => ({
  event: (board, { data }) => out.print(`${board}: ${JSON.stringify(data)}`),
  outcome: ({ board, result, reply, info }) => {
    const said = info ?? reply?.request.info;
    const response = reply?.response === undefined ? "" : ` ${JSON.stringify(reply.response)}`;
    return out.print(
      `${board}: ${result}${said === undefined ? "" : `: ${oneLine(said)}`}${response}`,
    );
  },
  stage: ({ called, boards, failed }) =>
    out.print(`called: ${called} of ${boards} boards, ${failed} failed`),
  summary: (all, why) => {
    const words = Object.entries(countsOf(all)).map(([result, count]) => `${count} ${result}`);
    return out.print([words.join(", "), why].filter(Boolean).join("; "));
  },
});

/** Only what is told of a board begins with its name. */
const oneLine = (text: string): string => text.replace(/\n/g, " ");
