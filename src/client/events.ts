/** What a client tells of by itself. */
export interface ClientEvents {
  /** An event: its name, such as `api/verb`, and its data. */
  event: (name: string, data: unknown) => void;
  /** The connection broke, and is being made anew: only with `reconnect`. */
  lost: (reason: string) => void;
  /** It is there again. The server has forgotten what was subscribed to. */
  restored: () => void;
  /** The connection is gone for good. Once. */
  close: (reason: string) => void;
}
