/** What the API room sees of a connection: who it is, and a way to send it events. No HTTP here. */
import type { Bytes, File } from "../encoders/encoder.ts";
import type { Plan } from "../plan/plan.ts";
import type { Kept } from "./kept.ts";
import type { Source } from "./source.ts";
import type { WireStatus } from "./status.ts";
import type { Asker } from "./turns.ts";

export interface Session {
  readonly uuid: string;
  /** Seconds a session lives without use. */
  readonly timeout?: number;
  /** Seconds it still has. */
  readonly remain?: number;
}

/**
 * What is known of a caller besides the session. It belongs to the connection or the request that brought it, never to a
 * session: a client can choose its uuid, and so one that another already has.
 */
export interface Caller {
  /** As it was given; whether it is worth anything, the configured access tells. */
  readonly token?: string;
  /** The user at the other end of a unix socket, as the kernel tells. */
  readonly user?: UserIds;
  /** Where it calls from, over TCP: such as `192.168.1.7`. */
  readonly address?: string;
  /** What it speaks. */
  readonly via?: Via;
  /** What the program that calls says it is, such as `editor 1.2`: for records alone. */
  readonly program?: string;
  /** That of the client, which TLS has verified. */
  readonly certificate?: CertificateNames;
  /** Who has published the call, as the rights of a message broker have it: nothing but what is granted to operators counts then. */
  readonly operator?: string;
}

export interface CertificateNames {
  /** Such as `CN:tablet`, `DNS:tablet.local`, `URI:spiffe://boat/tablet`, `email:bo@boat.example`. */
  readonly names: readonly string[];
  /** Milliseconds since 1970: then it expires. */
  readonly until: number;
}

/** `events`: over REST, with its events. */
export type Via = "rest" | "events" | "websocket" | "binder" | "mcp" | "mqtt";

export interface UserIds {
  readonly uid: number;
  /** Primary and supplementary groups. */
  readonly gids: readonly number[];
  /** The process runs under no_new_privs: it has less than its user, see prctl(2). */
  readonly confined: boolean;
  /** That of a security module, see SO_PEERSEC; absent where there is none. */
  readonly label?: string;
}

export interface Client {
  readonly session: Session;
  /** false once the connection is gone; events to it are then dropped. */
  readonly connected: boolean;
  /** Bytes that were sent, and that the connection has not taken yet: they cost memory. */
  readonly backlog: number;
  /**
   * Of one that comes back with the place of the last event that it has had, see place.ts: told before the reply by which it
   * follows a task, with the place from which on it does.
   */
  stands?(place: string): void;
  /**
   * Sends an event. The promise settles when the connection can take more. Never rejects.
   * @param place of an event of a task, for who {@link stands} somewhere
   */
  send(event: string, data: unknown, place?: string): void | Promise<void>;
  /**
   * Calls `gone` once, when the connection closes. Returns a function that takes that back.
   * @param keeps While this stands, the client follows something: it is not idle. True by default
   */
  onClose(gone: () => void, keeps?: boolean): () => void;
}

export interface Request {
  /** As the client wrote them; matched without regard to case. */
  readonly api: string;
  readonly verb: string;
  /** Any JSON value; undefined when there was none. */
  readonly args: unknown;
  /** Nobody wrote `args` for this verb, they are the data of an event: what a command does not declare is left out. */
  readonly offered?: boolean;
  /** What it subscribes to is wanted for good: where the connection to another binder ends, it is called again on the next. */
  readonly lasting?: boolean;
  /** The values of `args` are texts whatever they mean, since they come from a URL or a form. */
  readonly texts?: boolean;
  /** Of a start: all that the command reads, where it reads what it is given. Of `input`, a piece of that. */
  readonly input?: Source | undefined;
  /** Absent for a caller that cannot take events (REST). */
  readonly client?: Client;
  readonly session: Session;
  /** Absent: nothing is known of who calls. */
  readonly caller?: Caller;
  /** Told, before the reply, of each event that the client gets by this request: other binders announce them in its course. */
  readonly follows?: (event: string) => void;
  /** Of a caller that takes the output of a task as it is: called before it is started, and may reject with the error to reply. */
  readonly bytes?: (file: File) => Promise<Bytes>;
  /** Told, before the reply, of the task whose end that tells. */
  readonly ended?: (plan: Pick<Plan, "http">, status: WireStatus) => void;
  /** Privileges that a permission service has given this very call: a verb that stands for others is asked about once. */
  readonly answered?: ReadonlySet<string>;
  /** Whose turn it is where requests have to wait for one another. */
  readonly from?: Asker | undefined;
  /** Aborted when a caller that cannot take events goes before it has its reply; of one that can, when it is not coming back. */
  readonly gone?: AbortSignal | undefined;
  /** Lines are to come as they are printed, where the config would send them together. */
  readonly live?: true;
  /** Aborted when the caller gives its start up: it does not begin any more, or the task is stopped, as it would be by a `stop`. */
  readonly cancel?: AbortSignal;
  /** Of a caller that has a person to ask: before a command is started that says so. Rejects with the AfbError to reply. */
  readonly confirm?: (start: Asked) => Promise<void>;
  /** Reply only at the end of the task, with its output (REST `wait`); a number: or after so many seconds, without. */
  readonly wait?: boolean | number;
}

/** Whose turn a request takes where some have to wait. */
export const askerOf = ({ from, session }: Pick<Request, "from" | "session">): Asker =>
  from ?? { peer: "", connection: session };

/** What is about to be started. */
export interface Asked {
  readonly plan: Pick<Plan, "api" | "verb" | "sandbox" | "info" | "label" | "privileges">;
  /** What may be shown of the arguments. */
  readonly kept: Kept;
}

/** What tells that a caller has gone. */
export type Leaver = Pick<Client, "connected" | "onClose">;

/** undefined where nothing does. */
export function leaverOf({ client, gone }: Pick<Request, "client" | "gone">): Leaver | undefined {
  if (!gone) return client;
  return {
    get connected() {
      return !gone.aborted;
    },
    onClose(left) {
      const once = (): void => left();
      if (gone.aborted) queueMicrotask(once);
      else gone.addEventListener("abort", once);
      return () => gone.removeEventListener("abort", once);
    },
  };
}

/** The caller of actions that a config orders: the server itself, which may do everything. Known by identity. */
export const SERVER_SESSION: Session = Object.freeze({ uuid: "server" });
