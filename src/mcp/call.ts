/** One call of a tool: the verb is called as any other client would, and what comes of it is collected until its end. */
import type { CallToolResult } from "@modelcontextprotocol/sdk/types.js";
import type { Client, Request } from "../api/client.ts";
import { Farewells } from "../api/farewells.ts";
import { valueOf } from "../api/event-data.ts";
import { parsePlace } from "../api/place.ts";
import type { Reply } from "../api/reply.ts";
import type { Source } from "../api/source.ts";
import { tooMuch } from "../api/source.ts";
import type { WireStatus } from "../api/status.ts";
import { isObject } from "../object.ts";
import type { Host, Who } from "./host.ts";
import { type Heard, Printed } from "./printed.ts";
import { answered, ended, failed, refused } from "./result.ts";
import { type Offered, STDIN, takesStdin } from "./tools.ts";

export interface CallOptions {
  readonly offered: Offered;
  readonly args: Readonly<Record<string, unknown>> | undefined;
  /** Aborted when the caller gives it up. */
  readonly cancel: AbortSignal;
  readonly confirm: NonNullable<Request["confirm"]>;
  readonly heard: Heard;
  /** Told of the task that is started, by its id. */
  readonly began: (id: string) => void;
}

/** How a task ends for who follows it. */
type End = { readonly status: WireStatus } | { readonly lost: string };

export class Call {
  readonly #ear: Ear;
  readonly #printed: Printed;
  readonly #away = new AbortController();

  constructor(
    readonly host: Host,
    readonly who: Who,
    readonly options: CallOptions,
  ) {
    this.#printed = new Printed(options.offered.verb.values === true, options.heard);
    this.#ear = new Ear(who.session, this.#printed, options.began);
  }

  async run(): Promise<CallToolResult> {
    const { offered, cancel, confirm } = this.options;
    const { api, verb } = offered;
    const { args, input } = argumentsOf(offered, this.options.args);
    const cancelled = (): void => this.#ear.end({ lost: "it was cancelled" });
    cancel.addEventListener("abort", cancelled);
    try {
      const reply = await this.host.registry.call({
        ...{ api, verb: verb.name, args, client: this.#ear, cancel, confirm, ...this.who },
        ...(input && { input }),
        live: true,
        gone: this.#away.signal,
      });
      return await this.#resultOf(reply);
    } finally {
      cancel.removeEventListener("abort", cancelled);
      this.#ear.close();
      this.#printed.close();
    }
  }

  async #resultOf(reply: Reply): Promise<CallToolResult> {
    const { request, response } = reply;
    const { verb } = this.options.offered;
    if (request.status !== "success") return failed(reply);
    const { id } = this.#ear;
    // A function of a plugin starts what it likes, and answers for itself.
    if (id === undefined || !isTask(response)) return answered(response);
    const notices = noticesOf(response["notices"]);
    const { status } = response;
    if (isStatus(status)) {
      this.#printed.takeWhole(response);
      return ended(verb, this.#printed, status, { id, notices });
    }
    const end = await this.#ear.ended;
    if ("lost" in end) return refused(end.lost, "disconnected");
    return ended(verb, this.#printed, end.status, { id, notices });
  }

  /** Its client has not come back: the task ends where its config says so, and goes on elsewhere. */
  away(): void {
    this.#away.abort();
  }
}

/**
 * What hears of the task. Apart from the call, since tasks are remembered for long with who has started them: what they have printed
 * is not.
 */
class Ear implements Client {
  readonly #end = Promise.withResolvers<End>();
  readonly #farewells = new Farewells();
  #printed: Printed | undefined;
  #began: ((id: string) => void) | undefined;
  id: string | undefined;

  constructor(
    readonly session: Who["session"],
    printed: Printed,
    began: (id: string) => void,
  ) {
    this.#printed = printed;
    this.#began = began;
  }

  get connected(): boolean {
    return this.#printed !== undefined;
  }

  /** What is too much is dropped, and told. */
  readonly backlog = 0;

  get ended(): Promise<End> {
    return this.#end.promise;
  }

  end(end: End): void {
    this.#end.resolve(end);
  }

  stands(place: string): void {
    const id = parsePlace(place)?.id;
    if (id === undefined || this.id !== undefined) return;
    this.id = id;
    this.#began?.(id);
  }

  send(_event: string, data: unknown): void {
    const value = valueOf(data);
    if (!isObject(value)) return;
    const { type, status } = value;
    if (type === "data") this.#printed?.take(value);
    else if (type === "final-event" && isStatus(status)) this.end({ status });
    else if (type === "unsubscribed")
      this.end({ lost: `${String(value["info"])}: it may still run` });
  }

  onClose(gone: () => void): () => void {
    return this.#farewells.add(gone, !this.connected);
  }

  close(): void {
    this.#printed = undefined;
    this.#began = undefined;
    this.#farewells.tell();
  }
}

const isStatus = (status: unknown): status is WireStatus =>
  isObject(status) && isObject(status["usage"]);

/** As a start is replied. */
const isTask = (response: unknown): response is Record<string, unknown> =>
  isObject(response) &&
  typeof response["pid"] === "number" &&
  ["api", "sandbox", "command"].every((key) => typeof response[key] === "string");

const noticesOf = (notices: unknown): string[] =>
  Array.isArray(notices) ? notices.filter((one) => typeof one === "string") : [];

/** As the verb takes them. Only a start: no argument makes another action of it. */
function argumentsOf({ verb }: Offered, given: Readonly<Record<string, unknown>> = {}) {
  const { [STDIN]: stdin, ...others } = given;
  const isFed = takesStdin(verb);
  const own = isFed ? others : given;
  const args = Object.keys(own).length > 0 ? own : undefined;
  if (isFed && stdin !== undefined && typeof stdin !== "string")
    return { args: { action: "start", args: given } };
  const input = isFed ? new Text(typeof stdin === "string" ? stdin : "") : undefined;
  return {
    args: verb.task ? { action: "start", ...(args && { args }) } : args,
    ...(input && { input }),
  };
}

/** What a command reads, all of it there. */
class Text implements Source {
  #bytes: Uint8Array | undefined;

  constructor(text: string) {
    this.#bytes = Buffer.from(text);
  }

  limit(most: number, name?: string): void {
    const length = this.#bytes?.length ?? 0;
    if (length > most) throw tooMuch(most, name, length);
  }

  async next(): Promise<Uint8Array | undefined> {
    const bytes = this.#bytes;
    this.#bytes = undefined;
    return bytes && bytes.length > 0 ? bytes : undefined;
  }

  drop(): void {
    this.#bytes = undefined;
  }
}
