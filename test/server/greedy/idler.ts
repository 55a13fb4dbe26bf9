/** Takes every place there is with connections that say nothing, or half of something, and comes back when it is shown out. */
import type { Socket } from "node:net";
import { upgradeText } from "../harness.ts";
import { many, open, over, pause, report } from "./program.ts";

const CONNECTIONS = 600;
/** A second, at most. */
const RATE = 200;
const BEGINNINGS = [
  upgradeText(),
  upgradeText(),
  "",
  "GET /api/g/ping HTTP/1.1\r\nHost: lo",
  "POST /api/g/ping HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{",
];
const sockets = new Set<Socket>();
let opened = 0;
let most = 0;
while (!over()) {
  const wanted = Math.min(CONNECTIONS - sockets.size, RATE / 10);
  await many(wanted, async () => {
    const socket = await open();
    if (!socket) return;
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    socket.on("data", () => {});
    socket.on("end", () => socket.destroy());
    socket.write(BEGINNINGS[opened++ % BEGINNINGS.length] ?? "");
  });
  most = Math.max(most, sockets.size);
  await pause(100);
}
report({ lost: 0, opened, most });
