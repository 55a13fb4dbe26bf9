/** Standard output and error, from another process: what is printed from now on goes where its output goes. */
import { closeSync } from "node:fs";
import { putInPlace, takeDescriptors } from "../../ffi/processes.ts";

/** One of both is called. */
export interface Output {
  use(): void;
  drop(): void;
}

/** Throws CError, and changes nothing. */
export function takeOutput(pidfd: number): Output {
  const fds = takeDescriptors(pidfd, [1, 2]);
  return {
    use: () => fds.forEach((fd, i) => putInPlace(fd, 1 + i)),
    drop: () => fds.forEach((fd) => closeSync(fd)),
  };
}
