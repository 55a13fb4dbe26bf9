/** Plugins by their files: loaded in threads of their own, of which this process knows no more than what is in them. */
import { statSync } from "node:fs";
import { trusted } from "../config/trust.ts";
import { serverLog } from "../log.ts";
import type { PluginPlan } from "../plan/plan.ts";
import { ThreadedEncoder } from "./encoder.ts";
import type { Contents } from "./messages.ts";
import type { PluginFunction } from "./plugin.ts";
import { SharedThread } from "./shared.ts";
import { Thread } from "./thread.ts";

export interface LoadedPlugin {
  readonly uid: string;
  readonly encoders: ReadonlyMap<string, ThreadedEncoder>;
  readonly functions: ReadonlyMap<string, PluginFunction>;
  /** Tasks and calls may come. */
  open(): void;
  /** No more come; those under way go on. */
  close(): void;
  /** Those under way end, too, with an error. */
  end(): void;
}

/** ms in which modules must be loaded, options checked, and a hook be done. */
const LIMIT = 10_000;
/** ms after a task has taken the spare thread: making another takes a core for some ms, which belong to that task. */
const REFILL = 100;

/** Of those limits: as long as anybody waits for a function, see ACTION_LIMIT in src/api/actions.ts. */
const GRACE = 3;

/** By uid and files: all who name the same share it, and a reload takes it anew only when a file has changed. */
const plugins = new Map<string, ThreadedPlugin>();
/** By that and the state of the files, in this turn of the event loop: a second config need not wait for it to fail again. */
const failed = new Map<string, unknown>();

/** The process stands still until the modules are loaded. @throws Error naming the file and what is wrong with it */
export function loadPlugin({ uid, files }: PluginPlan, limit = LIMIT): LoadedPlugin {
  const real = files.map((file) => trusted(file, process.geteuid?.() ?? 0));
  const key = JSON.stringify([uid, ...real]);
  const known = plugins.get(key);
  if (known?.current) return known;
  plugins.delete(key);
  const plugin = loadOnce(key, () => new ThreadedPlugin(uid, real, limit), stampOf(real) ?? "");
  plugins.set(key, plugin);
  // Nobody serves it: it was checked only.
  if (!known?.opened) known?.close();
  return plugin;
}

function loadOnce(key: string, load: () => ThreadedPlugin, stamp: string): ThreadedPlugin {
  const state = `${key} ${stamp}`;
  if (failed.has(state)) throw failed.get(state);
  try {
    return load();
  } catch (error) {
    failed.set(state, error);
    setImmediate(() => failed.clear());
    throw error;
  }
}

class ThreadedPlugin implements LoadedPlugin {
  readonly encoders: ReadonlyMap<string, ThreadedEncoder>;
  readonly functions: ReadonlyMap<string, PluginFunction>;
  opened = false;
  /** Of `files` and what they import, as it was loaded. */
  readonly #modules: readonly string[] | undefined;
  readonly #stamp: string | undefined;
  readonly #shared: SharedThread;
  /** For the next task, which then needs not wait for it. */
  #spare: Thread | undefined;
  #refilling: ReturnType<typeof setTimeout> | undefined;
  #closed = false;
  readonly #threads = new Set<Thread>();

  constructor(
    readonly uid: string,
    readonly files: readonly string[],
    readonly limit: number,
  ) {
    const before = stampOf(files);
    const stray = (text: string) => this.#stray(text);
    this.#shared = new SharedThread(uid, () => this.#thread(), stray, {
      beat: limit / 2,
      grace: GRACE * limit,
    });
    const { encoders, functions, modules } = this.#contents();
    this.#modules = [...new Set([...files, ...modules])];
    this.#stamp = before === stampOf(files) ? stampOf(this.#modules) : undefined;
    const threads = { fresh: () => this.#fresh(), shared: () => this.#shared, stray, limit };
    this.encoders = new Map(
      encoders.map((about) => [about.name, new ThreadedEncoder(uid, about, threads)]),
    );
    this.functions = new Map(
      functions.map((name) => [name, (args, context) => this.#shared.call(name, args, context)]),
    );
  }

  /** Its files are those that were loaded, and it can still be used. */
  get current(): boolean {
    return !this.#closed && this.#unchanged;
  }

  open(): void {
    this.opened = true;
    if (this.encoders.size > 0) this.#refill();
  }

  close(): void {
    this.#closed = true;
    this.#spare?.end();
    this.#shared.close();
  }

  end(): void {
    this.close();
    for (const thread of this.#threads) thread.end(new Error("the server ends"));
  }

  get #unchanged(): boolean {
    // Before they are loaded, nobody knows the modules.
    if (this.#modules === undefined) return true;
    return this.#stamp !== undefined && stampOf(this.#modules) === this.#stamp;
  }

  #contents(): Contents {
    try {
      const contents = this.#shared.askNow({ kind: "contents" }) as Contents;
      for (const module of contents.modules) trusted(module, process.geteuid?.() ?? 0);
      return contents;
    } catch (error) {
      this.close();
      throw error;
    }
  }

  #fresh(): Thread {
    const spare = this.#spare;
    this.#spare = undefined;
    if (spare && !this.current) spare.end();
    const thread = spare && !spare.over ? spare : this.#thread();
    if (this.opened) this.#refilling ??= setTimeout(() => this.#refill(), REFILL).unref();
    return thread;
  }

  #refill(): void {
    this.#refilling = undefined;
    if (!this.current || this.#spare) return;
    try {
      this.#spare = this.#thread();
    } catch {
      // The next task tells why there can be none.
    }
  }

  #thread(): Thread {
    if (!this.#unchanged) {
      throw new Error(
        `${this.files.join(", ")} changed since it was loaded, or what it imports; a reload takes it anew`,
      );
    }
    const thread = new Thread(this.files, this.limit, (heard) => {
      if (heard.kind === "stray") this.#stray(heard.text);
    });
    for (const other of this.#threads) if (other.over) this.#threads.delete(other);
    this.#threads.add(thread);
    return thread;
  }

  #stray(text: string): void {
    serverLog.for("")("error", `plugin ${this.uid}: an error that it did not catch: ${text}`);
  }
}

/** Tells whether files have changed since, in what they say or in whose they are; undefined when one is gone. */
function stampOf(files: readonly string[]): string | undefined {
  const stamps: string[] = [];
  for (const file of files) {
    const found = statSync(file, { throwIfNoEntry: false });
    if (!found) return undefined;
    const { dev, ino, size, mtimeMs, ctimeMs } = found;
    stamps.push([dev, ino, size, mtimeMs, ctimeMs].join());
  }
  return stamps.join(" ");
}
