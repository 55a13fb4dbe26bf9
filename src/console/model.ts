/** What the server has, as the page knows it. */
import type { Json } from "./json.ts";

export interface Param {
  readonly name: string;
  readonly required: boolean;
  readonly schema: Json;
  /** What `usage` says of it. */
  readonly help: string | undefined;
}

export interface Verb {
  readonly api: string;
  readonly name: string;
  /** Of the command: the same in several sandboxes where it is the same command. */
  readonly uid: string;
  readonly info: string | undefined;
  /** Absent where it is none of a sandbox. */
  readonly sandbox: string | undefined;
  readonly params: readonly Param[];
  readonly samples: readonly Json[];
  readonly privileges: readonly string[];
  /** A person is asked before it starts. */
  readonly confirm: boolean;
  readonly unavailable: string | undefined;
  /** It reads what it is given. */
  readonly fed: boolean;
  /** It launches something. */
  readonly task: boolean;
}

export interface Finding {
  readonly what: string;
  readonly weight: number;
}

export interface Sandbox {
  readonly api: string;
  readonly uid: string;
  readonly info: string | undefined;
  readonly verbs: readonly Verb[];
  readonly exec: boolean;
  readonly execPrivileges: readonly string[];
  readonly notices: readonly string[];
  /** What the caller may know; undefined where it may call nothing of it. */
  readonly explained: Explained | undefined;
}

export interface Explained {
  readonly verbs: readonly string[];
  readonly steps: readonly string[];
  readonly score: number;
  readonly findings: readonly Finding[];
  readonly improvements: readonly { readonly what: string; readonly set: unknown }[];
}

export interface Api {
  readonly name: string;
  readonly info: string | undefined;
  readonly sandboxes: readonly Sandbox[];
  /** Of no sandbox. */
  readonly others: readonly Verb[];
  readonly notices: readonly string[];
}

/** What is in the fields of a form, by name. */
export type Values = Readonly<Record<string, string>>;
