/** The process that forks for the server, driven directly: what it makes of each message, and what it is like. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import {
  closeSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { setPriority, tmpdir } from "node:os";
import { join } from "node:path";
import { childrenIn, deadChildIn, reapChild } from "../../ffi/children.ts";
import { hostArch, launcherFile } from "../../ffi/launcher/build.ts";
import { AGENT, AGENT_TITLE, RECORD_SIZE, WAKE } from "../../ffi/launcher/layout.ts";
import { pipe } from "../../ffi/libc.ts";
import { messagePair, sendMessage } from "../../ffi/messages.ts";
import { Channel } from "../../src/launch/channel.ts";
import { isRoot } from "../accounts.ts";
import { hasProcessors } from "../launch/processes.ts";
import { EPERM, filterSource, numbered, type Rule } from "../places/rules.ts";
import { assembled } from "../plan/ops.ts";
import { isAlive, until } from "../served.ts";
import { childrenOf, type Told, told } from "./direct.ts";

let dir: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "spawnbox-agent-"));
  writeFileSync(join(dir, "plan"), assembled([["UMASK", 0o22]]));
});
afterAll(() => rmSync(dir, { recursive: true }));

const ALL = 0xffff_ffff_ffff_ffffn;

interface Order {
  /** Capabilities that may be left in the bounding set, for it and for all. */
  readonly bounding?: bigint;
  readonly wanted?: bigint;
  readonly flags?: number;
  readonly number?: number;
  /** The name of the process, then the words of the command. */
  readonly words: readonly string[];
  readonly variables?: readonly string[];
  /** Of those in the message. */
  readonly sizes?: Partial<Readonly<Record<"words" | "variables" | "bytes", number>>>;
  readonly text?: Buffer;
  /** Who is to own the descriptors of `flags`. */
  readonly owner?: { readonly uid: number; readonly gid: number };
}
const textOf = ({ words, variables = [] }: Order) =>
  Buffer.from([...words, ...variables].map((one) => `${one}\0`).join(""));
function messageOf(order: Order, isApart = false): Buffer {
  const { flags = 0, number = 1, words, variables = [], sizes = {}, text = textOf(order) } = order;
  const { uid = 0, gid = 0 } = order.owner ?? {};
  const head = Buffer.alloc(48);
  [
    flags,
    number,
    sizes.words ?? words.length,
    sizes.variables ?? variables.length,
    sizes.bytes ?? text.length,
    ...[uid, gid],
  ].forEach((value, i) => head.writeUInt32LE(value, 4 * i));
  const { bounding = 0n, wanted = ALL } = order;
  [bounding, wanted].forEach((value, i) => head.writeBigUInt64LE(value, 32 + 8 * i));
  return isApart ? head : Buffer.concat([head, text]);
}

