/**
 * The console of this process, made safe once for all that is ever printed: nothing of a text is obeyed by what shows it
 * (see visible.ts), and the kernel log, where it is the output, gets what it takes. Where a line begins is for who prints it.
 */
import { isKernelLog, records } from "./kernel-log.ts";
import { toTerminal } from "./terminal-output.ts";
import { indented, visibleLines } from "./visible.ts";

const PRINTED = { log: 1, info: 1, debug: 1, error: 2, warn: 2 } as const;

let isServing = false;

/** From now on nothing waits for a terminal that is not read: others wait for this process. */
export function printWithoutWaiting(): void {
  isServing = true;
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
      if (isServing && !isKernel && toTerminal(fd, text)) return;
      for (const piece of isKernel ? records(text) : [text]) write(piece);
    };
  }
}
