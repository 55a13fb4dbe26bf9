/**
 * The process that forks for the server: see ffi/launcher/agent.c. To start a command takes a message; nothing here forks, executes
 * or waits, however busy the machine is. Killed, it is made anew by the next launch; those under way tell what became of them.
 */
import { closeSync } from "node:fs";
import {
  childrenIn,
  continueGroup,
  deadChildIn,
  killNow,
  reapChild,
  stateOfChild,
} from "../../ffi/children.ts";
import { AGENT, AGENT_TITLE } from "../../ffi/launcher/layout.ts";
import { copyFd } from "../../ffi/libc.ts";
import { messagePair, sendMessage, takeUnreceived } from "../../ffi/messages.ts";
import { launcherPath, sealed } from "./launcher.ts";
import { living } from "./living.ts";
import { checkNull } from "./null-device.ts";
import { asStarted } from "./process-limit.ts";
import { statusPipe } from "./status.ts";

/** Bytes before the strings of a message. */
const HEADER = 48;
/** Of it, where the number of the launch is, and the capabilities. */
const NUMBER_AT = 4;
const BOUNDING_AT = 32;
/** ms between two tries to send what the agent has no room for yet. */
const AGAIN = 1;
/** ms between two looks whether who waited for the next message has ended, and looks until it is killed. */
const ENDING = { each: 1, looks: 1000 } as const;

/** What a supervisor is made from. Its descriptors are closed once they are sent. */
export interface Wanted {
  /** Of the launch, see StatusPipe.listen. */
  readonly number: number;
  /** The name of the process, then the words of the command. */
  readonly words: readonly string[];
  /** Its environment, and so the command's. */
  readonly variables: Readonly<Record<string, string>>;
  /** Its stdin; undefined: it is empty. */
  readonly input: number | undefined;
  /** Who is to own its stdin, and where `output` is set its stdout and stderr. */
  readonly owner:
    { readonly uid: number; readonly gid: number; readonly output: boolean } | undefined;
  /** stdout, stderr, the plan, the lifeline, and what stands behind that in FD. */
  readonly fds: readonly number[];
  /** Of all these, the ones that are nobody else's. */
  readonly own: readonly number[];
  /** Capabilities that its plan may leave in the bounding set, see boundingOf. */
  readonly bounding: bigint;
}

/** What was asked for, until it is known what became of it. */
export interface Made {
  /** Something of it was heard: it is not lost with the agent. */
  told(): void;
  /** The agent has refused it, and ends: what was asked of it later was not made. */
  refused(): void;
}

interface Order {
  readonly number: number;
  /** Capabilities that it may leave in the bounding set, and those that any may: see agent.c. */
  readonly bounding: bigint;
  readonly wanted: bigint;
  readonly bytes: Uint8Array;
  readonly fds: readonly number[];
  readonly own: readonly number[];
  /** The agent that had it has died, and nothing was heard of it. @param surely it was not made: nobody has read it */
  readonly lost: (surely: boolean) => void;
  /** Who has it now: what one that died had no room for is another's. */
  readonly taker: { agent?: Agent };
}

/** Those of which somebody is there: the last one, and those before it. */
const agents = new Set<Agent>();

class Agent {
  readonly #process: Bun.Subprocess;
  readonly #socket: number;
  /** Its own end: once it has died, what nobody has read is still there. */
  readonly #theirs: number;
  /** What it had no room for. */
  readonly #waiting: Order[] = [];
  /** What it has, and of which nothing was heard; with the numbers of the launches. */
  readonly #taken = new Map<Order["lost"], number>();
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** Of all capabilities (-1), those in its bounding set once it has made what it has: what was dropped does not come back. */
  #left = -1n;
  /** It gets nothing more, and ends when it has what waits. */
  #retired = false;
  #isOpen = true;
  #over = false;
  #refuses = false;

