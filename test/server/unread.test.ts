/** Replies that nobody reads, and those that have been read: neither takes the memory of the server. */
import { readFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { describe, expect, test } from "bun:test";
import { isRoot, serve, type Served, until } from "../served.ts";
import { residentOf } from "../bench/resident.ts";
import { frame, upgradeText } from "./harness.ts";

/** 300,000 short lines, 2 MB. */
const config = {
  metadata: { uid: "u", api: "u" },
  sandboxes: {
    ...{ uid: "u", prefix: "", acls: { ...(isRoot && { user: "nobody" }), timeout: 120 } },
    commands: [
      { uid: "much", encoder: "sync", exec: { cmdpath: "/usr/bin/seq", args: ["300000"] } },
      // A document of some megabytes tells them.
      ...Array.from({ length: 400 }, (_, at) => ({
        uid: `c${at}`,
        exec: { cmdpath: "/bin/true" },
      })),
      { uid: "little", encoder: "sync", exec: { cmdpath: "/bin/echo", args: ["here"] } },
    ],
  },
};
const MB = 1 << 20;
/** All that they would leave is several times what is allowed, either way. */
const ROUNDS = process.env["CI"] === undefined ? 10 : 20;

/** Connected, with something said, and not reading. */
async function mute(served: Served, words: string, then?: Buffer): Promise<Socket> {
  const socket = connect(Number(new URL(served.url).port), "127.0.0.1");
  socket.on("error", () => socket.destroy());
  socket.write(words);
  if (then) {
    await new Promise((resolve) => socket.once("data", resolve));
    socket.write(then);
  }
  socket.pause();
  return socket;
}

const get = (target: string) => (served: Served) =>
  mute(served, `GET ${target} HTTP/1.1\r\nHost: localhost\r\n\r\n`);

const overWebSocket = (served: Served): Promise<Socket> =>
  mute(
    served,
    upgradeText(),
    Buffer.concat(
      Array.from({ length: 20 }, (_, at) => frame(JSON.stringify([2, String(at), "u/much", null]))),
    ),
  );

/** Of processor time that it has used, hundredths of a second. */
const ticksOf = (pid: number): number =>
  readFileSync(`/proc/${pid}/stat`, "latin1")
    .replace(/^.*\) /, "")
    .split(" ")
    .slice(11, 13)
    .reduce((sum, ticks) => sum + Number(ticks), 0);

describe("replies", () => {
  test.each([
    ["REST", 150, get("/api/u/much")],
    ["what is the same for everybody", 150, get("/openapi.json")],
    ["a WebSocket", 10, overWebSocket],
  ])(
    "over %s that nobody reads are held back, and others are served",
    async (_, count, open) => {
      await using served = await serve(config);
      const sockets = await Promise.all(Array.from({ length: count }, () => open(served)));
      let most = 0;
      try {
        // For 5 s, unless it rests before: then it has done what it can.
        for (let [turn, still, last] = [0, 0, -1]; turn < 50 && still < 10; turn++) {
          await Bun.sleep(100);
          most = Math.max(most, residentOf(served.pid));
          const now = ticksOf(served.pid);
          still = now - last <= 1 ? still + 1 : 0;
          last = now;
        }
      } finally {
        for (const socket of sockets) socket.destroy();
      }
      // All at once would be more than a gigabyte.
      expect(Math.round(most / MB)).toBeLessThan(450);
      const { stdout } = await served.run("u/little");
      expect(stdout).toEqual(["here"]);
    },
    60_000,
  );

  test("that have been read are not remembered with their task", async () => {
    await using served = await serve(config);
    for (let i = 0; i < ROUNDS; i++) {
      const reply = await fetch(`${served.url}/api/u/much`);
      expect((await reply.text()).length).toBeGreaterThan(2_000_000);
      const { stdout } = await served.run("u/much");
      expect(stdout?.length).toBe(300_000);
    }
    // It collects what is left by itself.
    await until("it is small again", () => residentOf(served.pid) < 150 * MB, 60_000);
  }, 120_000);
});
