/** Reads a pipe while this process has no descriptor left: prints what came until then, all that came in the end, and whether it
 * waited for the other side while it was waited for. */
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
/** Whether it waits for the other side while it waits for who takes the second piece. */
const waits: boolean[] = [];
const drained = channel.drain(async (chunk) => {
  if (taken.push(text.decode(chunk)) !== 2) return;
  await Bun.sleep(1);
  waits.push(channel.waiting);
});
for (const piece of ["one ", "two "]) {
  const { length } = taken;
  writeSync(write, piece);
  while (taken.length === length) await Bun.sleep(1);
}
while (waits.length === 0) await Bun.sleep(1);
const scarce = taken.join("");
for (const fd of opened) closeSync(fd);
writeSync(write, "three");
closeSync(write);
await drained;
console.log(JSON.stringify([scarce, taken.join(""), waits]));