  constructor() {
    checkNull();
    const [ours, theirs] = messagePair();
    try {
      this.#process = asStarted(() =>
        Bun.spawn({
          cmd: [launcherPath(), " ".repeat(AGENT_TITLE)],
          argv0: AGENT.NAME,
          env: {},
          cwd: "/",
          stdio: ["ignore", "ignore", "ignore", theirs, statusPipe().end],
          onExit: () => this.#ended(),
        }),
      );
    } catch (error) {
      for (const fd of [ours, theirs]) closeSync(fd);
      throw error;
    }
    this.#socket = ours;
    this.#theirs = theirs;
    agents.add(this);
  }

  get pid(): number {
    return this.#process.pid;
  }

  /** What it makes may have these in its bounding set. */
  leaves(bounding: bigint): boolean {
    return (bounding & ~this.#left) === 0n;
  }

  /** The next launch is another one's; what this one has, it makes. */
  retire(): void {
    if (agent === this) agent = undefined;
    this.#retired = true;
    if (this.#waiting.length === 0) this.#hangUp();
  }

  send(order: Order): void {
    order.taker.agent = this;
    this.#left &= order.wanted;
    if (this.#waiting.length === 0 && this.#sent(order)) return;
    this.#waiting.push(held(order));
    this.#timer ??= setTimeout(() => this.#again(), AGAIN);
  }

  told(lost: Order["lost"]): void {
    this.#taken.delete(lost);
  }

  /** The next launch is another one's. */
  dismiss(): void {
    this.#refuses = true;
    if (agent === this) agent = undefined;
  }

  /** Somebody may have stopped it, or who waits for the next message. A message does the same. */
  wake(): void {
    if (this.#over) return;
    this.#process.kill("SIGCONT");
    continueGroup(this.pid);
  }

  #sent({ number, bytes, fds, own, lost }: Order): boolean {
    if (!sendMessage(this.#socket, bytes, fds)) return false;
    this.#taken.set(lost, number);
    for (const fd of own) closeSync(fd);
    return true;
  }

  #again(): void {
    this.#timer = undefined;
    for (let next = this.#waiting[0]; next && this.#sentOrDropped(next); next = this.#waiting[0])
      this.#waiting.shift();
    if (this.#waiting.length > 0) this.#timer = setTimeout(() => this.#again(), AGAIN);
    else if (this.#retired) this.#hangUp();
  }

  /** Nobody is there who could be told of an error but who waits for the launch. */
  #sentOrDropped(order: Order): boolean {
    try {
      return this.#sent(order);
    } catch {
      drop(order);
      return true;
    }
  }

  /** It reads what is on its way, and then that there is no more. */
  #hangUp(): void {
    if (this.#isOpen) closeSync(this.#socket);
    this.#isOpen = false;
  }

  #ended(): void {
    if (this.#over) return;
    this.#over = true;
    if (agent === this) agent = undefined;
    clearTimeout(this.#timer);
    this.#hangUp();
    // Nobody has seen these: another does them, where there can be one.
    for (const order of this.#waiting.splice(0)) {
      try {
        dispatch(order);
      } catch {
        drop(order);
      }
    }
    void this.#lose();
  }

  async #lose(): Promise<void> {
    await this.#process.exited;
    await groupEnded(this.pid);
    const unread = new Set(takeUnreceived(this.#theirs, HEADER).map(numberOf));
    closeSync(this.#theirs);
    agents.delete(this);
    await statusPipe().settled();
    for (const [lost, number] of this.#taken) lost(this.#refuses || unread.has(number));
  }
}

/**
 * Without its agent, who waited for the next message makes what it has got, or sees that there is no more.
 * @param group of an agent that was reaped
 */
export async function groupEnded(group: number): Promise<void> {
  // Its number is nobody else's as long as somebody is in it: where it is that of a child, they had left, and it is another's.
  for (let looks = 0; stateOfChild(group) === undefined;) {
    const one = deadChildIn(group);
    if (one === undefined) return;
    if (one !== "alive") {
      // What it has told by then makes it a supervisor, which is reaped as one.
      await statusPipe().settled();
      if (!living.has(one)) reapChild(one);
      else living.get(one)?.look();
      continue;
    }
    if (looks++ > ENDING.looks) killNow(-group);
    await Bun.sleep(ENDING.each);
  }
}

const numberOf = (message: Uint8Array): number =>
  new DataView(message.buffer).getUint32(NUMBER_AT, true);

let agent: Agent | undefined;
/** Capabilities that may be in the bounding set of what is served: the agent drops the others once, and then for all. */
let served = 0n;

/**
 * From now on plans are served that leave these in the bounding set, and no others. What leaves more all the same, such as a trial
 * of what the machine can do, is made by another agent, which then drops it again.
 */
export function expectBounding(capabilities: bigint): void {
  served = capabilities;
}

/** The process, where there is one now. */
export const agentPid = (): number | undefined => agent?.pid;

/** With those whose place it has taken, as long as they, or who was made ahead by them, are there. */
export const agentPids = (): number[] => [...agents].map(({ pid }) => pid);

/** Who waits for the next message, where it was made ahead: ffi/launcher/agent.c. */
export const aheadOf = (agent: number): number[] =>
  childrenIn(agent).filter((pid) => pid !== agent);

/** Starts it, unless it is there. @throws LaunchError, or what the runtime says of a process that cannot be made */
export function startAgent(): void {
  agent ??= new Agent();
}

export const wakeAgent = (): void => agents.forEach((one) => one.wake());

interface Environment {
  /** Its strings, each ended by NUL. */
  readonly text: string;
  readonly count: number;
}

/** Of variables that do not change: those of plans. */
const environments = new WeakMap<object, Environment>();

function environmentOf(variables: Wanted["variables"]): Environment {
  let known = environments.get(variables);
  if (known) return known;
  const pairs = Object.entries(variables);
  const text = pairs.map(([name, value]) => `${name}=${value}\0`).join("");
  known = { text, count: pairs.length };
  environments.set(variables, known);
  return known;
}

/**
 * Has a supervisor made; the status pipe says what becomes of it.
 * @param lost it never will, since the agent has died
 * @throws as {@link startAgent}
 */
export function makeSupervisor(order: Wanted, lost: Order["lost"]): Made {
  const { number, words, variables, input, owner } = order;
  const environment = environmentOf(variables);
  const text = Buffer.from(`${words.join("\0")}\0${environment.text}`);
  const isApart = HEADER + text.length > AGENT.MESSAGE;
  let flags = isApart ? AGENT.TEXT_APART : 0;
  if (input !== undefined) flags |= AGENT.INPUT;
  if (input !== undefined && owner) flags |= AGENT.OWNS_INPUT;
  if (owner?.output) flags |= AGENT.OWNS_OUTPUT;
  const { uid = 0, gid = 0 } = owner ?? {};
  const header = new Uint8Array(HEADER);
  new Uint32Array(header.buffer).set([
    ...[flags, number, words.length, environment.count, text.length, uid, gid],
  ]);
  const { bounding } = order;
  const wanted = served | bounding;
  new BigUint64Array(header.buffer, BOUNDING_AT).set([bounding, wanted]);
  const all = { number, bounding, wanted, lost, taker: {} };
  const fds = input === undefined ? order.fds : [input, ...order.fds];
  if (!isApart)
    return dispatch({ ...all, bytes: Buffer.concat([header, text]), fds, own: order.own });
  const file = sealed("spawnbox-words", text, false);
  try {
    return dispatch({ ...all, bytes: header, fds: [...fds, file], own: [...order.own, file] });
  } catch (error) {
    closeSync(file);
    throw error;
  }
}

function dispatch(order: Order): Made {
  if (!agent?.leaves(order.bounding)) agent?.retire();
  startAgent();
  agent?.send(order);
  const { taker, lost } = order;
  return { told: () => taker.agent?.told(lost), refused: () => taker.agent?.dismiss() };
}

/** With descriptors of its own for those that others may close before it is sent. @throws CError where there are no more */
function held({ fds, own, ...order }: Order): Order {
  const copies: number[] = [];
  const copy = (fd: number): number => {
    const made = copyFd(fd);
    copies.push(made);
    return made;
  };
  try {
    const kept = fds.map((fd) => (own.includes(fd) ? fd : copy(fd)));
    return { ...order, fds: kept, own: kept };
  } catch (error) {
    for (const fd of copies) closeSync(fd);
    throw error;
  }
}

/** Nobody has it, nor gets it: the launch is told so, and may be tried again, which tells why. */
function drop({ own, lost }: Order): void {
  for (const fd of own) closeSync(fd);
  lost(true);
}
