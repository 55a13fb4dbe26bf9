/** Asks for thousands of things in one write, and reads nothing, or little at a time (`slowly`): then each has to come, in order. */
import { end, manner, many, open, over, pause, report, rest, seconds } from "./program.ts";
import { get, Responses } from "./rest.ts";

const CONNECTIONS = 6;
const slowly = manner === "slowly";
/** In the one that reads, a number that it can come to the end of soon after the others. */
const REQUESTS = slowly ? Math.min(600, 100 * seconds) : 4000;
const ASKED = ["/openapi.json", "/page.html", "/api/g/ping"] as const;
const EXPECTED = [/"openapi"/, /^<!doctype/, /"pong=/] as const;

const told = { lost: 0, asked: 0, answered: 0 };
let wrong: string | undefined;

await many(CONNECTIONS, async (n) => {
  do {
    const socket = await open();
    if (!socket) {
      await pause(100);
      continue;
    }
    const order = Array.from({ length: REQUESTS }, (_, i) => (n % 2 ? i % 3 : n / 2));
    socket.write(order.map((which) => get(ASKED[which] ?? "/")).join(""));
    if (!slowly) {
      socket.pause();
      await rest();
      socket.destroy();
      return;
    }
    const responses = new Responses(socket);
    for (const [i, which] of order.entries()) {
      told.asked++;
      if (i % 4 === 3 && !over()) {
        socket.pause();
        await pause(20);
        socket.resume();
      }
      const { status, body } = (await responses.next()) ?? { status: 0, body: "" };
      // That of a connection for which there was no place is the only one.
      if (status === 503 && i === 0) break;
      if (status === 200 && EXPECTED[which]?.test(body)) {
        told.answered++;
        continue;
      }
      told.lost += order.length - i;
      wrong ??= `${ASKED[which]}, number ${i}: ${status} ${body.slice(0, 200)}`;
      break;
    }
    socket.destroy();
  } while (performance.now() < end);
});
report({ ...told, ...(wrong === undefined ? {} : { wrong }) });
