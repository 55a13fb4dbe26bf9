/** Who may do what, as a permission service of the platform tells: asked about what {@link Granted} does not give. */
import type { Caller, Session } from "./client.ts";

/** What is asked. Callers that differ in none of it are the same for the service. */
export interface Question {
  /** That of a security module. */
  readonly label: string;
  /** The caller's token, or else the uuid of its session. */
  readonly session: string;
  readonly uid: number;
  readonly privilege: string;
}

/** Yes, or why not: for the caller. */
export type Answer = "yes" | { readonly refused: string };

export interface How {
  /** Whose turn it is where questions have to wait: such as an address, or a user of this machine. */
  readonly from: string;
  /** A service that is not there is waited for, as long as for an answer: for who may already, and would lose it. */
  readonly patient: boolean;
}

export interface PermissionService {
  /** At once where the answer is known. Never rejects: what cannot be asked is refused. */
  ask(question: Question, how: How): Answer | Promise<Answer>;
}

/** What the platform calls a process without a label. */
export const NO_LABEL = "NoLabel";
/** Who is nobody, to the platform: callers over TCP, and those whose ids say nothing. */
export const NOBODY = 99;

/** Who calls, for people: what the service is asked with. Nothing for nobody. */
export const identityOf = ({ user, certificate, operator }: Caller = {}) => ({
  ...(user && { uid: user.uid, label: user.label ?? NO_LABEL }),
  ...(certificate && { certificate: certificate.names }),
  ...(operator !== undefined && { operator }),
});

export function questionOf(session: Session, { user, token }: Caller, privilege: string): Question {
  return {
    label: user?.label ?? NO_LABEL,
    // An empty token is none.
    session: token || session.uuid,
    uid: user?.uid ?? NOBODY,
    privilege,
  };
}
