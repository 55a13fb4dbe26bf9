/**
 * A plan is a compiled command: everything that can be decided at boot, decided. Plans are immutable; a request
 * only fills in the arguments of the argv template and starts it.
 */
import type { Params } from "../config/params.ts";
import type { ArgvTemplate } from "./argv.ts";
import type { Policy } from "./policy.ts";

export interface Plan {
  readonly api: string;
  /** Verb name as exposed, such as `admin/sleep`. */
  readonly verb: string;
  /** uid of the command in the config. */
  readonly command: string;
  /** uid of the sandbox in the config. */
  readonly sandbox: string;
  readonly info?: string;
  readonly usage?: unknown;
  readonly sample?: readonly unknown[];
  /** Permissions a caller needs, all of them. */
  readonly privileges: readonly string[];
  /** Milliseconds before the tree is killed; 0 is none. */
  readonly timeout: number;
  /** Most tasks that may run at once; 0 is no limit. */
  readonly concurrency: number;
  readonly verbose: number;
  readonly encoder: {
    readonly name: string;
    readonly plugin?: string;
    readonly opts: Record<string, unknown>;
  };
  readonly argv: ArgvTemplate;
  /** What `params` of the config demands of the arguments. */
  readonly params?: Params;
  /** The environment, as `NAME: value`. */
  readonly env: Readonly<Record<string, string>>;
  /** What the sandbox does, in the terms of the kernel. Shared by the commands of a sandbox. */
  readonly policy: Policy;
  /** Encoded launcher ops (see ffi/launcher/layout.ts). Equal blobs are one object. */
  readonly ops: Uint8Array;
}

/** What a config promised and this machine, user or kernel makes different; shown by `check`, `info`, `explain`. */
export interface Notice {
  readonly path: string;
  readonly message: string;
}

/** A compiled config: one API. */
export interface ApiPlan {
  readonly file: string;
  readonly uid: string;
  readonly api: string;
  readonly info?: string;
  readonly version?: string;
  readonly author?: string;
  readonly sandboxes: readonly SandboxPlan[];
  readonly notices: readonly Notice[];
}

export interface SandboxPlan {
  readonly uid: string;
  readonly info?: string;
  readonly plans: readonly Plan[];
}
