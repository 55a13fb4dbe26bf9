/**
 * A plan is a compiled command: everything that can be decided at boot, decided. Plans are immutable; a request
 * only fills in the arguments of the argv template and starts it.
 */
import type { Address, Speech } from "../config/binder-uri.ts";
import type { Params } from "../config/params.ts";
import type { ArgvTemplate } from "./argv.ts";
import type { Ending } from "./ending.ts";
import type { Policy } from "./policy.ts";
import type { Notice } from "./report.ts";
import type { Secrets } from "./secrets.ts";
import type { Webhook } from "./webhook.ts";

export interface Plan {
  readonly api: string;
  /** Verb name as exposed, such as `admin/sleep`. */
  readonly verb: string;
  /** uid of the command in the config. */
  readonly command: string;
  /** uid of the sandbox in the config. */
  readonly sandbox: string;
  readonly info?: string;
  /** What people call it. */
  readonly label?: string;
  readonly usage?: unknown;
  readonly sample?: readonly unknown[];
  /** Permissions a caller needs, all of them. */
  readonly privileges: readonly string[];
  /** Milliseconds before the task is ended; 0 is none. */
  readonly timeout: number;
  /** How a stop, the time-out and the end of the server end it; absent: the usual stop, and those two kill at once. */
  readonly stop?: Ending;
  /** Most tasks that may run at once; 0 is no limit. */
  readonly concurrency: number;
  /** The same of all tasks of the sandbox together. */
  readonly sandboxConcurrency: number;
  /** The server starts without it too, where it cannot be had. */
  readonly optional?: true;
  /** false: the task is stopped when the client that started it goes away. */
  readonly detach?: boolean;
  /** A person is asked before it is started: by the client that has one. */
  readonly confirm?: true;
  readonly verbose: number;
  /** Most bytes of output that a task holds, see encoders/hold.ts. */
  readonly buffer?: number;
  readonly encoder: {
    readonly name: string;
    readonly plugin?: string;
    readonly opts: Record<string, unknown>;
  };
  readonly argv: ArgvTemplate;
  /** What `params` of the config demands of the arguments. */
  readonly params?: Params;
  /** It reads what its callers give it, at most so many bytes. Absent: nothing. */
  readonly input?: number;
  /** Bytes of its last output that are kept for who comes later, see api/ring.ts; 0: none. */
  readonly ring?: number;
  /** A history keeps its output, too. */
  readonly keepsOutput?: true;
  /** Nobody is shown what it was called with: the config has said so. */
  readonly discreet?: true;
  /** It is not started where that cannot be written to the audit. */
  readonly audited?: true;
  /** The environment, as `NAME: value`. */
  readonly env: Readonly<Record<string, string>>;
  /** Who proves by it may start the command without a privilege. */
  readonly webhook?: Webhook;
  /** HTTP statuses by exit code, of replies that tell it over REST. */
  readonly http?: Readonly<Record<string, number>>;
  /** What programs that act for people are told of it. */
  readonly tool?: ToolPlan;
  /** Variables that a launch reads of files. */
  readonly secrets?: Secrets;
  /** Names of the server's variables that are not handed on: see server-variables.ts. */
  readonly keptBack?: readonly string[];
  /** What the sandbox does, in the terms of the kernel. Shared by the commands of a sandbox. */
  readonly policy: Policy;
  /** So many sandboxes are kept ready for the command; ops: as those below, with WAIT. */
  readonly pool?: { readonly size: number; readonly ops: Uint8Array };
  /** Encoded launcher ops (see ffi/launcher/layout.ts). Equal blobs are one object. */
  readonly ops: Uint8Array;
}

/** What may be relied on: what the config says, or else what the sandbox proves. Absent: nobody knows. */
export interface ToolPlan {
  /** It changes nothing. */
  readonly readonly?: boolean;
  readonly destructive?: boolean;
  readonly idempotent?: boolean;
  /** It deals with what is beyond this machine. */
  readonly openworld?: boolean;
  /** JSON Schema of what it prints. */
  readonly result?: Readonly<Record<string, unknown>>;
}

/** A plugin: modules that are loaded at boot. */
export interface PluginPlan {
  readonly uid: string;
  /** Absolute paths. */
  readonly files: readonly string[];
}

export type ActionTarget =
  | { readonly kind: "api"; readonly api: string; readonly verb: string }
  | { readonly kind: "plugin"; readonly plugin: string; readonly name: string };

/** A call that the server makes by itself, or that another verb stands for. */
export interface ActionPlan {
  readonly uid: string;
  readonly info?: string;
  /** As the config has it, for messages. */
  readonly action: string;
  readonly target: ActionTarget;
  readonly args?: unknown;
  /** Of an extra verb: permissions a caller needs, besides those of the verb it stands for. */
  readonly privileges?: readonly string[];
  readonly required: boolean;
}

export interface ActionPlans {
  readonly onload: readonly ActionPlan[];
  readonly onstart: readonly ActionPlan[];
  readonly events: readonly ActionPlan[];
  readonly extra: readonly ActionPlan[];
}

/** An API of another binder. */
export interface ImportPlan {
  /** As it is called here. */
  readonly name: string;
  /** As it is called there; undefined for the one that has no name. */
  readonly remote: string | undefined;
  readonly speech: Speech;
  /** As it was written, and what it means. */
  readonly uri: string;
  readonly address: Address;
  readonly info?: string;
  /** The server starts without it too. */
  readonly optional?: true;
  /** Only actions and extra verbs call it. */
  readonly private?: true;
  /** Permissions a caller needs, all of them. */
  readonly privileges: readonly string[];
  /** The only verbs that may be called; absent: all there are. */
  readonly verbs?: readonly string[];
}

/** A compiled config: one API. */
export interface ApiPlan {
  readonly file: string;
  readonly uid: string;
  readonly api: string;
  readonly info?: string;
  readonly version?: string;
  readonly author?: string;
  /** How errors of verbs are answered over REST, see ApiDescription. */
  readonly http?: "afb";
  readonly sandboxes: readonly SandboxPlan[];
  readonly notices: readonly Notice[];
  readonly plugins?: readonly PluginPlan[];
  readonly actions?: ActionPlans;
  readonly imports?: readonly ImportPlan[];
  /** Patterns of the verbs that programs are offered as tools; absent: all commands and extra verbs. */
  readonly mcp?: readonly string[];
}

export interface SandboxPlan {
  readonly uid: string;
  readonly info?: string;
  readonly plans: readonly Plan[];
  /** Those of its verbs that cannot be had here, and may be missing. */
  readonly unavailable?: readonly UnavailableVerb[];
  /** Where the sandbox allows the `exec` verb: what a plan of it has, but for the program and its arguments. */
  readonly exec?: Plan;
}

/** What is left of a command that cannot be had here. */
export interface UnavailableVerb extends Pick<Plan, "verb" | "command" | "info" | "privileges"> {
  /** What a caller is told. */
  readonly reason: string;
}

/** Everything that the sandbox may launch: its commands, and what exec starts. */
export const launchable = ({ plans, exec }: SandboxPlan): readonly Plan[] =>
  exec ? [...plans, exec] : plans;
