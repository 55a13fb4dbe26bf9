/** Attacks by output: floods of every shape through every encoder, and streams closed too early. */
import { describe, expect, test } from "bun:test";
import { PATIENCE, serve, shell, until, users } from "../served.ts";
import { serving } from "../serving.ts";
import { isTried } from "../thinned.ts";
import { answering, api, marked, plainAndFull, sh } from "./attack.ts";

const encoders = ["text", "sync", "line", "raw", "json"] as const;
/** Seconds: long enough for each of them to fill what may be held of it. */
const LONG = 0.5;
const config = (timeout: number) =>
  api(
    plainAndFull.map((sandbox) => ({
      ...sandbox,
      commands: [
        shell,
        ...encoders.map((encoder) => ({ ...shell, uid: encoder, encoder, timeout })),
      ],
    })),
  );
/**
 * MiB that the floods may add to the server: buffers of pipes and sockets, garbage not yet collected; and where all is held for a
 * reply, 16 MiB of each of the seven, which is several times that as lines of two bytes, and again while the reply is made.
 */
const room = (encoder: string) => (["line", "json", "log"].includes(encoder) ? 250 : 700);

describe.each(users)("served by %s", (user) => {
  const served = serving(() => serve(config(LONG), { user }));

  const floods = {
    "endless output": "yes",
    "a million tiny lines": "yes | head -1000000",
    "one endless line": "cat /dev/zero | tr '\\0' x",
    "endless errors": "yes >&2",
    "bytes that are no text": "cat /dev/urandom",
    "an endless JSON string": "printf '\"'; yes | tr -d '\\n'",
    "JSON without end": "yes '[' | tr -d '\\n'",
  } as const;
  test.each(encoders.filter((_, row) => isTried(row, user, users)))(
    "[output] no flood stops the server from answering, or fills its memory: %s",
    async (encoder) => {
      const names = Object.keys(floods) as (keyof typeof floods)[];
      const last = Promise.withResolvers<void>();
      let events = 0;
      let finals = 0;
      const off = served.client.on("event", (_, data) => {
        events++;
        const { type } = data as { type?: string };
        if (type === "final-event" && ++finals === names.length) last.resolve();
      });
      const synchronous = encoder === "sync" || encoder === "raw";
      const all = Promise.all(
        names.map((name) => served.call(`a/plain/${encoder}`, { script: floods[name] })),
      );
      const { ping, grown, result } = await answering(
        served,
        synchronous ? all : all.then(async (replies) => (await last.promise, replies)),
      );
      off();
      for (const reply of result) expect(reply.request.status).toBe("success");
      console.log(
        `${user}, ${encoder}: ${names.length} floods for ${LONG} s, ${events} events, ping at worst ${Math.round(ping)} ms, RSS +${Math.round(grown)} MiB`,
      );
      expect(grown).toBeLessThan(room(encoder));
    },
    60_000 * PATIENCE,
  );

  test.each(["plain", "full"])(
    "[output] a command that closes stdout and stderr and sleeps holds nobody up: %s",
    async (sandbox) => {
      const marker = `closed-${process.pid}`;
      const closed = served.call(`a/${sandbox}/sh`, {
        script: `exec >&- 2>&-; : ${marker}; while :; do sleep 1000; done`,
      });
      await until("it runs", () => marked(marker).length > 0);
      expect((await served.call("a/ping")).request.status).toBe("success");
      expect((await sh(served, sandbox, "echo other")).lines).toEqual(["other"]);
      await served.call(`a/${sandbox}/sh`, { action: "stop", args: { signal: 9 } });
      expect((await closed).response).toMatchObject({ status: { signal: "Killed" } });
    },
  );
});
