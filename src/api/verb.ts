/** One verb of an API, a command or built in. */
import type { ToolPlan } from "../plan/plan.ts";
import type { Webhook } from "../plan/webhook.ts";
import type { Refused } from "./book.ts";
import type { Request } from "./client.ts";

export interface Parameter {
  readonly name: string;
  readonly required: boolean;
  /** JSON Schema of the value. */
  readonly schema?: unknown;
}

/** A verb in words and data, for pages and OpenAPI. */
export interface VerbDescription {
  readonly name: string;
  /** What people call it. */
  readonly label?: string;
  readonly info?: string;
  readonly parameters: readonly Parameter[];
  /** What a caller needs, all of them. */
  readonly privileges: readonly string[];
  /** It launches a task: it takes a query (see query.ts), and no arguments but its parameters, unless it is lenient. */
  readonly task?: boolean;
  /** It takes other arguments too, and tells that it ignores them. */
  readonly lenient?: boolean;
  /** The header by which a webhook starts it. */
  readonly webhook?: string;
  /** Media type of its output, where that is the answer itself over REST. */
  readonly file?: string;
  /** Its output is values of JSON. */
  readonly values?: true;
  /** HTTP statuses by exit code. */
  readonly http?: Readonly<Record<string, number>>;
  /** The body of a POST is what it reads, and has no arguments. */
  readonly fed?: boolean;
  /** A client asks its user before it starts it. */
  readonly confirm?: true;
  /** It cannot be had here. */
  readonly unavailable?: true;
  /** What a program may rely on that calls it for a person. */
  readonly tool?: ToolPlan;
  /** Queries to try. */
  readonly sample?: readonly unknown[];
}

export interface ApiDescription {
  readonly api: string;
  readonly info?: string;
  readonly version?: string;
  /** Over REST errors of verbs are replies with 200, as other binders answer. */
  readonly http?: "afb";
  /** Patterns of the verbs that are offered as tools; absent: all but what every API has. */
  readonly mcp?: readonly string[];
  /** Of another binder. */
  readonly foreign?: true;
  readonly verbs: readonly VerbDescription[];
}

export interface Verb {
  /** Who proves by it may start the verb without its privileges. */
  readonly webhook?: Webhook | undefined;
  /** The body of a POST is what it reads, and no arguments. */
  readonly isFed?: boolean;
  /** Launches nothing and tells nothing of what could be: it answers also while that is still being tried. */
  readonly isUntried?: true;
  /** Its answer may be long: of these one is made at a time. */
  readonly isLong?: true;
  /** As it is exposed, such as `admin/sleep`. */
  readonly name: string;
  /** What a caller needs, all of them: the registry asks for them before {@link call}. */
  readonly privileges?: readonly string[];
  /** It takes numbers as they are written (see numbers.ts), where others get doubles. */
  readonly exact?: boolean;
  /** The response, or undefined for a reply without one. Rejects, or throws, with the error to reply. */
  call(request: Request): unknown;
  /** Of a verb that launches: what may be told of a call of it that failed. Undefined where it launches nothing. */
  refused?(request: Request): Refused | undefined;
  /** Absent where there is nothing to say but the name. */
  describe?(): Omit<VerbDescription, "name" | "privileges">;
}

export function describeVerb(verb: Verb): VerbDescription {
  const { name, privileges = [] } = verb;
  return { name, ...(verb.describe?.() ?? { parameters: [] }), privileges };
}
