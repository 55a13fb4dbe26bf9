/** Floods of lines that their owners, their followers and streams of events read slowly or not at all. No owner misses a line. */
import { Afb, Calls } from "./afb.ts";
import { many, open, pause, report, rest } from "./program.ts";
import { get } from "./rest.ts";

const OWNERS = 6;
const PACES = [0, 1024, 16 * 1024];

interface Event {
  readonly type?: string;
  readonly pid?: number;
  readonly stdout?: string | readonly string[];
}

const calls = new Calls();
const told = { lines: 0, ends: 0 };
let wrong: string | undefined;

await many(OWNERS, async (n) => {
  const ended = Promise.withResolvers<void>();
  let pid = 0;
  let last = 0;
  let cut: string | undefined;
  const owner = await Afb.open((message) => {
    const [kind, , { response, data }] = message;
    if (calls.hear(message)) pid ||= (response as { pid?: number } | undefined)?.pid ?? 0;
    if (kind !== 5) return;
    const { type, stdout = [] } = data as Event;
    if (type === "final-event") ended.resolve();
    for (const line of [stdout].flat()) {
      // What a stop cuts is the last one.
      if (cut !== undefined) wrong ??= `line ${last} is ${cut}`;
      if (Number(line) !== ++last) cut = line;
    }
  });
  if (!owner) return;
  owner.socket.on("close", () => ended.resolve());
  owner.write(calls.make("g/flood"));
  await calls.done(owner);
  if (pid === 0) return;
  owner.read(PACES[n % 3] ?? 0);
  const followers: Afb[] = [];
  await many(3, async (m) => {
    const theirs = new Calls();
    const follower = await Afb.open((message) => theirs.hear(message));
    if (!follower) return;
    follower.write(theirs.make("g/flood", { action: "subscribe", args: { pid } }));
    await theirs.done(follower);
    follower.read(PACES[m] ?? 0);
    followers.push(follower);
  });
  // A task of its own, and of no connection but this.
  const stream = await open();
  stream?.write(get("/api/g/flood/events"));
  stream?.pause();
  await rest();
  stream?.destroy();
  for (const follower of followers) follower.socket.destroy();
  owner.read(Infinity);
  owner.write(calls.make("g/flood", { action: "stop", args: { pid } }));
  await Promise.race([Promise.all([calls.done(owner), ended.promise]), pause(30_000)]);
  told.lines += last;
  if (owner.closed) wrong ??= `the owner of ${last} lines was cut off`;
  else told.ends++;
  owner.socket.destroy();
});
const { lost, ...counts } = calls.told;
const more = wrong === undefined ? {} : { wrong };
report({ ...counts, ...told, lost: lost + (wrong === undefined ? 0 : 1), ...more });
