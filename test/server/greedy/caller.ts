/** 3,000 calls of a small verb in one write, again and again: each has one reply. */
import { Afb, Calls } from "./afb.ts";
import { over, pause, report } from "./program.ts";

const CALLS = 3000;
const calls = new Calls();
let refused = 0;
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
  if (client.closed) break;
  client.socket.destroy();
} while (!over());
report({ ...calls.told, refused });
