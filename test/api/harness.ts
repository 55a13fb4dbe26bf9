/** A registry over real processes without a sandbox, and a client that records its frames as they would go over a WebSocket. */
import { afterEach } from "bun:test";
import { constants } from "node:os";
import { valueOf } from "../../src/api/event-data.ts";
import type { Client, Session } from "../../src/api/client.ts";
import type { Granted } from "../../src/api/privileges.ts";
import {
  createRegistry,
  type Registry,
  type RegistryOptions,
  type RunningRegistry,
} from "../../src/api/registry.ts";
import type { Reply } from "../../src/api/reply.ts";
import { compileParams, type Params } from "../../src/config/params.ts";
import { AfbError } from "../../src/errors.ts";
import { type Launch, LaunchError, type Outcome, type Task } from "../../src/launch/task.ts";
import { Log } from "../../src/log.ts";
import { parseTemplate } from "../../src/plan/argv.ts";
import type { ApiPlan, Plan } from "../../src/plan/plan.ts";

/** A plan that runs a shell script; what is not given is as in a small config. */
export function shell(verb: string, script: string, overrides: Partial<Plan> = {}): Plan {
  return {
    api: "p",
    verb,
    command: verb.split("/").at(-1) ?? verb,
    sandbox: "sb",
    privileges: [],
    timeout: 0,
    concurrency: 0,
    sandboxConcurrency: 0,
    verbose: 0,
    encoder: { name: "text", opts: {} },
    argv: parseTemplate("/bin/sh", ["-c", script], (text) => text),
    env: { PATH: "/usr/bin:/bin" },
    // The launch below does not look at these.
    policy: {} as Plan["policy"],
    ops: new Uint8Array(0),
    ...overrides,
  };
}

/** The part of a plan that names its encoder. */
export const use = (name: string, opts: Record<string, unknown> = {}) => ({
  encoder: { name, opts },
});

/**
 * A plan that sleeps, without a shell: one that is just about to run its child may miss a SIGINT, or outlive it because the
 * child did.
 */
export function sleeper(verb: string, overrides: Partial<Plan> = {}): Plan {
  const argv = parseTemplate("/bin/sleep", ["60"], (text) => text);
  return shell(verb, "", { argv, ...overrides });
}

export function paramsOf(source: Record<string, unknown>): Params {
  return compileParams(source, "params", (path, message) => {
    throw new Error(`${path}: ${message}`);
  });
}

export function apiOf(plans: readonly Plan[], overrides: Partial<ApiPlan> = {}): ApiPlan {
  const sandboxes = [{ uid: "sb", plans }];
  return { file: "spawn-p.json", uid: "demo", api: "p", sandboxes, notices: [], ...overrides };
}

/** Everybody has these privileges and no others. */
export const granting =
  (...privileges: string[]): Granted =>
  () => ({ privileges: new Set(privileges) });

export function registryOf(
  plans: readonly Plan[],
  options: Partial<RegistryOptions> = {},
): RunningRegistry {
  const log = new Log(() => {});
  return createRegistry({ apis: [apiOf(plans)], launch: spawnLaunch, log, ...options });
}

/** A function that makes a registry with a client; each is closed after the test that made it. */
export function connecting() {
  const registries: Registry[] = [];
  afterEach(async () => {
    await Promise.all(registries.splice(0).map((registry) => registry.close()));
  });
  return (plans: readonly Plan[], options: Partial<RegistryOptions> = {}) => {
    const registry = registryOf(plans, options);
    registries.push(registry);
    return { registry, client: new TestClient(registry) };
  };
}

