/** `spawnbox fleet call`: a call to one board, to all of a group, or to some of it first. */
import type { Invocation, Operator, Outcome, Result } from "../fleet/operator.ts";
import { type Amount, isTooMuch, staged } from "../fleet/stages.ts";
import type { Lines } from "./lines.ts";

export interface FleetCall {
  readonly target:
    | { readonly kind: "board"; readonly board: string }
    | { readonly kind: "group"; readonly group: string };
  readonly invocation: Omit<Invocation, "event">;
  /** Also boards that are not there: the broker keeps the call for them. */
  readonly isQueued: boolean;
  readonly stages: readonly Amount[] | undefined;
  readonly mostFailed: Amount;
  /** Ctrl-C leaves the tasks alone. */
  readonly detach: boolean;
  readonly json: boolean;
}

const INTERRUPTED = 130;
/** ms that tasks have to end after Ctrl-C. */
const STOPPING = 5000;

export async function fleetCall(
  operator: Operator,
  { target, stages, mostFailed, isQueued, detach, json, ...rest }: FleetCall,
  out: Lines,
): Promise<number> {
  const print = json ? jsonPrinter(out) : linePrinter(out);
  const asked: Invocation = { ...rest.invocation, event: print.event };
  // The same for all boards: each knows it as its own.
  const id = crypto.randomUUID();
  const outcomes: Outcome[] = [];
  const done = async (promise: Promise<Outcome>): Promise<void> => {
    const outcome = await promise;
    outcomes.push(outcome);
    await print.outcome(outcome);
  };
  const isThere = (board: string): boolean => isQueued || operator.presence.isOnline(board);
  const interruption = interrupted();
  const work = async (): Promise<string | undefined> => {
    const one = target.kind === "board";
    await Promise.all([operator.look(one ? target.board : "+"), operator.expect(id)]);
    const boards = one ? [target.board] : operator.presence.of(target.group);
    if (boards.length === 0) return "no board of this group was ever seen";
    if (one && !operator.presence.boards.get(target.board)?.status && !isQueued)
      return `no board ${target.board} was ever seen: see spawnbox fleet ls`;
    for (const board of boards) {
      if (isThere(board)) continue;
      await done(Promise.resolve({ board, result: "offline" }));
    }
    const present = boards.filter(isThere);
    // Who is there takes it at once: no longer than each of them lets it wait.
    const limits = present.map(
      (board) => operator.presence.boards.get(board)?.about?.limits.expiry,
    );
    const least = Math.min(...limits.filter((one) => one !== undefined), asked.expiry);
    const invocation = isQueued ? asked : { ...asked, expiry: least };
    if (one || stages) {
      const parts = stages ? staged(present, stages) : [present];
      for (const part of parts) {
        await Promise.all(part.map((board) => done(operator.call(board, id, invocation))));
        const called = outcomes.filter(({ result }) => result !== "offline");
        const failed = called.filter(({ result }) => result !== "ok").length;
        if (stages && isTooMuch(failed, called.length, mostFailed))
          return `stopped after ${called.length} of ${present.length} boards: ${failed} failed`;
      }
      const called = outcomes.filter(({ result }) => result !== "offline").length;
      return called < present.length
        ? `${present.length - called} boards were not called`
        : undefined;
    }
    if (present.length > 0)
      await Promise.all(operator.callGroup(target.group, present, id, invocation).map(done));
    return undefined;
  };
  const working = work();
  const closed = out.closed.then(() => CLOSED);
  const why = await Promise.race([working, interruption.happened, closed]);
  if (why === INTERRUPTION || why === CLOSED) {
    const left = operator.sayAll(detach ? { leave: true } : { stop: true });
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
  readonly summary: (all: readonly Outcome[], why: string | undefined) => void | Promise<void>;
}

const counts = (all: readonly Outcome[]): Partial<Record<Result, number>> => {
  const found: Partial<Record<Result, number>> = {};
  for (const { result } of all) found[result] = (found[result] ?? 0) + 1;
  return found;
};

/** One value a line, for scripts. */
const jsonPrinter = (out: Lines): Printer => ({
  event: (board, { event, data }) => out.print(JSON.stringify({ board, event, data })),
  outcome: ({ board, result, reply, info }) =>
    out.print(JSON.stringify({ board, result, reply, info })),
  summary: (all, why) => out.print(JSON.stringify({ summary: counts(all), info: why })),
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
  summary: (all, why) => {
    const words = Object.entries(counts(all)).map(([result, count]) => `${count} ${result}`);
    return out.print([words.join(", "), why].filter(Boolean).join("; "));
  },
});

/** Only what is told of a board begins with its name. */
const oneLine = (text: string): string => text.replace(/\n/g, " ");
