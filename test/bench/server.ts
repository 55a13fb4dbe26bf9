/** A running `spawnbox serve`, or any other executable that prints the URL it serves on. */
import type { Scratch } from "./scratch.ts";

export interface ServerProcess {
  readonly pid: number;
  readonly url: string;
  /** Ends it and waits. */
  stop(): Promise<void>;
}

const URL_PRINTED = /https?:\/\/[\w.:[\]]+/;

/** Starts `cmd` and waits until it has printed its URL. Rejects when it ends before. */
export async function startServer(cmd: string[], scratch: Scratch): Promise<ServerProcess> {
  const child = Bun.spawn({ cmd, stdio: ["ignore", "pipe", "inherit"] });
  const ended = scratch.adopt(child);
  void child.exited.then(ended);
  const reader = child.stdout.getReader();
  const decoder = new TextDecoder();
  let printed = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) throw new Error(`${cmd.join(" ")} ended with ${await child.exited}: ${printed}`);
    printed += decoder.decode(value, { stream: true });
    // A chunk may end in the middle of the URL.
    const [url] = URL_PRINTED.exec(printed.slice(0, printed.lastIndexOf("\n") + 1)) ?? [];
    if (url === undefined) continue;
    // Its further output is of no interest, but must not make it wait.
    void drain(reader);
    return {
      pid: child.pid,
      url,
      async stop() {
        child.kill();
        await child.exited;
      },
    };
  }
}

async function drain(reader: { read(): Promise<{ done: boolean }> }): Promise<void> {
  while (!(await reader.read()).done);
}

export const serveCommand = (executable: string, config: string): string[] => [
  executable,
  ...["serve", "--config", config, "--host", "127.0.0.1", "--port", "0"],
];