/** With what it tells; all ends with it. */
class Agent implements AsyncDisposable {
  readonly records: Told[] = [];
  readonly process: Bun.Subprocess;
  readonly #socket: number;
  readonly #told: Promise<void>;
  /**
   * @param denied what a filter around it, and around all that it makes, answers
   * @param around the beginning of a command
   */
  constructor(denied: readonly Rule[] = [], around: readonly string[] = []) {
    const [ours, theirs] = messagePair();
    const [status, end] = pipe();
    this.#socket = ours;
    const filter = ["/usr/bin/python3", "-ISc", filterSource, JSON.stringify(numbered(denied))];
    const named = ["/bin/bash", "-c", 'exec -a "$0" "$@"', AGENT.NAME];
    const command = [launcherFile(hostArch), " ".repeat(AGENT_TITLE)];
    const before = denied.length > 0 ? [...filter, ...named] : [...around];
    if (around.length > 0) before.push(...named);
    this.process = Bun.spawn([...before, ...command], {
      ...(before.length === 0 && { argv0: AGENT.NAME }),
      ...{ env: {}, stdio: ["ignore", "ignore", "ignore", theirs, end] },
    });
    for (const fd of [theirs, end]) closeSync(fd);
    let rest = Buffer.alloc(0);
    this.#told = new Channel(status).drain((chunk) => {
      rest = Buffer.concat([rest, chunk]);
      for (; rest.length >= RECORD_SIZE; rest = rest.subarray(RECORD_SIZE))
        this.records.push(told(rest.subarray(0, RECORD_SIZE)));
    });
  }
  send(bytes: Uint8Array, fds: readonly number[]): void {
    expect(sendMessage(this.#socket, bytes, fds)).toBe(true);
  }
  /** The records of an order, the last of which is the end, or a failure; and what it has printed. */
  async launch(
    order: Order,
    { before = [], behind = [], count = 4, isApart = false, meanwhile }: Extra = {},
  ) {
    const [out, outEnd] = pipe();
    const [errors, errorsEnd] = pipe();
    const [lifelineEnd, lifeline] = pipe();
    const plan = openSync(join(dir, "plan"), "r");
    const fds = [...before, ...[outEnd, errorsEnd, plan, lifelineEnd].slice(0, count), ...behind];
    this.send(messageOf(order, isApart), fds);
    for (const fd of [outEnd, errorsEnd, plan, lifelineEnd]) closeSync(fd);
    let printed = "";
    const print = (chunk: Uint8Array) => void (printed += Buffer.from(chunk).toString());
    const drained = Promise.all([out, errors].map((fd) => new Channel(fd).drain(print)));
    const { number = 1 } = order;
    const own = () => this.records.filter(({ from }) => from === number);
    let isOpen = true;
    const hangUp = () => {
      if (isOpen) closeSync(lifeline);
      isOpen = false;
    };
    if (meanwhile) {
      await until("it has started", () => own().some(({ kind }) => kind === "STARTED"));
      const order = (byte: number) => void writeSync(lifeline, Uint8Array.of(byte));
      await meanwhile(own()[0]?.supervisor ?? 0, hangUp, order);
    }
    await until("it has come to its end", () =>
      own().some(({ kind }) => kind === "ENDED" || kind === "FAILED"),
    );
    hangUp();
    await drained;
    return { printed, records: own() };
  }
  async [Symbol.asyncDispose]() {
    closeSync(this.#socket);
    await this.process.exited;
    await this.#told;
  }
}
interface Extra {
  readonly before?: readonly number[];
  readonly behind?: readonly number[];
  readonly count?: number;
  readonly isApart?: boolean;
  /** While the command runs: its supervisor, how the server goes, and a byte for the lifeline. */
  readonly meanwhile?: (
    supervisor: number,
    hangUp: () => void,
    order: (byte: number) => void,
  ) => Promise<void>;
}

const said = (records: readonly Told[]) =>
  records
    .map(({ kind, failure, error, status }) =>
      failure ? `${failure}: ${error}` : kind === "ENDED" ? `ENDED ${status}` : kind,
    )
    .toSorted();
const firstProcessor =
  /^Cpus_allowed_list:\s+(\d+)/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1] ?? "0";
const RAN = ["ENDED 0", "STARTED", "SUPERVISES"];
const python = (script: string) => ["spawnbox: a/b", "/usr/bin/python3", "-ISc", script];
const statusOf = (pid: number, name: string) =>
  new RegExp(`^${name}:\\s+(\\S+)`, "m").exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];

test("a message becomes a launch: its words and variables, nothing of the agent's, and who its supervisor is", async () => {
  await using agent = new Agent();
  const look = `
import os, sys, json
supervisor = os.getppid()
print(json.dumps([sys.argv[1:], dict(os.environ), [fd for fd in range(64) if os.path.exists(f"/proc/self/fd/{fd}")],
  os.read(0, 9).decode(), open(f"/proc/{supervisor}/cmdline").read().split("\\0")[0], supervisor,
  int(open(f"/proc/{supervisor}/stat").read().rpartition(")")[2].split()[1])]))`;
  for (const number of [7, 8]) {
    const order = {
      number,
      words: [...python(look), "x", "", "y z"],
      variables: ["A=1", "B=", "C D=e=f"],
    };
    const { printed, records } = await agent.launch(order);
    expect(said(records)).toEqual(RAN);
    const supervisors = new Set(records.map(({ supervisor }) => supervisor));
    const [supervisor] = supervisors;
    expect([supervisors.size, JSON.parse(printed)]).toMatchObject([
      1,
      [
        ["x", "", "y z"],
        { A: "1", B: "", "C D": "e=f" },
        [0, 1, 2],
        "",
        "spawnbox: a/b",
        supervisor,
        process.pid,
      ],
    ]);
  }
  // None: a trial.
  const trial = await agent.launch({ number: 9, words: ["spawnbox: a/b"] });
  expect([said(trial.records), trial.printed]).toEqual([RAN, ""]);
});

