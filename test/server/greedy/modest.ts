/** Calls ping, and a small verb, every now and then, and measures from when each was due until its reply: ms. */
import { Afb, call } from "./afb.ts";
import { manner, over, pause, report } from "./program.ts";

/** Milliseconds from one call to the next. */
const PERIOD = 20;
/** One call in so many is that of the verb. */
const VERB = Number(manner);
const due = new Map<string, number>();
const times = { ping: [] as number[], verb: [] as number[] };
let wrong: string | undefined;
const client = await Afb.open(([kind, id, { request, response }]) => {
  const at = due.get(id);
  if (kind === 5 || at === undefined) return;
  due.delete(id);
  times[id.startsWith("p") ? "ping" : "verb"].push(performance.now() - at);
  if (request?.status !== "success")
    wrong ??= `${request?.status}: ${request?.info ?? JSON.stringify(response)}`;
});
if (!client) report({ lost: 1, wrong: "no connection" });
const begin = performance.now();
for (let n = 0; !over() && !client.closed; n++) {
  const at = begin + n * PERIOD;
  // What it is late itself counts too: the machine is the server's to share.
  if (at > performance.now()) await pause(at - performance.now());
  const verb = n % VERB === 0;
  const id = `${verb ? "v" : "p"}${n}`;
  due.set(id, at);
  client.write(verb ? call(id, "g/small", { word: "x" }) : call(id, "g/ping"));
}
for (let i = 0; i < 600 && due.size > 0 && !client.closed; i++) await pause(50);
report({ lost: due.size, ...times, ...(wrong === undefined ? {} : { wrong }) });
