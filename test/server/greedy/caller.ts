/** 1,500 calls, more than run at once, of a small verb in one write, again and again: each has one reply. */
import { Afb, Calls } from "./afb.ts";
import { over, pause, report } from "./program.ts";

const CALLS = 1500;
const calls = new Calls();
let refused = 0;
let lost = 0;
do {
  const client = await Afb.open((message) => calls.hear(message));
  if (!client) {
    refused++;
    await pause(100);
    continue;
  }
  do {
    client.write(
      Buffer.concat(Array.from({ length: CALLS }, () => calls.make("g/small", { word: "x" }))),
    );
    await calls.done(client);
  } while (!over() && !client.closed);
  if (client.closed) {
    // Between two rounds it is idle, and may be shown out: what it sends then was not taken on.
    const shownOut = /^(1013 |$)/.test(client.goodbye ?? "");
    lost = calls.wrong === undefined && shownOut ? 0 : calls.told.lost;
    break;
  }
  lost = calls.told.lost;
  client.socket.destroy();
} while (!over());
report({ ...calls.told, lost, refused });