test("the name of its verb stands in the place of the agent's, as far as there is room", async () => {
  await using agent = new Agent();
  const look = `import os; print(open(f"/proc/{os.getppid()}/cmdline").read().encode())`;
  // The agent's own name and the word behind it, but for two bytes.
  const room = AGENT.NAME.length + 1 + AGENT_TITLE + 1 - 2;
  let number = 0;
  for (const size of [0, 1, 14, room - 1, room, room + 1, 1000]) {
    const name = "n".repeat(size);
    const { printed } = await agent.launch({
      number: ++number,
      words: [name, "/usr/bin/python3", "-ISc", look],
    });
    expect([size, printed]).toEqual([size, `b'${name.slice(0, room)}\\x00'\n`]);
  }
});

test("its stdin is what is given first, and its strings may be in a file", async () => {
  await using agent = new Agent();
  writeFileSync(join(dir, "input"), "given");
  const words = ["spawnbox: a/b", "/bin/cat"];
  const order = { words, flags: AGENT.INPUT };
  const input = () => openSync(join(dir, "input"), "r");
  const first = input();
  expect((await agent.launch(order, { before: [first] })).printed).toBe("given");
  const long = {
    number: 2,
    words: ["spawnbox: a/b", "/bin/echo", "x".repeat(120_000)],
    variables: ["A=b"],
  };
  writeFileSync(join(dir, "text"), textOf(long));
  const text = openSync(join(dir, "text"), "r");
  const apart = await agent.launch(
    { ...long, flags: AGENT.TEXT_APART },
    { behind: [text], isApart: true },
  );
  expect([apart.printed.length, said(apart.records)]).toEqual([120_001, RAN]);
  writeFileSync(join(dir, "text"), textOf({ words }));
  const both = { number: 3, words, flags: AGENT.TEXT_APART | AGENT.INPUT };
  expect(
    (await agent.launch(both, { before: [first], behind: [text], isApart: true })).printed,
  ).toBe("");
  const again = input();
  expect(
    (await agent.launch({ ...both, number: 4 }, { before: [again], behind: [text], isApart: true }))
      .printed,
  ).toBe("given");
  for (const fd of [first, text, again]) closeSync(fd);
});

test("what others change of a supervisor is nothing to a command that has not waited", async () => {
  await using agent = new Agent();
  const catches = `
import os, signal
signal.signal(signal.SIGUSR1, lambda *_: os._exit(7))
print("ready", flush=True)
while True: signal.pause()`;
  const caught = (pid: number) => (BigInt(`0x${statusOf(pid, "SigCgt") ?? 0}`) >> 9n) & 1n;
  const order = { number: 29, words: python(catches) };
  const { records } = await agent.launch(order, {
    meanwhile: async (supervisor, _, give) => {
      const [command = 0] = childrenOf(supervisor);
      await until("it catches", () => caught(command) === 1n);
      setPriority(supervisor, 7);
      give(WAKE);
      give(10);
    },
  });
  expect(said(records)).toEqual([`ENDED ${7 << 8}`, "STARTED", "SUPERVISES"]);
});

test("its stdin and its output are given to whom the message names, and nothing else is", async () => {
  await using agent = new Agent();
  const owner = isRoot
    ? { uid: 65534, gid: 12345 }
    : { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };
  const look = `
import os
print(*(f"{s.st_uid}:{s.st_gid}" for s in map(os.fstat, range(3))), os.stat("/dev/null").st_uid)`;
  const nobody = `${process.getuid?.()}:${process.getgid?.()}`;
  const given = `${owner.uid}:${owner.gid}`;
  let number = 30;
  const owners = async (flags: number, before: readonly number[] = []) => {
    const order = { number: number++, words: python(look), flags, owner };
    return (await agent.launch(order, { before })).printed.trim();
  };
  // Without a stdin of its own it has /dev/null, which is everybody's, and stays whose it is: somebody's whom a namespace may not know.
  const { uid, gid } = statSync("/dev/null");
  expect(await owners(AGENT.OWNS_OUTPUT)).toBe(`${uid}:${gid} ${given} ${given} ${uid}`);
  const [input, other] = pipe();
  expect(await owners(AGENT.INPUT, [input])).toBe(`${nobody} ${nobody} ${nobody} ${uid}`);
  expect(await owners(AGENT.INPUT | AGENT.OWNS_INPUT, [input])).toBe(
    `${given} ${nobody} ${nobody} ${uid}`,
  );
  expect(await owners(AGENT.INPUT | AGENT.OWNS_INPUT | AGENT.OWNS_OUTPUT, [input])).toBe(
    `${given} ${given} ${given} ${uid}`,
  );
  // A descriptor by which nothing of its file can be changed.
  const held = openSync("/etc", 0o10000000);
  const order = { number, words: python(look), flags: AGENT.INPUT | AGENT.OWNS_INPUT, owner };
  const refused = await agent.launch(order, { before: [held] });
  expect([said(refused.records), refused.printed]).toEqual([
    ["OUTPUT fchown: 9", "SUPERVISES"],
    "",
  ]);
  for (const fd of [input, other, held]) closeSync(fd);
});

