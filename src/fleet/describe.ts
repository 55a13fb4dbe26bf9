/** What a board tells of itself, for who has no connection to it: retained by the broker. */
import { readFileSync } from "node:fs";
import type { ApiDescription, VerbDescription } from "../api/verb.ts";
import { argumentsOf, needsArguments } from "../server/openapi-input.ts";
import { version } from "../version.ts";
import type { Fleet } from "./load.ts";

export interface About {
  readonly version: string;
  readonly arch: string;
  /** Another after each boot of the machine. */
  readonly boot: string;
  /** Another after each start of the server. */
  readonly start: string;
  readonly groups: readonly string[];
  readonly apis: readonly string[];
  /** Changes with what the APIs are. */
  readonly config: string;
  readonly limits: {
    readonly window: number;
    /** Bytes. */
    readonly largest: number;
    /** s */
    readonly expiry: number;
  };
}

const start = crypto.randomUUID();

/** What a topic that is published to cannot have. */
const WILD = /[+#\0]/;

/** A level of a topic. */
const isLevel = (api: string): boolean =>
  api.length <= 128 && !api.includes("/") && !WILD.test(api);

/** By API: what is told of each, as JSON. */
export function apisOf(all: readonly ApiDescription[]): Map<string, string> {
  const told = all.filter(({ api }) => isLevel(api));
  return new Map(told.map((one) => [one.api, JSON.stringify(describe(one))]));
}

function describe({ api, info, version: own, verbs }: ApiDescription): object {
  return {
    api,
    ...(info !== undefined && { info }),
    ...(own !== undefined && { version: own }),
    verbs: verbs.map(describeVerb),
  };
}

function describeVerb(verb: VerbDescription): object {
  const { name, info, privileges, task, sample, confirm } = verb;
  return {
    name,
    ...(info !== undefined && { info }),
    ...(task && { task }),
    ...(confirm && { confirm }),
    arguments: argumentsOf(verb),
    ...(privileges.length > 0 && { privileges }),
    ...(sample && sample.length > 0 && { sample }),
  };
}

export function aboutOf(
  fleet: Pick<Fleet, "groups" | "window" | "largest" | "expiry">,
  apis: ReadonlyMap<string, string>,
): About {
  const { groups, window, largest, expiry } = fleet;
  const hash = new Bun.CryptoHasher("sha256");
  for (const text of apis.values()) hash.update(text);
  return {
    ...{ version, arch: process.arch, boot: bootId(), start, groups },
    ...{ apis: [...apis.keys()], config: hash.digest("hex").slice(0, 16) },
    limits: { window, largest, expiry },
  };
}

/** See random(4). */
function bootId(): string {
  try {
    return readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
  } catch {
    // Hidden, or there is no /proc: then there is only this to tell a boot by.
  }
  return start;
}

/** Verbs that a button can call: by API. */
export function buttons(all: readonly ApiDescription[]): { api: string; verb: VerbDescription }[] {
  const isButton = (verb: VerbDescription): boolean =>
    verb.task === true && !needsArguments(verb) && !WILD.test(verb.name);
  return all
    .filter(({ api }) => isLevel(api))
    .flatMap(({ api, verbs }) => verbs.filter(isButton).map((verb) => ({ api, verb })));
}
