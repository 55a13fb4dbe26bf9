/** One call to boards for a client of this server: told as it goes, and stopped where the client goes. */
import { type Client, leaverOf, type Request } from "../api/client.ts";
import type { AskedCall } from "./desk-arguments.ts";
import { carryOut } from "./campaign.ts";
import type { Operator } from "./operator.ts";
import { type Counts, countsOf, type Outcome, type Result } from "./outcome.ts";

export interface DeskCallOptions {
  readonly id: string;
  readonly asked: AskedCall;
  readonly operator: Operator;
  readonly request: Request;
  /** The name of its events. */
  readonly event: string;
}

/** As clients see it. */
export interface BoardResult {
  readonly board: string;
  readonly result: Result;
  readonly info?: string | undefined;
  readonly response?: unknown;
  /** The response is left out: there were too many bytes of them. */
  readonly cut?: true;
}

export interface Summary {
  readonly call: string;
  readonly summary: Counts;
  /** Why it did not go all the way. */
  readonly info?: string;
  readonly results?: readonly BoardResult[];
}

/** ms that tasks have to end after a stop. */
const STOPPING = 5000;
/** Characters of what a board says in words. */
const MOST_INFO = 4096;
/** Bytes of responses that one reply has. */
const MOST_BYTES = 8 << 20;

export class DeskCall {
  readonly #stop = new AbortController();
  readonly #results: BoardResult[] = [];
  #bytes = 0;
  #why: string | undefined;
  /** Of a stop. */
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(readonly options: DeskCallOptions) {}

  get request(): Request {
    return this.options.request;
  }

  /** Until all boards have answered, or nobody waits any more. */
  async work(): Promise<Summary> {
    const { id, asked, operator, request } = this.options;
    const { client } = request;
    const leaver = leaverOf(request);
    const forget = leaver?.onClose(() => this.stop(asked.detach));
    if (leaver?.connected === false) this.stop(asked.detach);
    const counted: Pick<Outcome, "result">[] = [];
    try {
      await operator.expect(id);
      const hearer = {
        event: (board: string, { event, data }: Record<string, unknown>) =>
          this.#tell(client, { type: "output", board, event, data }),
        outcome: (outcome: Outcome) => {
          counted.push({ result: outcome.result });
          return this.#result(client, outcome);
        },
      };
      const why = await carryOut(operator, asked, id, hearer, this.#stop.signal);
      const info = this.#why ?? why;
      const summary = countsOf(counted);
      const results = asked.wait ? this.#results : undefined;
      return {
        call: id,
        summary,
        ...(info !== undefined && { info }),
        ...(results && { results }),
      };
    } finally {
      clearTimeout(this.#timer);
      forget?.();
      operator.ignore(id);
    }
  }

  /** @param leaves the tasks go on */
  stop(leaves: boolean, why?: string): void {
    const { id, operator } = this.options;
    this.#why ??= why;
    this.#stop.abort();
    operator.sayAll(leaves ? { leave: true } : { stop: true }, id);
    if (leaves) return operator.abandon(id, "nobody waits for it any more");
    this.#timer ??= setTimeout(
      () => operator.abandon(id, "it has not ended since it was told to"),
      STOPPING,
    );
  }

  #result(
    client: Client | undefined,
    { board, result, reply, info }: Outcome,
  ): void | Promise<void> {
    const response = reply?.response;
    const said = (info ?? reply?.request.info)?.slice(0, MOST_INFO);
    const one: BoardResult = {
      ...{ board, result },
      ...(said !== undefined && { info: said }),
      ...(response !== undefined && { response }),
    };
    if (this.options.asked.wait) this.#results.push(this.#bounded(one));
    return this.#tell(client, { type: "result", ...one });
  }

  #bounded({ response, ...one }: BoardResult): BoardResult {
    if (response === undefined) return one;
    this.#bytes += JSON.stringify(response).length;
    return this.#bytes > MOST_BYTES ? { ...one, cut: true } : { ...one, response };
  }

  #tell(client: Client | undefined, data: Record<string, unknown>): void | Promise<void> {
    const { event, id } = this.options;
    return client?.send(event, { call: id, ...data });
  }
}