test.skipIf(!isRoot)("it keeps nothing of an order", async () => {
  await using agent = new Agent();
  const secret = crypto.randomUUID();
  // Not the text itself, which whoever looks has in its own memory alone.
  const looks = `
import sys
pid, secret = sys.argv[1], sys.argv[2].encode()
with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as mem:
    parts = [line.split()[0].split("-") for line in maps if " rw" in line]
    def part(begin, end):
        mem.seek(int(begin, 16))
        return mem.read(int(end, 16) - int(begin, 16))
    print(any(secret in part(*each) for each in parts), len(parts) > 0)`;
  const order = { words: ["spawnbox: a/b", "/bin/true", secret], variables: [`A=${secret}`] };
  expect(said((await agent.launch(order)).records)).toEqual(RAN);
  const { pid } = agent.process;
  const seen = Bun.spawnSync(["/usr/bin/python3", "-ISc", looks, `${pid}`, secret]);
  expect(`${seen.stdout}${seen.stderr}`).toBe("False True\n");
});

test("what is no order is refused, and the next one is done", async () => {
  await using agent = new Agent();
  const words = ["spawnbox: a/b", "/bin/true"];
  const null_ = openSync("/dev/null", "r");
  let number = 10;
  const refused = async (order: Partial<Order>, extra: Extra = {}) => {
    const { records } = await agent.launch({ words, ...order, number: number++ }, extra);
    return said(records)
      .filter((one) => one !== "SUPERVISES")
      .join();
  };
  const LAYOUT = "SPAWN layout: 22";
  // Without the lifeline; with more than there are places for; strings that are not as they are said to be.
  expect(await refused({}, { count: 3 })).toBe(LAYOUT);
  expect(await refused({}, { behind: [null_, null_, null_] })).toBe(LAYOUT);
  expect(await refused({ flags: AGENT.INPUT })).toBe(LAYOUT);
  expect(await refused({ flags: AGENT.TEXT_APART })).toBe(LAYOUT);
  for (const more of [1, -1]) {
    expect(await refused({ sizes: { bytes: textOf({ words }).length + more } })).toBe(LAYOUT);
    expect(await refused({ sizes: { variables: 1 + more } })).toBe(
      more < 0 ? "ENDED 0,STARTED" : LAYOUT,
    );
  }
  expect(await refused({ sizes: { words: 3 } })).toBe(LAYOUT);
  // More words than there is memory for their table, on most machines; and strings in what is no file.
  const all = { words: 0xffff_ffff, variables: 0xffff_ffff };
  expect(await refused({ sizes: all })).toMatch(/^SPAWN (mmap: 12|layout: 22)$/);
  const [pipeEnd, other] = pipe();
  expect(await refused({ flags: AGENT.TEXT_APART }, { behind: [pipeEnd], isApart: true })).toBe(
    "SPAWN mmap: 19",
  );
  for (const fd of [pipeEnd, other]) closeSync(fd);
  expect(await refused({ text: Buffer.from("spawnbox: a/b\0/bin/true") })).toBe(LAYOUT);
  expect(await refused({}, { behind: Array(6).fill(null_) })).toBe("SPAWN descriptors: 24");
  // Less than the head of one is none at all.
  agent.send(Buffer.alloc(27), []);
  expect(await refused({})).toBe("ENDED 0,STARTED");
  closeSync(null_);
});

/** Reaps who was made ahead: @returns whether nobody is left */
function isOver(agent: number): boolean {
  const one = deadChildIn(agent);
  if (typeof one === "number") reapChild(one);
  return one === undefined;
}

/** Who waits for the next message: there as soon as the one before has been taken. */
async function aheadOf(agent: number, before?: number): Promise<number> {
  let found: number | undefined;
  await until("another is made ahead", () => {
    found = childrenIn(agent).find((pid) => pid !== agent && pid !== before);
    return found !== undefined;
  });
  return found ?? 0;
}

