/** WebSockets of who waits for something are not quiet for so long that a proxy closes them. */
import { expect, test } from "bun:test";
import { Beats, beats } from "../../src/server/beats.ts";
import { frame, RawClient, serve } from "./harness.ts";

const PING = { opcode: 9, text: "", code: undefined };

test("who has something under way is pinged, and answers count for nothing; others are left alone", async () => {
  await using server = await serve();
  using waits = await RawClient.webSocket(server.port);
  using idle = await RawClient.webSocket(server.port);
  waits.call("1", "t/slow", null);
  waits.call("2", "t/ping", null);
  idle.call("1", "t/ping", null);
  expect(await waits.json()).toMatchObject([3, "2", {}]);
  expect(await idle.json()).toMatchObject([3, "1", {}]);
  beats.beat();
  expect(await waits.frame()).toEqual(PING);
  waits.write(frame("", { opcode: 10, mask: true }));
  beats.beat();
  expect(await waits.frame()).toEqual(PING);
  server.registry.release();
  expect(await waits.json()).toMatchObject([3, "1", { response: "slow" }]);
  beats.beat();
  expect(beats.size).toBe(2);
  idle.call("3", "t/ping", null);
  expect(await idle.json()).toMatchObject([3, "3", {}]);
  // Who has gone has none.
  waits.write(frame(Buffer.from([3, 232]), { opcode: 8, mask: true }));
  idle.write(frame(Buffer.from([3, 232]), { opcode: 8, mask: true }));
  expect((await idle.frame())?.opcode).toBe(8);
  await waits.rest();
  expect(beats.size).toBe(0);
});

test("again and again, as long as there is one, and not those that are gone", async () => {
  const own = new Beats(1);
  const beaten: string[] = [];
  const next = { resolve: (): void => {} };
  const one = (name: string) => ({
    beat: () => {
      beaten.push(name);
      next.resolve();
    },
  });
  const beat = () => new Promise<void>((resolve) => (next.resolve = resolve));
  const [a, b] = [one("a"), one("b")];
  own.add(a);
  await beat();
  await beat();
  own.add(b);
  own.delete(a);
  beaten.length = 0;
  await beat();
  expect(new Set(beaten)).toEqual(new Set(["b"]));
  own.delete(b);
  own.delete(b);
  beaten.length = 0;
  await Bun.sleep(20);
  expect(beaten).toEqual([]);
  own.add(a);
  await beat();
  own.delete(a);
});
