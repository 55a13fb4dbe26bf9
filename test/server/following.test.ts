/** Followers that do not read, over real connections: who has started the task gets all of it meanwhile. */
import { expect, test } from "bun:test";
import { shell, registryOf, use } from "../api/harness.ts";
import { RawClient } from "./harness.ts";
import { serveOn, TRANSPORTS } from "./transport.ts";

/** More than the kernel's buffers and the server keep for one connection. */
const LINES = 100_000;
const flood = shell("flood", `yes ${"x".repeat(120)} | head -n ${LINES}`, use("line"));

interface Told {
  readonly type: string;
  readonly pid: number;
  readonly events: number;
}

const ask = (pid: number) => encodeURIComponent(JSON.stringify({ pid }));

for (const transport of TRANSPORTS) {
  for (const kind of ["WebSocket", "SSE"]) {
    test(`${transport}: a ${kind} that follows and does not read`, async () => {
      const registry = registryOf([flood]);
      await using server = await serveOn(transport, { registry });
      using owner = await RawClient.webSocket(server.to);
      // Paused until the other follows.
      owner.call("1", "p/flood", null);
      const [, , reply] = (await owner.json()) as [3, string, { response: { pid: number } }];
      const { pid } = reply.response;
      owner.socket.pause();
      using follower =
        kind === "SSE" ? await RawClient.open(server.to) : await RawClient.webSocket(server.to);
      if (kind === "SSE") {
        const target = `/api/p/flood/events?action=subscribe&args=${ask(pid)}`;
        follower.write(`GET ${target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`);
        await follower.head();
      } else {
        follower.call("1", "p/flood", { action: "subscribe", args: { pid } });
        await follower.frame();
      }
      follower.socket.pause();
      owner.socket.resume();
      let own = 0;
      for (let last = ""; !last.includes("final-event"); own++)
        last = (await owner.frame())?.text ?? "final-event: the connection was lost";
      expect(own).toBe(LINES + 1);

      follower.socket.resume();
      const heard: Told[] = [];
      if (kind === "SSE") {
        for (const [, data = ""] of (await follower.rest()).matchAll(/^data: (.*)$/gm)) {
          const event = JSON.parse(data) as { jtype: string; data: Told };
          if (event.jtype === "afb-event") heard.push(event.data);
        }
      } else {
        while (heard.at(-1)?.type !== "final-event") {
          const [, , event] = (await follower.json()) as [number, string, { data: Told }];
          if (event.data) heard.push(event.data);
        }
      }
      const lines = heard.filter(({ type }) => type === "data").length;
      const overflow = heard.filter(({ type }) => type === "overflow");
      const gone = overflow.reduce((sum, { events }) => sum + events, 0);
      expect(overflow.length).toBeGreaterThan(0);
      expect(overflow[0]?.pid).toBe(pid);
      expect(heard.at(-1)?.type).toBe("final-event");
      // It came a little later than the first lines.
      expect(lines + gone).toBeWithin(LINES / 2, LINES + 1);
      await registry.close();
    }, 60_000);
  }
}
