/**
 * One launch: real pipes (a socketpair would refuse /dev/stdout), the sealed launcher, one lifeline. Nothing here looks at the
 * policy: the ops of the plan say it all.
 */
import { closeSync, writeSync } from "node:fs";
import { CError } from "../../ffi/errno.ts";
import { GROUP, WAKE } from "../../ffi/launcher/layout.ts";
import { pipe, setNonBlocking } from "../../ffi/libc.ts";
import { boundingOf } from "../plan/bounding.ts";
import { USUAL } from "../plan/ending.ts";
import type { Plan } from "../plan/plan.ts";
import type { GroupUsage, TaskGroup } from "./cgroup.ts";
import { Channel } from "./channel.ts";
import { confinement } from "./confinement.ts";
import { hint, killed } from "./hints.ts";
import { opsFd } from "./launcher.ts";
import { LOST, NO_AGENT } from "./no-agent.ts";
import { othersOf } from "./others.ts";
import { sweepOrphans } from "./orphans.ts";
import { decode, type LauncherRecord, supervisorOf } from "./records.ts";
import { statusPipe } from "./status.ts";
import { Supervisor } from "./supervisor.ts";
import type { Supplied } from "./secrets.ts";
import { LaunchError, type OutputSink, type Outcome, type Task } from "./task.ts";
import { InputPipe } from "./input-pipe.ts";
import { ToldCounts } from "./told.ts";
import { atOnce, secondReader, WordsPipe } from "./words-pipe.ts";

const SIGKILL = 9;
const SIGCONT = 18;
/** Of a wait status: the signal that ended it, or 0. See waitpid(2). */
const SIGNAL = 0x7f;
const SIGSYS = 31;
/** HUP, INT, QUIT, KILL, TERM: asked to end by one of these, a command may clean up and exit. */
const ENDING: ReadonlySet<number> = new Set([1, 2, 3, SIGKILL, 15]);
/** The tree is gone, but somebody else may hold its stdout: how long its end is waited for, ms. */
const DRAIN_LIMIT = 1_000;

const BY_US: ReadonlySet<Outcome["cause"]> = new Set(["timeout", "stopped"]);

const ignore = (): void => {};

/** A launch that has not reached its exec by then, ms, hangs, on a dead network file system perhaps. */
const START_LIMIT = 30_000;
/** So long, ms, output is read when the end is told: a short command has come to it by then, and a stream is not made for it. */
const SHORT = 2;
/** How often a supervisor that does not tell the start, or does not end, is woken, ms: somebody may have stopped it. */
const WAKE_INTERVAL = 100;
/** The same, ms, of one that all output passes through, while the command runs. */
const LONG_WAKE_INTERVAL = 1_000;

export class LaunchedTask implements Task {
  pid = 0;
  mode: NonNullable<Task["mode"]> = "cold";
  readonly started: Promise<void>;
  readonly ended: Promise<Outcome>;
  #begin = performance.now();
  /** When its end was told. */
  #over: number | undefined;
  #sink: OutputSink | undefined;
  readonly #supervisor: Supervisor;
  /** Of the launch. */
  readonly #number: number;
  /** Hears what is told of it. */
  #hear: (record: Uint8Array) => void = ignore;
  /** Write end of the lifeline; undefined once closed. */
  #lifeline: number | undefined;
  /** Of a warm sandbox, until it starts. */
  #words: WordsPipe | undefined;
  readonly #input: InputPipe | undefined;
  #cause: Outcome["cause"];
  /** Processes besides the command when it was told to end. */
  #others = 0;
  /** The signals of the stops so far. */
  readonly #sent = new Set<number>();
  /** It was told to end as its plan says. */
  #asked = false;
  #last: Extract<LauncherRecord, { kind: "ended" }> | undefined;
  readonly #told: ToldCounts;
  #grace: ReturnType<typeof setTimeout> | undefined;
  #waker: ReturnType<typeof setInterval> | undefined;
  /** Of the start, then of the command. */
  #timer: ReturnType<typeof setTimeout> | undefined;
  readonly #start = Promise.withResolvers<void>();
  #neverRan = false;

  static launch(
    plan: Plan,
    { argv, env }: Supplied,
    sink: OutputSink,
    group: TaskGroup | undefined,
  ): LaunchedTask {
    const task = new LaunchedTask(plan, plan.ops, env, argv, group);
    task.#awaitStart(sink);
    return task;
  }