test.if(hasProcessors)(
  "it and who is made ahead hold nothing but its socket and the status, end with it, and not by a signal",
  async () => {
    const agent = new Agent();
    const { pid } = agent.process;
    const words = ["spawnbox: a/b", "/bin/true"];
    let ahead = await aheadOf(pid);
    /** @param more what one tells the other by */
    const isBare = async (one: number, ...more: number[]) => {
      expect(readFileSync(`/proc/${one}/cmdline`, "utf8").replace(/\0*$/, "")).toBe(AGENT.NAME);
      expect(statusOf(one, "SigBlk")).toBe("fffffffffffbfeff");
      // Of the same user nobody may look.
      if (!isRoot) return expect(() => readdirSync(`/proc/${one}/fd`)).toThrow("EACCES");
      const bare = Array.from({ length: 16 }, (_, i) => String(i));
      const fds = () => readdirSync(`/proc/${one}/fd`).toSorted((a, b) => Number(a) - Number(b));
      await until("only these", () => Bun.deepEquals(fds(), [...bare, ...more.map(String)]));
    };
    for (let number = 1; number < 3; number++) {
      await isBare(pid, 16);
      await isBare(ahead, 16, 17);
      for (const one of [pid, ahead])
        for (const signal of ["SIGTERM", "SIGHUP", "SIGINT", "SIGUSR1"] as const)
          process.kill(one, signal);
      // Stopped, both go on at the next message.
      for (const one of [pid, ahead]) {
        process.kill(one, "SIGSTOP");
        await until("it is stopped", () => statusOf(one, "State") === "T");
      }
      const { records } = await agent.launch({ words, number });
      expect(said(records)).toEqual(RAN);
      expect(records[0]?.supervisor).toBe(ahead);
      ahead = await aheadOf(pid, ahead);
    }
    await agent[Symbol.asyncDispose]();
    expect(agent.process.exitCode).toBe(0);
    await until("so has who was made ahead", () => isOver(pid));
  },
);

test.if(hasProcessors && isRoot)(
  "who waits has written to all of the stack that its launch writes to",
  async () => {
    await using agent = new Agent();
    const ahead = await aheadOf(agent.process.pid);
    /** kB that are not the agent's any more. */
    const own = () =>
      Number(
        /\[stack\][^]*?^Private_Dirty:\s+(\d+)/m.exec(
          readFileSync(`/proc/${ahead}/smaps`, "utf8"),
        )?.[1],
      );
    await until("it has", () => own() > 0 && statusOf(ahead, "State") === "S");
    const before = own();
    const order = { words: ["spawnbox: a/b", "/bin/sleep", "1000"] };
    let then: unknown;
    await agent.launch(order, {
      meanwhile: async (supervisor, hangUp) => {
        then = [supervisor, own()];
        hangUp();
      },
    });
    expect(then).toEqual([ahead, before]);
  },
);

test.if(isRoot).each<[string, readonly Rule[], string[]]>([
  ["a group of its own", [{ call: "setpgid", errno: EPERM }], RAN],
  ["a pipe", [{ call: "pipe2", errno: 24 }], RAN],
  ["a process", [{ call: "clone", errno: 11 }], ["SPAWN launcher: 11"]],
])(
  "nobody is made ahead without %s: then it is made at the message, or why not is told",
  async (_, denied, expected) => {
    await using agent = new Agent(denied);
    const { pid } = agent.process;
    for (const number of [1, 2]) {
      const { records } = await agent.launch({ words: ["spawnbox: a/b", "/bin/true"], number });
      expect(said(records)).toEqual(expected);
      expect(childrenIn(pid)).toEqual(
        expected === RAN && denied[0]?.call === "setpgid" ? [] : [pid],
      );
    }
  },
);

test("on one processor nobody is made ahead: to make the next one would hold up the launch before", async () => {
  await using agent = new Agent([], ["taskset", "-c", firstProcessor]);
  const { pid } = agent.process;
  for (const number of [1, 2]) {
    const { records } = await agent.launch({ words: ["spawnbox: a/b", "/bin/true"], number });
    expect(said(records)).toEqual(RAN);
    expect(childrenIn(pid)).toEqual([pid]);
  }
});

