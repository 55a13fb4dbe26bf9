/** Where in the events of a task somebody is: `ID:NUMBER`, of the last event that it has. */
import { TASK_ID } from "./task-id.ts";

export const placeOf = (id: string, number: number): string => `${id}:${number}`;

/** undefined where it is no such place. */
export function parsePlace(text: string): { id: string; number: number } | undefined {
  const [, id = "", digits = ""] = /^(\w+):(\d{1,15})$/.exec(text) ?? [];
  return TASK_ID.test(id) ? { id, number: Number(digits) } : undefined;
}
