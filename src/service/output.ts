/** Standard output and error, from another process: what is printed from now on goes where its output goes. */
import { closeSync, createWriteStream } from "node:fs";
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
    use: () => {
      fds.forEach((fd, i) => putInPlace(fd, 1 + i));
      // Once used, that of the runtime has a descriptor of its own, for what was there before.
      const stderr = createWriteStream("", { fd: 2, autoClose: false });
      Object.defineProperty(process, "stderr", { value: stderr, configurable: true });
    },
    drop: () => fds.forEach((fd) => closeSync(fd)),
  };
}