  /** A sandbox that is ready for its command, which {@link hand} brings. @param ops those of the plan, with WAIT */
  static warm(
    plan: Plan,
    ops: Uint8Array,
    group: TaskGroup | undefined,
    env: Supplied["env"] = plan.env,
  ): LaunchedTask {
    const task = new LaunchedTask(plan, ops, env, undefined, group);
    task.mode = "pool";
    return task;
  }

  private constructor(
    readonly plan: Plan,
    ops: Uint8Array,
    env: Supplied["env"],
    argv: readonly string[] | undefined,
    readonly group: TaskGroup | undefined,
  ) {
    this.#told = new ToldCounts(plan.policy.told?.names);
    const opened: number[] = [];
    const pair = () => {
      const ends = pipe();
      opened.push(...ends);
      return ends;
    };
    let channels: [Channel, Channel];
    let number: number | undefined;
    try {
      this.#number = number = statusPipe().listen((record) => this.#hear(record));
      const [stdout, stdoutEnd] = pair();
      const [stderr, stderrEnd] = pair();
      const [lifelineEnd, lifeline] = pair();
      setNonBlocking(lifeline);
      const [wordsEnd, write] = argv ? [] : pair();
      const read = wordsEnd === undefined ? undefined : secondReader(wordsEnd);
      if (read !== undefined) opened.push(read);
      const [stdinEnd, input] = plan.input === undefined ? [] : pair();
      const { identity, pty } = plan.policy;
      const mine = [stdout, stderr, lifeline];
      if (read !== undefined && write !== undefined) mine.push(read, write);
      if (input !== undefined) mine.push(input);
      if (read !== undefined && write !== undefined) this.#words = new WordsPipe(read, write);
      if (input !== undefined) this.#input = new InputPipe(input);
      this.#lifeline = lifeline;
      channels = [new Channel(stdout), new Channel(stderr)];
      // Nothing may go wrong after it: it closes those that are its own.
      this.#supervisor = new Supervisor({
        number,
        words: [`spawnbox: ${plan.api}/${plan.verb}`, ...(argv ?? [])],
        variables: env,
        input: stdinEnd,
        // With a terminal the pipe of stdout is the supervisor's, which passes on what comes there.
        owner: identity && { uid: identity.uid, gid: identity.gid, output: !pty },
        fds: [
          stdoutEnd,
          stderrEnd,
          opsFd(ops),
          lifelineEnd,
          ...(wordsEnd === undefined ? [] : [wordsEnd]),
          ...(group ? [group.fd] : []),
        ],
        own: opened.filter((fd) => !mine.includes(fd)),
        bounding: boundingOf(plan.policy),
      });
    } catch (error) {
      for (const fd of opened) closeSync(fd);
      if (number !== undefined) statusPipe().forget(number);
      void group?.end();
      throw spawnFailure(error);
    }
    this.started = this.#start.promise;
    this.ended = this.#run(channels);
  }

  /** Gives a warm sandbox its command line, and starts it. @param words see wordsOf */
  hand(words: Uint8Array, sink: OutputSink): void {
    this.#begin = performance.now();
    this.#awaitStart(sink);
    this.#order(WAKE);
    if (!this.#words || this.#words.give(words)) return;
    this.#neverRan = true;
    this.kill();
  }

  get input(): InputPipe | undefined {
    return this.#input;
  }

  /** After {@link started} was rejected: it is sure that the command was not executed. */
  get neverRan(): boolean {
    return this.#neverRan;
  }

  #awaitStart(sink: OutputSink): void {
    this.#sink = sink;
    this.#timer = setTimeout(() => {
      const why = `it was not started within ${START_LIMIT / 1000} s: a file system does not answer, or the machine is overloaded`;
      this.#start.reject(new LaunchError("launcher", "", "", why));
      this.#end("timeout");
    }, START_LIMIT);
    // Its command may be faster than its word that the command runs, without which no time-out begins.
    this.#wake();
  }

  async #run([stdout, stderr]: [Channel, Channel]): Promise<Outcome> {
    const start = this.#start;
    const { pty } = this.plan.policy;
    const told = Promise.withResolvers<void>();
    let isOver = false;
    /** Of a short command all that it prints is there at its end. */
    const short = Promise.withResolvers<void>();
    let stream: ReturnType<typeof setTimeout> | undefined;
    const follow = async (channel: Channel, take: (chunk: Uint8Array) => void | Promise<void>) => {
      if (!pty) {
        const isFull = await channel.now(take);
        if (!isFull) await short.promise;
        if (isOver) await channel.now(take);
      }
      await channel.drain(take);
    };
    let outputs: Promise<unknown> = Promise.resolve();
    const begin = () => {
      clearTimeout(this.#timer);
      this.#closeWords();
      // Not when it is to end already, nor where the output comes through the supervisor: the end of that would never tell.
      if (pty) this.#wake(LONG_WAKE_INTERVAL);
      else if (this.#lifeline !== undefined) clearInterval(this.#waker);
      if (this.plan.timeout > 0)
        this.#timer = setTimeout(() => this.#ask("timeout"), this.plan.timeout);
      stream = setTimeout(short.resolve, SHORT);
      outputs = Promise.all([
        follow(stdout, (chunk) => this.#sink?.stdout(chunk)),
        follow(stderr, (chunk) => this.#sink?.stderr(chunk)),
      ]);
      // Most likely the command has ended: a supervisor that was stopped would never say so.
      void outputs.then(() => !isOver && this.#wake());
    };
    this.#hear = (bytes) => {
      this.#supervisor.is(supervisorOf(bytes));
      const record = decode(bytes, this.plan);
      if (record.kind === "supervises") return;
      if (record.kind === "started" && this.#words?.given === false) {
        // Words of somebody else.
        this.kill();
      } else if (record.kind === "started") {
        this.pid = record.pid;
        begin();
        start.resolve();
      } else if (record.kind === "failed") {
        this.#neverRan = true;
        if (record.error === NO_AGENT) this.#supervisor.refused();
        start.reject(record.error);
      } else if (record.kind === "told") {
        this.#told.add(record);
      } else {
        this.#last = record;
        this.#over = performance.now();
        told.resolve();
      }
    };
    const gone = this.#supervisor.exited;
    // One that was killed tells nothing any more.
    void gone.then(async () => {
      if (!isOver) await statusPipe().settled();
      told.resolve();
    });
    await told.promise;
    isOver = true;
    statusPipe().forget(this.#number);
    clearTimeout(stream);
    short.resolve();
    clearTimeout(this.#timer);
    clearTimeout(this.#grace);
    this.#input?.close();
    this.#closeLifeline();
    // It has told all, and would be there for ever if somebody had stopped it.
    void gone.then(() => clearInterval(this.#waker));
    if (!this.#last) await this.#abandoned();
    const isKilled = ((this.#last?.status ?? SIGKILL) & SIGNAL) === SIGKILL;
    const group = this.group?.end(this.#last && !this.#last.groupSpent, isKilled);
    const counted = group?.usage;
    // Only a supervisor that has told the end knows that nobody is left.
    if (!this.#last) await group?.gone;
    if (this.pid === 0) {
      this.#neverRan ||= this.#words?.isUnread() ?? false;
      this.#closeWords();
      // No effect after a failure record: a promise settles once.
      start.reject(
        this.#supervisor.pid === 0 ? (this.#supervisor.lost ? LOST : NO_AGENT) : this.#died(),
      );
      stdout.cancel();
      stderr.cancel();
      await Promise.all([stdout.drain(ignore), stderr.drain(ignore)]);
      return this.#outcome(counted);
    }
    // It has the rest of what came through the terminal, and nobody else has an end of the pipe.
    if (pty) await Promise.race([outputs, gone]);
    const impatient = setInterval(() => {
      for (const channel of [stdout, stderr]) if (channel.waiting) channel.cancel();
    }, DRAIN_LIMIT);
    await outputs;
    clearInterval(impatient);
    return this.#outcome(counted);
  }

  stop(signal?: number): void {
    if (signal === undefined) return this.#tell();
    this.#sent.add(signal);
    if (ENDING.has(signal)) this.#countOthers();
    this.#order(signal);
  }

  end(): void {
    this.#ask();
  }

  kill(): void {
    this.#end("stopped");
  }

  /** Who was told already is not told twice: many programs take that for haste. */
  #ask(cause?: Outcome["cause"]): void {
    if (!this.plan.stop) return this.#end(cause ?? "stopped");
    if (this.#asked) return;
    this.#cause ??= cause;
    this.#tell();
  }

  #tell(): void {
    const { signal, grace } = this.plan.stop ?? USUAL;
    this.#asked = true;
    this.#sent.add(signal);
    this.#countOthers();
    // What was stopped goes on, or it would learn of it by its death alone.
    this.#order(signal | GROUP, SIGCONT | GROUP);
    this.#grace ??= setTimeout(() => this.kill(), grace);
  }

  #end(cause: Outcome["cause"]): void {
    this.#cause ??= cause;
    this.#countOthers();
    this.group?.kill();
    this.#closeLifeline();
  }

  #countOthers(): void {
    if (this.pid === 0 || this.#last) return;
    this.#others = Math.max(this.#others, othersOf(this.#supervisor.pid, this.pid));
  }

  #order(...bytes: number[]): void {
    const lifeline = this.#lifeline;
    if (lifeline === undefined) return;
    try {
      // Full, it is that of a supervisor which was stopped, and which has thousands to do when it is woken.
      atOnce(() => writeSync(lifeline, Uint8Array.from(bytes)));
    } catch (error) {
      // The launcher has just ended and so has the command; its last record is on the way.
      if (!(error instanceof Error && "code" in error && error.code === "EPIPE")) throw error;
    }
  }

  #closeWords(): void {
    this.#words?.close();
    this.#words = undefined;
  }

  #closeLifeline(): void {
    if (this.#lifeline === undefined) return;
    closeSync(this.#lifeline);
    this.#lifeline = undefined;
    // One that has told its end has little to do, as a rule.
    if (!this.#last) this.#supervisor.wake();
    this.#wake();
  }

  /** Commands of the supervisor's own user can stop it. It is never killed: only it can find what is left of the tree. */
  #wake(interval = WAKE_INTERVAL): void {
    clearInterval(this.#waker);
    this.#waker = setInterval(() => {
      this.#supervisor.wake();
      if (this.pid === 0 && this.#words?.given) this.#order(WAKE);
    }, interval);
  }

  /** A supervisor that does not exit by itself with 0 has not seen to the end of its tree. */
  async #abandoned(): Promise<void> {
    this.group?.kill();
    // Not before its end are its children ours.
    if ((await this.#supervisor.exited) !== 0) await sweepOrphans();
  }

  #died(): LaunchError {
    const why = killed(confinement(), this.#supervisor.signal === SIGSYS ? "SIGSYS" : undefined);
    const what = `it died before it could tell that the command runs: ${why}`;
    return new LaunchError("launcher", "", "", what);
  }

  /** The command died of a signal that was sent, or exited after one that asks for it: see {@link Outcome.cause}. */
  #obeyed(signal: number): boolean {
    if (signal !== 0) return this.#sent.has(signal);
    return this.#asked || !ENDING.isDisjointFrom(this.#sent);
  }

  /** The wait status of waitpid(2), taken apart. */
  #outcome(counted: GroupUsage | undefined): Outcome {
    const { status = SIGKILL, user = 0, system = 0, maxrss = 0 } = this.#last ?? {};
    const signal = status & SIGNAL;
    // Without its last record nobody has seen to what the command left behind.
    if (!this.#last) this.#cause ??= "supervisor";
    // Not of who reads what it has printed, which may take longer.
    const wall = Math.round(((this.#over ?? performance.now()) - this.#begin) * 1000) / 1000;
    if (this.#obeyed(signal)) this.#cause ??= "stopped";
    if (counted?.oom && signal === SIGKILL) this.#cause ??= "oom";
    // The group has counted the processes that nobody waited for, too.
    const cpu = counted
      ? { user: Math.max(user, counted.user), system: Math.max(system, counted.system) }
      : { user, system };
    const usage = { wall, ...cpu, maxrss };
    // A command without a filter may still raise SIGSYS itself; then it is just a signal.
    if (signal === SIGSYS && this.plan.policy.seccomp) this.#cause ??= "seccomp";
    return {
      ...(signal === 0 ? { exit: (status >> 8) & 0xff } : { signal }),
      ...(this.#cause && { cause: this.#cause }),
      ...(this.#others > 0 && BY_US.has(this.#cause) && { others: this.#others }),
      ...this.#told.outcome(this.#last?.fatal),
      usage,
    };
  }
}

function spawnFailure(error: unknown): LaunchError {
  if (error instanceof LaunchError) return error;
  const isCall = error instanceof CError;
  const code = isCall ? error.errno : codeOf(error);
  const step = isCall ? "PIPE" : "SPAWN";
  const what = isCall ? error.what : "";
  const words = hint({ step, errno: code, what }, confinement());
  return new LaunchError("spawn", isCall ? error.call : "launcher", code, words);
}

const codeOf = (error: unknown): string =>
  error instanceof Error && "code" in error ? String(error.code) : String(error);
