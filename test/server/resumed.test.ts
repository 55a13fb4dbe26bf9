/** Many streams of events that break off and are resumed at once: each has all events, in their order, once. */
import { expect, test } from "bun:test";
import { serve, users } from "../served.ts";

const STREAMS = 100;
const LINES = 200;
const script = `i=0; while [ $i -lt ${LINES} ]; do i=$((i+1)); echo $i; sleep 0.01; done`;
const config = {
  metadata: { uid: "a", api: "a" },
  sandboxes: {
    uid: "box",
    ...(users.length > 1 && { acls: { user: "nobody" } }),
    commands: [
      {
        uid: "ticks",
        encoder: "line",
        exec: { cmdpath: "/bin/sh", args: ["-c", script.replaceAll("$", "$$$$")] },
      },
    ],
  },
};

interface Fields {
  readonly [name: string]: string;
}

async function* eventsOf({ body }: Response): AsyncGenerator<Fields> {
  let text = "";
  const decoder = new TextDecoder();
  for await (const chunk of body ?? []) {
    text += decoder.decode(chunk as Uint8Array, { stream: true });
    const blocks = text.split("\n\n");
    text = blocks.pop() ?? "";
    for (const block of blocks)
      yield Object.fromEntries(block.split("\n").map((line) => line.split(/: ?(.*)/s)));
  }
}

test("a hundred at once", async () => {
  await using served = await serve(config, { user: "ordinary user" });
  const { response } = await served.call("a/ticks");
  const { pid } = response as { pid: number };
  const url = `${served.url}/api/a/ticks/events?action=subscribe&pid=${pid}`;

  /** @param most lines until it breaks off */
  const stream = async (one: { lines: number[]; last: string; ended: boolean }, most: number) => {
    const headers: Record<string, string> = one.last === "" ? {} : { "last-event-id": one.last };
    const response = await fetch(url, { headers });
    expect(response.status).toBe(200);
    for await (const { event, id, data = "" } of eventsOf(response)) {
      if (id !== undefined) one.last = id;
      if (event === "final-event") one.ended = true;
      if (event !== "data") continue;
      const { stdout } = (JSON.parse(data) as { data: { stdout: string } }).data;
      one.lines.push(Number(stdout));
      // Going out of here cancels the stream.
      if (one.lines.length >= most) return;
    }
  };
  const all = Array.from({ length: STREAMS }, () => ({
    lines: [] as number[],
    last: "",
    ended: false,
  }));
  await Promise.all(all.map((one) => stream(one, 20)));
  // All come back together, when some of it is past.
  await Bun.sleep(300);
  await Promise.all(all.map((one) => stream(one, 80)));
  await Promise.all(all.map((one) => stream(one, Infinity)));
  for (const { lines, ended } of all) {
    const [first = 0] = lines;
    expect(lines).toEqual(Array.from({ length: LINES + 1 - first }, (_, i) => first + i));
    expect(ended).toBe(true);
  }
  // Whoever comes later is told that there is no more.
  const { last } = all[0] ?? { last: "" };
  const late = await Promise.all(all.map(() => fetch(url, { headers: { "last-event-id": last } })));
  expect(new Set(late.map(({ status }) => status))).toEqual(new Set([204]));
}, 60_000);
