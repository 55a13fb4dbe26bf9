/**
 * The least that a server on this runtime does for a call without a sandbox: its own WebSocket, its own way to start a process, both
 * outputs read to their end, and a reply in the words of AFB. No supervisor, no limits, no events, nothing kept, no second client.
 * The arguments of a call name a file that is printed; without any nothing is.
 */
import { captured } from "./processes.ts";

const server = Bun.serve<undefined>({
  hostname: "127.0.0.1",
  port: 0,
  fetch(request, upgrader) {
    const headers = { "Sec-WebSocket-Protocol": "x-afb-ws-json1" };
    return upgrader.upgrade(request, { headers, data: undefined }) ? undefined : new Response("");
  },
  websocket: {
    async message(socket, text) {
      const [, id, , file] = JSON.parse(String(text)) as unknown[];
      const stdout = await captured(typeof file === "string" ? ["/bin/cat", file] : ["/bin/true"]);
      const reply = { jtype: "afb-reply", request: { status: "success", code: 0 } };
      socket.send(JSON.stringify([3, id, { ...reply, response: { stdout, status: { exit: 0 } } }]));
    },
  },
});
console.log(server.url.href);