/** Keeps the contract of task.ts with plain processes: each in a session of its own, killed as a group. */
export const spawnLaunch: Launch = async (plan, argv, sink) => {
  const started = performance.now();
  let proc: Bun.Subprocess<"ignore", "pipe", "pipe">;
  try {
    proc = Bun.spawn([...argv], {
      env: { ...plan.env },
      stdio: ["ignore", "pipe", "pipe"],
      detached: true,
    });
  } catch {
    throw new LaunchError("exec", argv[0] ?? "", "ENOENT", "No such file or directory");
  }
  let cause: Outcome["cause"];
  const signal = (number: number) => {
    if (proc.exitCode === null && proc.signalCode === null) process.kill(-proc.pid, number);
  };
  const timer = plan.timeout
    ? setTimeout(() => {
        cause = "timeout";
        signal(9);
      }, plan.timeout)
    : undefined;

  async function pump(stream: ReadableStream<Uint8Array>, to: "stdout" | "stderr") {
    for await (const chunk of stream) await sink[to](chunk);
  }

  async function end(): Promise<Outcome> {
    await Promise.all([pump(proc.stdout, "stdout"), pump(proc.stderr, "stderr"), proc.exited]);
    clearTimeout(timer);
    const usage = { wall: performance.now() - started, user: 0, system: 0, maxrss: 0 };
    const name = Object.entries(constants.signals).find(([key]) => key === proc.signalCode);
    const ended = name ? { signal: name[1] } : { exit: proc.exitCode ?? -1 };
    return { ...ended, ...(cause && { cause }), usage };
  }

  const task: Task = {
    plan,
    pid: proc.pid,
    ended: end(),
    stop(number) {
      cause ??= "stopped";
      signal(number ?? 2);
    },
    end() {
      task.kill();
    },
    kill() {
      cause ??= "stopped";
      signal(9);
    },
  };
  return task;
};

/** Numbers that differ from run to run, as letters: pids and resource usage. */
export function settled(frame: unknown): string {
  return JSON.stringify(frame)
    .replace(/"pid":\d+/g, '"pid":PID')
    .replace(/@\d+/g, "@PID")
    .replace(/,?"usage":\{"wall"[^}]*\}/g, "");
}

export class TestClient implements Client {
  readonly session: Session = { uuid: "test-session" };
  connected = true;
  /** Everything in the order in which it would have been written. */
  readonly frames: unknown[] = [];
  /** Answers to sends; by default the client can always take more. */
  pause: (() => void | Promise<void>) | undefined;
  backlog = 0;
  readonly #registry: Registry;
  readonly #closing = new Set<() => void>();
  #watchers: (() => void)[] = [];
  #id = 0;

  constructor(registry: Registry) {
    this.#registry = registry;
  }

  send(event: string, data: unknown): void | Promise<void> {
    this.#push([5, event, { jtype: "afb-event", event, data: valueOf(data) }]);
    const paused = this.pause?.();
    if (paused) {
      this.backlog += JSON.stringify(data).length;
      void paused.then(() => (this.backlog = 0));
    }
    return paused;
  }

  onClose(gone: () => void): () => void {
    this.#closing.add(gone);
    return () => this.#closing.delete(gone);
  }

  /**
   * Handlers that are still held: a task that has ended must not leave one behind. The registry's own, which lasts as long
   * as the connection, does not count.
   */
  get handlers(): number {
    return this.#closing.size - 1;
  }

  disconnect(): void {
    this.connected = false;
    for (const gone of [...this.#closing]) gone();
  }

  async call(verb: string, args?: unknown, more: object = {}): Promise<Reply> {
    const id = String(++this.#id);
    const { session } = this;
    const request = { api: "p", verb, args, client: this, session, ...more };
    const reply = await this.#registry.call(request);
    this.#push([reply.request.status === "success" ? 3 : 4, id, reply]);
    return reply;
  }

  /** Frames as JSON, without what differs from run to run. */
  get wire(): string[] {
    return this.frames.map(settled);
  }

  /** Waits until a frame contains `text`, counting from the first one. */
  async until(text: string): Promise<void> {
    for (let seen = 0; ; seen++) {
      while (seen === this.frames.length) {
        await new Promise<void>((resolve) => this.#watchers.push(resolve));
      }
      if (JSON.stringify(this.frames[seen]).includes(text)) return;
    }
  }

  #push(frame: unknown): void {
    this.frames.push(frame);
    const watchers = this.#watchers;
    this.#watchers = [];
    for (const wake of watchers) wake();
  }
}

/** The pid that a reply or event tells. */
export function pidOf(value: unknown): number {
  return Number(/"pid":(\d+)/.exec(JSON.stringify(value))?.[1]);
}

/** What comes of it, or what it is refused with, as `status: message`. */
export const said = (work: () => unknown): unknown => {
  try {
    return work();
  } catch (error) {
    if (!(error instanceof AfbError)) throw error;
    return `${error.status}: ${error.message}`;
  }
};
