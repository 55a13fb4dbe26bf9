/** Supervisors that are children of this process, as far as it is known which they are: nobody else's are killed as orphans. */

interface Living {
  /** Once it is known which process it is, or that there never was one. */
  readonly known: Promise<void>;
  /** Reaps it, where it is dead. */
  look(): void;
}

/** By process id, until they are reaped: before, nobody else has their number. */
export const living = new Map<number, Living>();
/** Asked for, and not known yet. */
export const unknown = new Set<Living>();

/** Once all that were asked for before are known, or will never be. */
export async function allKnown(): Promise<void> {
  await Promise.all([...unknown].map(({ known }) => known));
}