test.if(hasProcessors)(
  "killed with or without a message, it and who is made ahead leave nobody",
  async () => {
    for (const killed of ["agent", "ahead", "both"]) {
      const agent = new Agent();
      const { pid } = agent.process;
      const ahead = await aheadOf(pid);
      if (killed !== "ahead") process.kill(pid, "SIGKILL");
      if (killed !== "agent") process.kill(ahead, "SIGKILL");
      if (killed === "ahead") expect(await agent.process.exited).toBe(0);
      else expect(await agent.process.exited).not.toBe(0);
      // Who was made ahead may take one more, but not without the server.
      await agent[Symbol.asyncDispose]();
      await until("nobody is left", () => isOver(pid));
    }
  },
);

describe("stopped by somebody", () => {
  const stopped: number[] = [];
  const stop = async (pid: number) => {
    stopped.push(pid);
    process.kill(pid, "SIGSTOP");
    await until("it is stopped", () => statusOf(pid, "State") === "T");
  };
  // However the test ends, nothing that is stopped stays.
  afterEach(async () => {
    for (const pid of stopped.splice(0)) if (await isAlive(pid)) process.kill(pid, "SIGKILL");
  });

  test("it, who is made ahead and what it has made see all the same that the server has died", async () => {
    const agent = new Agent();
    const { pid } = agent.process;
    const words = ["spawnbox: a/b", "/bin/sleep", "1000"];
    const { records } = await agent.launch(
      { words },
      {
        meanwhile: async (supervisor, hangUp) => {
          await stop(supervisor);
          hangUp();
        },
      },
    );
    expect(said(records)).toEqual(["ENDED 9", "STARTED", "SUPERVISES"]);
    await stop(pid);
    if (hasProcessors) await stop(await aheadOf(pid));
    await agent[Symbol.asyncDispose]();
    expect(agent.process.exitCode).toBe(0);
    await until("nobody is left", () => isOver(pid));
  });
});

test("changed by somebody, it makes nothing, and ends", async () => {
  for (const [what, change] of [
    ["limits", "resource.prlimit(p, resource.RLIMIT_CORE, (0, 12345))"],
    ["scheduling", "os.setpriority(os.PRIO_PROCESS, p, os.getpriority(os.PRIO_PROCESS, p) + 3)"],
  ] as const) {
    for (const whom of hasProcessors ? ["agent", "ahead"] : ["agent"]) {
      await using agent = new Agent();
      const { pid } = agent.process;
      const words = ["spawnbox: a/b", "/bin/true"];
      const ahead = whom === "ahead" ? await aheadOf(pid) : 0;
      const script = `import os, resource\np = ${whom === "agent" ? pid : ahead}\n${change}`;
      expect(Bun.spawnSync(["/usr/bin/python3", "-ISc", script]).exitCode).toBe(0);
      // Who was made before the agent was changed has what it had then.
      if (whom === "agent" && hasProcessors)
        expect(said((await agent.launch({ words })).records)).toEqual(RAN);
      const { records } = await agent.launch({ words, number: 2 });
      expect(said(records)).toEqual([`SPAWN ${what}: 1`]);
      await agent.process.exited;
      await until("nobody is left", () => isOver(pid));
    }
  }
});

test.if(isRoot)(
  "it drops once what no plan leaves in the bounding set, and makes nothing that may have it",
  async () => {
    await using agent = new Agent();
    const [bind, net, raw] = [10n, 12n, 13n].map((cap) => 1n << cap) as [bigint, bigint, bigint];
    const show =
      'print(next(l for l in open("/proc/self/status") if l.startswith("CapBnd")).split()[1])';
    const launched = async (bounding: bigint, wanted: bigint, number: number) => {
      const order = { words: python(show), bounding, wanted, number };
      const { printed, records } = await agent.launch(order);
      return printed.trim() || said(records).join();
    };
    const { pid } = agent.process;
    const own = () => BigInt(`0x${statusOf(pid, "CapBnd")}`);
    const hex = (mask: bigint) => mask.toString(16).padStart(16, "0");
    const all = own();
    expect(all & (bind | net | raw)).toBe(bind | net | raw);
    expect([await launched(ALL, ALL, 1), own()]).toEqual([hex(all), all]);
    expect([await launched(net, net | raw, 2), own()]).toEqual([hex(net | raw), net | raw]);
    expect([await launched(0n, raw, 3), own()]).toEqual([hex(raw), raw]);
    // What is wanted only now is no matter to what does not have it.
    expect([await launched(0n, ALL, 4), own()]).toEqual([hex(raw), raw]);
    expect(await launched(bind, ALL, 5)).toBe("SPAWN bounding set: 1");
    await agent.process.exited;
  },
);
