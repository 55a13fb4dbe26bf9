/** Asks the person in front of the client before a command is started that wants that (elicitation). */
import type { Server } from "@modelcontextprotocol/sdk/server/index.js";
import type { RequestId } from "@modelcontextprotocol/sdk/types.js";
import type { Asked } from "../api/client.ts";
import { AfbError } from "../errors.ts";
import { visible } from "../visible.ts";
import type { Host, Who } from "./host.ts";

/** ms: a person thinks, and looks things up. */
const PATIENCE = 5 * 60_000;
/** Characters of a command line that somebody reads. */
const SHOWN = 4_000;

export interface Asking {
  readonly server: Server;
  readonly host: Host;
  readonly who: Who;
  readonly requestId: RequestId;
  readonly signal: AbortSignal;
}

/** Rejects with the AfbError to reply, where there is no yes of somebody. */
export async function confirm(
  { server, host, who, requestId, signal }: Asking,
  { plan, kept }: Asked,
): Promise<void> {
  const name = `${plan.api}/${plan.verb}`;
  if (!server.getClientCapabilities()?.elicitation?.form)
    throw notConfirmed(
      `${name} asks a person before it starts, and this client cannot ask one (it has no elicitation): use one that can, or start it otherwise`,
    );
  const line = lineOf(kept);
  if (kept.cut !== undefined || line.length > SHOWN)
    throw notConfirmed(
      `${name} asks a person before it starts, and nobody reads so much: its arguments are to be shorter than ${SHOWN} characters`,
    );
  const answer = await asked(server, messageOf(plan, line), requestId, signal);
  if (answer.action !== "accept" || answer.content?.["confirm"] !== true)
    throw notConfirmed(`${name} was not started: ${WHY[answer.action]}`);
  // Somebody may have thought for minutes.
  if ((await host.registry.may?.(plan.privileges, who)) !== true)
    throw new AfbError(
      "insufficient-scope",
      `${name}: the privilege for it was withdrawn meanwhile`,
    );
}

/** For who asks a person, and gets no yes. */
const notConfirmed = (why: string): AfbError => new AfbError("forbidden", why);

const WHY = {
  accept: "it was not confirmed",
  decline: "it was declined",
  cancel: "the question was left without an answer",
} as const;

async function asked(server: Server, message: string, requestId: RequestId, signal: AbortSignal) {
  try {
    return await server.elicitInput(
      {
        mode: "form",
        message,
        requestedSchema: {
          type: "object",
          properties: {
            confirm: {
              type: "boolean",
              title: "Start it",
              description: "yes: it is started as shown",
              default: false,
            },
          },
          required: ["confirm"],
        },
      },
      { relatedRequestId: requestId, signal, timeout: PATIENCE },
    );
  } catch (error) {
    if (signal.aborted) throw new AfbError("bad-state", "it was cancelled before it began");
    const why = error instanceof Error ? error.message : String(error);
    throw notConfirmed(`nobody could be asked: ${why}`);
  }
}

/** Nothing in it looks like another line of the question. */
const messageOf = ({ api, verb, sandbox, label, info }: Asked["plan"], line: string): string =>
  [
    `Start ${visible(label ?? `${api}/${verb}`)}?`,
    ...(info === undefined ? [] : [visible(info)]),
    `Verb: ${visible(`${api}/${verb}`)}, in the sandbox ${visible(sandbox)}`,
    line,
  ].join("\n");

function lineOf({ argv, args }: Asked["kept"]): string {
  if (argv) return `Command line: ${visible(JSON.stringify(argv))}`;
  return args === undefined
    ? "Arguments: none, or the config hides them"
    : `Arguments: ${visible(JSON.stringify(args))}`;
}
