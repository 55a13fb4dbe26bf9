/** Starts hundreds of tasks that stay in one write, and stops all: once they run, or at once. Each that has started also has an end. */
import { Afb, Calls } from "./afb.ts";
import { manner, over, pause, report } from "./program.ts";

const STARTS = Number(manner);
const calls = new Calls();
const pidOf = (told: unknown): number => (told as { pid?: number }).pid ?? 0;
const isFinal = (told: unknown): boolean => (told as { type?: string }).type === "final-event";
/** Started, and not ended. */
const running = new Set<number>();
let ended = 0;
let most = 0;
let wrong: string | undefined;
const client = await Afb.open((message) => {
  const [kind, , { response, data }] = message;
  // What is stopped before its turn came did not start.
  if (calls.hear(message, ["bad-state"]) && pidOf(response) > 0) running.add(pidOf(response));
  most = Math.max(most, running.size);
  if (kind !== 5 || !isFinal(data)) return;
  ended++;
  if (!running.delete(pidOf(data))) wrong ??= `${JSON.stringify(data)}: the end of no task`;
});
if (!client) report({ lost: 0, wrong: "no connection" });
for (let round = 0; !over() && !client.closed; round++) {
  const starts = Array.from({ length: STARTS }, () => calls.make("g/sleeper"));
  const stop = () => calls.make("g/sleeper", { action: "stop" });
  if (round % 2 === 1) client.write(Buffer.concat([...starts, stop()]));
  else client.write(Buffer.concat(starts));
  await calls.done(client);
  while (running.size > 0 && !client.closed) {
    client.write(stop());
    await calls.done(client);
    for (let i = 0; i < 200 && running.size > 0 && !client.closed; i++) await pause(50);
  }
}
const { lost, ...told } = calls.told;
// Between two rounds it is idle, and may be shown out; what it sends then was not taken on, and its tasks end with it.
const shownOut = client.closed && /^(1013 |$)/.test(client.goodbye ?? "");
const without = running.size + (client.closed ? 1 : 0);
const missing = shownOut ? 0 : lost + without;
report({
  ...told,
  lost: missing + (wrong === undefined ? 0 : 1),
  ...(wrong === undefined ? {} : { wrong }),
  ended,
  most,
});
