/** Reads a pipe while this process has no descriptor left: prints what came until then, and all that came in the end. */
import { closeSync, openSync, writeSync } from "node:fs";
import { pipe } from "../../ffi/libc.ts";
import { Channel } from "../../src/launch/channel.ts";

const [read, write] = pipe();
const taken: string[] = [];
const text = new TextDecoder();
const channel = new Channel(read);
// What it has once is not asked for again.
await Bun.sleep(1);
const opened: number[] = [];
try {
  for (;;) opened.push(openSync("/dev/null", "r"));
} catch {
  // Out of them.
}
const drained = channel.drain((chunk) => void taken.push(text.decode(chunk)));
writeSync(write, "one ");
while (taken.length === 0) await Bun.sleep(1);
const scarce = taken.join("");
for (const fd of opened) closeSync(fd);
writeSync(write, "two");
closeSync(write);
await drained;
console.log(JSON.stringify([scarce, taken.join("")]));
