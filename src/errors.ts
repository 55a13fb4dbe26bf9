/**
 * The one catalogue of errors that reach a client: the AFB status, its code, and the HTTP status that carries it.
 * A failure anywhere below the API becomes an {@link AfbError}; a bug becomes `internal-error`.
 */
export const STATUS = {
  success: { code: 0, http: 200 },
  "internal-error": { code: -1, http: 500 },
  "out-of-memory": { code: -2, http: 500 },
  "unknown-api": { code: -3, http: 404 },
  "unknown-verb": { code: -4, http: 404 },
  "not-available": { code: -5, http: 501 },
  unauthorized: { code: -6, http: 401 },
  "invalid-token": { code: -7, http: 401 },
  forbidden: { code: -8, http: 403 },
  "insufficient-scope": { code: -9, http: 403 },
  "bad-api-state": { code: -10, http: 403 },
  "no-reply": { code: -11, http: 504 },
  "invalid-request": { code: -12, http: 400 },
  "no-item": { code: -13, http: 404 },
  "bad-state": { code: -14, http: 409 },
  disconnected: { code: -15, http: 503 },
  timeout: { code: -16, http: 504 },
  // Ours: between those of AFB and those of plugins.
  busy: { code: -100, http: 503 },
} as const satisfies Record<string, { code: number; http: number }>;

export type Status = keyof typeof STATUS;
export type FailureStatus = Exclude<Status, "success">;

/** What the kernel says when there is too little of something: descriptors, processes, memory, namespaces, mounts. */
const EXHAUSTED: ReadonlySet<unknown> = new Set([
  "EMFILE",
  "ENFILE",
  "ENOMEM",
  "EAGAIN",
  "ENOSPC",
  "EUSERS",
  // Keys, of which an ordinary user may have 200: each command has a keyring.
  "EDQUOT",
]);

/** Whether an errno tells that there is too little of something, and the same may succeed later. */
export const isExhaustion = (errno: unknown): boolean => EXHAUSTED.has(errno);

/** The same of an error, which has its errno as `errno`, or as node:fs has it, as `code`. */
export function isExhausted(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const errno = "errno" in error && typeof error.errno === "string" ? error.errno : undefined;
  return isExhaustion(errno ?? ("code" in error && error.code));
}

/** What this machine, or the user of the server, does not allow: no bug, and its message says what to do. */
export class Refused extends Error {}

/** An error that a client is told: its status, and `message` as the info that says what to do. */
export class AfbError extends Error {
  constructor(
    readonly status: FailureStatus,
    message: string,
  ) {
    super(message);
    this.name = "AfbError";
  }
}

/** Of what comes, or is on its way, when the server ends. */
export const shuttingDown = (): AfbError =>
  new AfbError("not-available", "the server is shutting down");
