/**
 * Bodies and messages of nearly a megabyte, many at once: whole, in chunks, and never finished. Where it stays, halves of messages do
 * so until the server shows them out, half a minute later, and what came meanwhile waits for their memory.
 */
import { frame } from "../harness.ts";
import { Afb, Calls } from "./afb.ts";
import { manner, many, open, over, pause, report } from "./program.ts";
import { Responses } from "./rest.ts";

const LENGTH = 1_000_000;
/** What is cheap to send, and dear to take apart: a long text, many objects, deep arrays. */
const VALUES = [
  JSON.stringify("x".repeat(LENGTH)),
  `[${"{},".repeat(LENGTH / 3)}{}]`,
  `{"a":${"[".repeat(400)}1${"]".repeat(400)},"b":[${'"ab",'.repeat(LENGTH / 20)}0],"c":"${"y".repeat(LENGTH / 2)}"}`,
];
const PARSED = VALUES.map((value): unknown => JSON.parse(value));
/** They are made once: else this one would be busy with that. */
const MESSAGES = VALUES.map((value) => frame(`[2,"half","g/ping",${value}]`));
const valueOf = (n: number): string => VALUES[n % VALUES.length] ?? "null";
const head = (more: string): string =>
  `POST /api/g/ping HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n${more}\r\n\r\n`;

const told = { lost: 0, posted: 0, busy: 0, refused: 0 };
let wrong: string | undefined;

const posts = many(24, async (n) => {
  const body = `{"args":${valueOf(n)}}`;
  const half = body.slice(0, body.length / 2);
  const size = (text: string): string => text.length.toString(16);
  const chunked = `${size(half)}\r\n${half}\r\n${size(body.slice(half.length))}\r\n${body.slice(half.length)}\r\n0\r\n\r\n`;
  const request =
    n % 2
      ? `${head("Transfer-Encoding: chunked")}${chunked}`
      : `${head(`Content-Length: ${body.length}`)}${body}`;
  while (!over()) {
    const socket = await open();
    if (!socket) {
      await pause(100);
      continue;
    }
    const responses = new Responses(socket);
    for (let i = 0; !over(); i++) {
      socket.write(request);
      const reply = await responses.next();
      if (reply?.status === 200) {
        told.posted++;
        continue;
      }
      // Objects by the hundred thousand are nobody's arguments.
      if (reply?.status === 400 && reply.body.includes("values")) told.refused++;
      else if (reply?.status === 503) told.busy++;
      // One that was not begun to be answered is not taken on: the connection was shown out while it was idle.
      else if (!reply && i > 0) told.refused++;
      else if (!reply) told.refused++;
      else {
        told.lost++;
        wrong ??= `${reply.status} ${reply.body.slice(0, 300)}`;
      }
      break;
    }
    socket.destroy();
  }
});

const unfinished = many(40, async (n) => {
  while (!over()) {
    const socket = await open();
    if (socket) {
      const body = valueOf(n).slice(0, LENGTH / 2);
      socket.write(
        n % 2
          ? `${head("Transfer-Encoding: chunked")}f0000\r\n${body}`
          : `${head(`Content-Length: ${LENGTH}`)}${body}`,
      );
      socket.on("data", () => {});
      for (let i = 0; i < 25 && !socket.closed && (manner === "stays" || !over()); i++)
        await pause(200);
      socket.destroy();
    }
    await pause(100);
  }
});

const sent = { messages: 0, busy: 0, refused: 0, unheard: 0 };
const messages = many(8, async (n) => {
  while (!over()) {
    const calls = new Calls();
    const client = await Afb.open((message) => calls.hear(message));
    while (client && !client.closed && !over()) {
      const three = [0, 1, 2].map((i) => calls.make("g/ping", PARSED[(n + i) % PARSED.length]));
      client.write(Buffer.concat(three));
      await calls.done(client);
    }
    sent.messages += calls.succeeded;
    sent.busy += calls.busy;
    // What was not read when it was told to go was not taken on; otherwise it was. The word itself is lost where too much of
    // this client's own is on its way, since the kernel resets the connection then.
    if (client?.closed && /^(10(13|09) |$)/.test(client.goodbye ?? "")) sent.refused++;
    else {
      told.lost += calls.told.lost;
      wrong ??= calls.wrong ?? (calls.told.lost > 0 ? `cut off: ${client?.goodbye}` : undefined);
    }
    client?.socket.destroy();
    if (!client) sent.unheard++;
    await pause(100);
  }
});

const halves = many(40, async (n) => {
  const client = await Afb.open(() => {});
  const whole = MESSAGES[n % MESSAGES.length];
  client?.write(whole?.subarray(0, whole.length / 2) ?? "");
  while (client && !client.closed && !over()) await pause(200);
  if (manner !== "stays") client?.socket.destroy();
});

await Promise.all([posts, unfinished, messages, halves]);
report({ ...told, ...(wrong === undefined ? {} : { wrong }), sent });
