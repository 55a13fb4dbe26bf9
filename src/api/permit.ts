/** Whether a caller may do something to a task. */
import { AfbError } from "../errors.ts";
import type { Followable } from "./run.ts";

/** Throws, or rejects with, an AfbError for a task that the caller may do nothing to; see {@link Gate.require}. */
export type Permit = (task: Permitted) => Promise<unknown> | undefined;

export interface Permitted {
  readonly plan: Followable;
}

export const ANY: Permit = () => undefined;

/** A promise only where somebody has to be asked. */
export function allows(permit: Permit, task: Permitted): boolean | Promise<boolean> {
  const refused = (error: unknown): false => {
    if (error instanceof AfbError) return false;
    throw error;
  };
  try {
    const asked = permit(task);
    return asked ? asked.then(() => true, refused) : true;
  } catch (error) {
    return refused(error);
  }
}
