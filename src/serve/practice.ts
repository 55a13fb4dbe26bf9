/**
 * The first calls over REST would be slow: what they run is interpreted until it has been run some hundred times. So, once the start
 * is over, calls are practised: in a server of its own, over a connection that is nobody's, of a command that is no process. Nothing
 * of it is counted, told or heard of, and all of it is forgotten. Over a WebSocket there is little to gain.
 */
import { createRegistry } from "../api/registry.ts";
import type { Launch } from "../launch/task.ts";
import { Log } from "../log.ts";
import { parseTemplate } from "../plan/argv.ts";
import { type ApiPlan, launchable, type Plan } from "../plan/plan.ts";
import { Guests } from "../server/guests.ts";
import { createDoor, type Shared } from "../server/http.ts";
import { type Native, RawSocket } from "../server/raw-socket.ts";
import { Sessions } from "../server/session.ts";
import { Share } from "../share.ts";

/** Milliseconds after the start, when the machine has less to do. It takes some tenths of a second of a small processor. */
const AFTER = 3_000;
/** Then they are about as fast as they become. */
const TIMES = 100;
/** Milliseconds of practice at a time, and that others have in between. */
const TURN = 1;
const PAUSE = 2;

const NAME = "practice";
const POST = Buffer.from(
  `POST /api/${NAME}/run HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}`,
);

/** A connection of which nobody has the other end. */
class Nobody {
  #heard = "";
  #answered = (): void => {};
  readonly socket: RawSocket;

  constructor() {
    const done = (): boolean => true;
    const native = {
      ...{ fd: -1, pause: done, resume: done, shutdown: done },
      ...{ setNoDelay: done, setKeepAlive: done },
      close: () => {
        this.#answered();
        this.socket.closed(undefined);
      },
      write: (bytes: Uint8Array) => {
        this.#heard = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("latin1");
        this.#answered();
        return bytes.length;
      },
    };
    this.socket = new RawSocket(native as unknown as Native);
  }

  /** What is written first, or before it is closed. */
  async ask(bytes: Buffer): Promise<string> {
    this.#heard = "";
    await new Promise<void>((resolve) => {
      this.#answered = resolve;
      this.socket.received(bytes);
    });
    return this.#heard;
  }
}

/** A command that prints a line, as another of this server is made. */
function commandLike({ policy, ops, env }: Plan): Plan {
  return {
    ...{ api: NAME, sandbox: NAME, verb: "run", command: "run", privileges: [] },
    ...{ timeout: 0, concurrency: 0, sandboxConcurrency: 0, verbose: 0 },
    encoder: { name: "sync", opts: {} },
    argv: parseTemplate("/bin/true", [], (text) => text),
    ...{ policy, ops, env },
  };
}

const LINE = Buffer.from("done\n");
const launch: Launch = (plan, _argv, sink) => {
  const end = async () => {
    await sink.stdout(LINE);
    return { exit: 0, usage: { wall: 0, user: 0, system: 0, maxrss: 0 } };
  };
  return Promise.resolve({
    plan,
    pid: 0,
    mode: "cold",
    ended: end(),
    stop() {},
    end() {},
    kill() {},
  });
};

/**
 * @param like a command of the server
 * @returns how many of the calls succeeded
 */
export async function practise(like: Plan, times = TIMES): Promise<number> {
  const plans = [commandLike(like)];
  const registry = createRegistry({
    apis: [{ file: "", uid: NAME, api: NAME, notices: [], sandboxes: [{ uid: NAME, plans }] }],
    launch,
    log: new Log(() => {}),
  });
  const shared: Shared = {
    ...{ registry, sessions: new Sessions(2), version: "", console: false, base: "", most: 2 },
    memory: new Share(1 << 20, 1 << 16),
    ...{ sockets: new Set(), connections: new Set(), webSockets: new Set() },
    ...{ binders: undefined, unready: undefined },
  };
  const door = createDoor(shared, { port: 0, policy: { loopback: true } }, new Guests(2));
  const nobody = new Nobody();
  const admitted = door.admit(nobody.socket, undefined, true);
  if (!admitted) return 0;
  door.serve(nobody.socket, admitted);
  let succeeded = 0;
  let begin = performance.now();
  for (let i = 0; i < times; i++) {
    if ((await nobody.ask(POST)).startsWith("HTTP/1.1 200 ")) succeeded++;
    if (performance.now() - begin < TURN) continue;
    await Bun.sleep(PAUSE);
    begin = performance.now();
  }
  nobody.socket.destroy();
  await registry.close();
  return succeeded;
}

/** Once the server has nothing else to do. @param apis what it serves then */
export function practiseLater(apis: () => readonly ApiPlan[]): void {
  setTimeout(() => {
    const [like] = apis().flatMap(({ sandboxes }) => sandboxes.flatMap(launchable));
    // Without it, the first calls are slow, and no worse.
    if (like) practise(like).catch(() => {});
  }, AFTER);
}
