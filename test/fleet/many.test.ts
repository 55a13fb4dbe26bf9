/** Many boards at one broker, called from this process and by the command line. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { success } from "../../src/api/reply.ts";
import type { Progress } from "../../src/fleet/campaign.ts";
import { type Broker, hasBroker, startBroker } from "./broker.ts";
import { boards, broken, count, invocation, nameOf, withOperator } from "./simulated.ts";

const executable = join(import.meta.dir, "../../dist/spawnbox");
const COUNT = 500;

let broker: Broker;

describe.skipIf(!hasBroker)("with a broker", () => {
  beforeAll(async () => {
    broker = await startBroker({ tls: false, more: ["max_queued_messages 10000"] });
  });
  afterAll(() => broker?.[Symbol.asyncDispose]());

  async function cli(...args: string[]) {
    const child = Bun.spawn(
      [executable, "fleet", ...args, "--broker", broker.url, "--operator", "op1", "--json"],
      { env: { PATH: process.env["PATH"] ?? "" }, stdio: ["ignore", "pipe", "pipe"] },
    );
    const [out, error] = await Promise.all([child.stdout.text(), child.stderr.text()]);
    const lines = out.split("\n").filter((line) => line !== "");
    const all = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
    return { code: await child.exited, all, summary: all.at(-1)?.["summary"], error };
  }

  const progressOf = (all: readonly Record<string, unknown>[]) =>
    all.flatMap(({ progress }) => (progress === undefined ? [] : [progress as Progress]));

  test(`${COUNT} boards are called at once, in part, and in stages`, async () => {
    const called = new Map<string, number>();
    const answering = (board: string) => {
      called.set(board, (called.get(board) ?? 0) + 1);
      // One of ten is broken, none of the first ones.
      return Number(board.slice(-4)) % 10 === 9 ? broken() : success("ok");
    };
    await using fleet = await boards(broker, COUNT, answering, (i) => (i < 40 ? ["dock"] : []));
    const listed = await cli("ls");
    expect(listed.all.filter(({ status }) => status === "online")).toHaveLength(COUNT);
    const outcomes = await withOperator(broker, async (operator) => {
      const id = crypto.randomUUID();
      await Promise.all([operator.look(), operator.expect(id)]);
      const all = operator.presence.of("all");
      return Promise.all(operator.callGroup("all", all, id, invocation()));
    });
    expect([count(outcomes, "ok"), count(outcomes, "refused")]).toEqual([450, 50]);
    expect([...called.values()].every((times) => times === 1)).toBe(true);
    called.clear();
    const dock = await cli("call", "@dock", "boat/horn");
    expect([dock.code, dock.summary, called.size]).toEqual([1, { ok: 36, refused: 4 }, 40]);
    called.clear();
    const staged = await cli(
      ...["call", "@all", "boat/horn", "--stages", "1,2%,10%,100%", "--max-failed", "5%"],
    );
    // 1, 9 more with a broken one, and no further.
    expect([staged.code, called.size]).toEqual([1, 10]);
    expect(staged.summary).toEqual({ ok: 9, refused: 1 });
    expect(progressOf(staged.all)).toEqual([
      { called: 1, boards: COUNT, failed: 0 },
      { called: 10, boards: COUNT, failed: 1 },
    ]);
    expect(staged.all.at(-1)?.["info"]).toBe(`stopped after 10 of ${COUNT} boards: 1 failed`);
    called.clear();
    const patient = await cli(
      ...["call", "@all", "boat/horn", "--stages", "1,10%,100%", "--max-failed", "10%"],
    );
    expect([patient.summary, called.size]).toEqual([{ ok: 450, refused: 50 }, COUNT]);
    expect(progressOf(patient.all).map((one) => one.called)).toEqual([1, COUNT / 10, COUNT]);
    // Too many have failed only in the last stage, after which there is nothing to stop.
    const last = await cli(...["call", "@dock", "boat/horn", "--stages", "100%"]);
    expect([last.code, last.summary, last.all.at(-1)?.["info"]]).toEqual([
      ...[1, { ok: 36, refused: 4 }, undefined],
    ]);
    expect(progressOf(last.all)).toEqual([{ called: 40, boards: 40, failed: 4 }]);
    // One that is gone is told so, and not waited for.
    await fleet.all[3]?.close();
    const without = await cli("call", "@dock", "boat/horn");
    expect(without.summary).toEqual({ ok: 35, refused: 4, offline: 1 });
    expect(without.all.find(({ result }) => result === "offline")?.["board"]).toBe(nameOf(3));
  }, 120_000);
});
