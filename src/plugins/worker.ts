/** The thread of a plugin: loads its modules, then does what the server asks. See thread.ts for the other side. */
import { createRequire } from "node:module";
import { workerData } from "node:worker_threads";
import { Answers } from "./answers.ts";
import { Encoded } from "./encoded.ts";
import { type Contents, failureOf, type FromThread, jsonOf, textOf } from "./messages.ts";
import type { Asked, ThreadData, ToThread } from "./messages.ts";
import { type Module, loadModules } from "./modules.ts";
import type { PluginEncoder } from "./plugin.ts";
import { printToErrors } from "./printing.ts";
import { guardImports } from "./resolve.ts";

const { port, told, files } = workerData as ThreadData;
printToErrors();

function say(message: FromThread): void {
  port.postMessage(message);
  Atomics.add(told, 0, 1);
  Atomics.notify(told, 0);
}

// They end nothing: a plugin that has forgotten to catch an error goes on.
const stray = (error: unknown) => say({ kind: "stray", text: textOf(error) });
process.on("uncaughtException", stray);
process.on("unhandledRejection", stray);

process.on("exit", () => say({ kind: "exits" }));

/** What is loaded, by path, of this thread's own first. */
const { cache } = createRequire(import.meta.url);
const own = new Set([...Object.keys(cache), import.meta.path]);
guardImports();
const module: Promise<Module> = loadModules(files);
// Told to whoever asks for something.
module.catch(() => {});
const answers = new Answers(say);
let task: Encoded | undefined;

function contentsOf({ encoders, functions }: Module): Contents {
  return {
    encoders: [...encoders].map(([name, one]) => ({
      name,
      synchronous: one.synchronous === true,
      checks: typeof one.check === "function",
    })),
    functions: [...functions.keys()],
    modules: Object.keys(cache).filter((path) => !own.has(path)),
  };
}

async function work(asked: Asked): Promise<unknown> {
  const { encoders, functions } = await module;
  switch (asked.kind) {
    case "ping":
      return undefined;
    case "contents":
      return contentsOf({ encoders, functions });
    case "check":
      return check(encoders.get(asked.encoder), asked.opts);
    case "begin": {
      const encoder = encoders.get(asked.encoder);
      if (!encoder) throw new Error("it is gone");
      task = new Encoded(encoder, asked.opts, (batch, list) =>
        say({ kind: "events", batch, list }),
      );
      return undefined;
    }
    case "stdout":
    case "stderr":
      return task?.take(asked.kind, asked.chunk);
    case "end":
      return task?.end();
    case "call": {
      const called = functions.get(asked.name);
      if (!called) throw new Error("it is gone");
      return called(asked.args, answers.context(asked.context, asked.api));
    }
  }
}

function check(encoder: PluginEncoder | undefined, opts: Record<string, unknown>): string[] {
  let problems: unknown;
  try {
    problems = encoder?.check?.(opts);
  } catch (error) {
    throw new Error(`check() failed: ${failureOf(error).message}`, { cause: error });
  }
  if (!Array.isArray(problems)) throw new Error("check() must return a list");
  return problems.map(String);
}

async function answer(id: number, result: Promise<unknown>): Promise<void> {
  try {
    const json = jsonOf(await result);
    // What it has emitted comes before the word that it is done.
    task?.flush();
    say({ kind: "done", id, json });
  } catch (error) {
    task?.flush();
    say({ kind: "failed", id, failure: failureOf(error) });
  }
}

port.on("message", (message: ToThread) => {
  switch (message.kind) {
    case "sent":
      return task?.sent(message.batch);
    case "answer":
      return answers.settle(message.invoke, message.json);
    case "refused":
      return answers.refuse(message.invoke, message.failure);
    default:
      void answer(message.id, work(message));
  }
});
