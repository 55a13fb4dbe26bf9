/**
 * The console of this process, made safe once for all that is ever printed: nothing of a text is obeyed by what shows it
 * (see visible.ts), and the kernel log, where it is the output, gets what it takes. Where a line begins is for who prints it.
 */
import { isKernelLog, records } from "./kernel-log.ts";
import { indented, visibleLines } from "./visible.ts";

const PRINTED = { log: 1, info: 1, debug: 1, error: 2, warn: 2 } as const;

/** Writes a line to a descriptor without waiting for its reader; false where it has not tried. */
type Unwaiting = (fd: number, line: string) => boolean;
let unwaiting: Unwaiting | undefined;

/**
 * From now on nothing waits for a terminal that is not read: others wait for this process.
 * @param write Handed in, since it needs libc, which no start may need before it can tell that there is none to be had.
 */
export function printWithoutWaiting(write: Unwaiting): void {
  unwaiting = write;
}

/**
 * From now on. Anything but a text, such as an error, is shown in full, with all lines but the first indented.
 * @param print writes to standard output in place of the runtime, which does not tell what it could not write
 */
export function keepConsole(print?: (text: string) => void): void {
  for (const name of Object.keys(PRINTED) as (keyof typeof PRINTED)[]) {
    const fd = PRINTED[name];
    const write = (fd === 1 && print) || console[name].bind(console);
    console[name] = (...said: unknown[]) => {
      const shown = said.map((one) => (typeof one === "string" ? one : indented(Bun.inspect(one))));
      const text = visibleLines(shown.join(" "));
      // Each time: the output changes when the service takes over from the server of early boot.
      const isKernel = isKernelLog(fd);
      if (!isKernel && unwaiting?.(fd, text)) return;
      for (const piece of isKernel ? records(text) : [text]) write(piece);
    };
  }
}
