/** What the kernel alone takes for a sandbox, as kernel.c does it: made with the compiler of the launcher. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { compiler, hostArch } from "../../ffi/launcher/build.ts";
import { gid, uid } from "./configs.ts";
import type { Scratch } from "./scratch.ts";

export interface Kernel {
  /** ms of one launch: from the fork, or from where all is made ahead, to the word that /bin/true has ended. */
  once(kind: "cold" | "warm"): Promise<number>;
  /** Cold ones a second, `outstanding` of them at a time, for `time` ms. */
  rate(outstanding: number, time: number): Promise<number>;
  stop(): void;
}

/** @throws Error when it cannot be compiled */
export function startKernel(scratch: Scratch): Kernel {
  const program = join(scratch.directory, "kernel");
  const { command } = compiler(hostArch);
  const words = [...command, "-O2", "-o", program, join(import.meta.dir, "kernel.c")];
  const { success, stderr } = Bun.spawnSync(words, { stdio: ["ignore", "ignore", "pipe"] });
  if (!success) throw new Error(`${words.join(" ")} failed: ${stderr.toString()}`);
  const root = join(scratch.directory, "root");
  mkdirSync(root);
  const child = Bun.spawn({
    cmd: [program, root, `${uid}`, `${gid}`],
    stdio: ["pipe", "pipe", "inherit"],
  });
  void child.exited.then(scratch.adopt(child));
  const reader = child.stdout.getReader();
  const ask = async (order: string): Promise<number> => {
    child.stdin.write(`${order}\n`);
    await child.stdin.flush();
    const { value, done } = await reader.read();
    if (done) throw new Error(`${program}: ended at ${order}`);
    return Number(Buffer.from(value).toString());
  };
  return {
    once: async (kind) => (await ask(kind)) / 1_000,
    rate: (outstanding, time) => ask(`rate ${outstanding} ${time}`),
    stop: () => child.kill(),
  };
}
