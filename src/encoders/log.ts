/**
 * Output for the operator, not the client: appended to the files `stdout` and `stderr` of the options, byte for byte, or
 * to the server's own stderr. Clients get only the final event.
 */
import { closeSync, writeSync } from "node:fs";
import { trustOf } from "../config/trust.ts";
import { openAppended } from "../config/written.ts";
import type { Encoder } from "./encoder.ts";
import { checkOptions, type Options } from "./options.ts";

const OPTIONS = {
  stdout: { type: "path" },
  stderr: { type: "path" },
} as const satisfies Options;

interface Target {
  write(chunk: Uint8Array): void | Promise<void>;
  close(): void;
}

const serverLog: Target = {
  write: (chunk) =>
    new Promise<void>((resolve) => {
      // A copy, because the stream may keep it after this call; its error, if any, has nowhere else to be told.
      process.stderr.write(chunk.slice(), () => resolve());
    }),
  close() {},
};

function openLog(path: string): Target {
  const fd = openAppended(path, 0o640, trustOf(process.geteuid?.() ?? 0));
  let failed = false;
  return {
    write(chunk) {
      if (failed) return;
      try {
        for (let done = 0; done < chunk.length;) done += writeSync(fd, chunk, done);
      } catch (error) {
        // A full disk must not stop the command. Said once per task, where the operator looks next.
        failed = true;
        console.error(`log encoder: cannot write ${path}, output of this task is lost: ${error}`);
      }
    },
    close: () => closeSync(fd),
  };
}

export const log: Encoder = {
  name: "log",
  synchronous: false,
  check: (opts) => checkOptions("log", OPTIONS, opts),
  /** Throws the error of open(2): a command whose log cannot be kept is not started. */
  begin(opts) {
    const targets = new Map<unknown, Target>();
    const target = (path: unknown): Target => {
      if (typeof path !== "string") return serverLog;
      const known = targets.get(path);
      if (known) return known;
      const opened = openLog(path);
      targets.set(path, opened);
      return opened;
    };
    const close = () => {
      for (const opened of targets.values()) opened.close();
    };
    try {
      const stdout = target(opts["stdout"]);
      const stderr = target(opts["stderr"]);
      return {
        stdout: stdout.write,
        stderr: stderr.write,
        end() {
          close();
          return {};
        },
      };
    } catch (error) {
      close();
      throw error;
    }
  },
};
