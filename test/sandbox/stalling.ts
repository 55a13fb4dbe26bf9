/** A file system that ceases to answer, as one of a network does. */
import { chmodSync, existsSync, mkdtempSync, rmdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isRoot } from "../served.ts";

/** Only root may mount it for others. */
export const canStall = isRoot && existsSync("/dev/fuse");

/** fuse(4) as the kernel speaks it: one empty directory, without an answer to anything between SIGUSR1 and SIGUSR2. Every time-out is 0. */
const FUSE = `
import ctypes, os, signal, struct, sys, time
INIT, GETATTR, FORGET, BATCH_FORGET, STATFS, OPENDIR = 26, 3, 2, 42, 17, 27
fuse = os.open("/dev/fuse", os.O_RDWR)
options = f"fd={fuse},rootmode=40755,user_id=0,group_id=0,allow_other"
if ctypes.CDLL(None).mount(b"stalled", sys.argv[1].encode(), b"fuse", 2, options.encode()): sys.exit("not mounted")
answers = [True]
signal.signal(signal.SIGUSR1, lambda *_: (answers.clear(), os.write(1, b"stalled")))
signal.signal(signal.SIGUSR2, lambda *_: answers.append(True))
directory = struct.pack("<6Q10I", 1, 0, 0, 0, 0, 0, 0, 0, 0, 0o40755, 2, 0, 0, 0, 4096, 0)
content = {
    INIT: struct.pack("<4I2H2I2HI28x", 7, 31, 65536, 0, 12, 10, 65536, 1, 32, 0, 0),
    GETATTR: struct.pack("<QII", 0, 0, 0) + directory,
    STATFS: bytes(80),
    OPENDIR: struct.pack("<QII", 1, 0, 0),
}
while True:
    try: request = os.read(fuse, 1 << 18)
    except OSError: break
    _, operation, unique = struct.unpack("<IIQ", request[:16])
    while not answers: time.sleep(0.01)
    if operation in (FORGET, BATCH_FORGET): continue
    data = content.get(operation, b"")
    os.write(fuse, struct.pack("<IiQ", 16 + len(data), 0 if data else -38, unique) + data)
    # Before that the kernel asks for nothing else.
    if operation == INIT: os.write(1, b"mounted")
`;

export interface Stalling extends AsyncDisposable {
  /** Who serves it. */
  readonly pid: number;
  /** Where it is mounted: an empty directory. */
  readonly source: string;
  /** From now on nothing is answered. */
  stall(): Promise<void>;
  /** What waits is answered, and what comes. */
  answer(): void;
  /** Ends it: the kernel answers in its stead, with an error. */
  end(): Promise<void>;
}

/** @param through a command that executes who mounts it, such as `unshare --mount` */
export async function stalling(through: readonly string[] = []): Promise<Stalling> {
  const source = mkdtempSync(join(tmpdir(), "spawnbox-stalled-"));
  chmodSync(source, 0o755);
  const daemon = Bun.spawn([...through, "/usr/bin/python3", "-IS", "-c", FUSE, source], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const said = daemon.stdout.getReader();
  const says = async (what: string) => {
    const text = new TextDecoder().decode((await said.read()).value).trim();
    if (text !== what) throw new Error(`it is not ${what}: ${text}`);
  };
  const end = async () => {
    daemon.kill("SIGKILL");
    await daemon.exited;
  };
  const gone = async () => {
    await end();
    Bun.spawnSync(["umount", "--lazy", source]);
    rmdirSync(source);
  };
  try {
    await says("mounted");
  } catch (error) {
    await gone();
    throw error;
  }
  return {
    pid: daemon.pid,
    source,
    async stall() {
      daemon.kill("SIGUSR1");
      await says("stalled");
    },
    answer: () => daemon.kill("SIGUSR2"),
    end,
    [Symbol.asyncDispose]: gone,
  };
}
