/** What may be kept of what a task was called with. */
export interface Kept {
  /** As the caller has given them, and the defaults of those that it has not; `***` for a secret. */
  readonly args?: unknown;
  /** The command line; `***` for a secret. */
  readonly argv?: readonly string[];
  /** The config hides them, all or some. */
  readonly hidden?: true;
  /** They are not all there: it was so many bytes. */
  readonly cut?: number;
}
