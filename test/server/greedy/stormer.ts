/** 50 connections that call a command and wait for its end in a loop, and others that come and go as fast as they can. */
import { many, open, over, pause, report } from "./program.ts";
import { get, Responses } from "./rest.ts";

const CALLERS = 50;
const VISITORS = 8;
const told = { lost: 0, called: 0, busy: 0, refused: 0, visits: 0 };
let wrong: string | undefined;

const calls = many(CALLERS, async () => {
  while (!over()) {
    const socket = await open();
    if (!socket) {
      await pause(50);
      continue;
    }
    const responses = new Responses(socket);
    for (let i = 0; !over(); i++) {
      socket.write(get("/api/g/word?word=hello&wait=true"));
      const reply = await responses.next();
      if (reply?.status === 200 && reply.body.includes('"hello')) {
        told.called++;
        continue;
      }
      if (reply?.status === 503) told.busy++;
      else {
        told.lost++;
        wrong ??= `call ${i}: ${reply ? `${reply.status} ${reply.body.slice(0, 300)}` : "no reply"}`;
      }
      break;
    }
    socket.destroy();
    // Who is told to try again later does so.
    await pause(50);
  }
});

const visits = many(VISITORS, async (n) => {
  for (; !over(); told.visits++) {
    const socket = await open();
    if (n % 2) socket?.write(get("/api/g/small?word=x"));
    if (n % 3) await pause(1);
    socket?.destroy();
    await pause(2);
  }
});

await Promise.all([calls, visits]);
report({ ...told, ...(wrong === undefined ? {} : { wrong }) });
