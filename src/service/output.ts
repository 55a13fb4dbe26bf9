/** Standard output and error, from another process: what is printed from now on goes where its output goes. */
import { putInPlace, takeDescriptors } from "../../ffi/processes.ts";

/** Throws CError, and changes nothing. */
export function takeOutput(pid: number): void {
  const [output = -1, errors = -1] = takeDescriptors(pid, [1, 2]);
  putInPlace(output, 1);
  putInPlace(errors, 2);
}
