/** The line between the server of early boot and the process of the unit. The whole of it is tried in the virtual machine. */
import { expect, test } from "bun:test";
import { statSync } from "node:fs";
import { connect } from "node:net";
import { Handover, type Joined, join, type Joining } from "../../src/boot/handover.ts";
import { scratch } from "../server/transport.ts";

const joining: Joining = { version: "1", pid: 7, argv: ["--early"], cwd: "/", env: { A: "b" } };

async function listening(path: string): Promise<Handover> {
  const handover = new Handover();
  await handover.listen(path);
  return handover;
}

test("without an early server there is no answer", async () => {
  const { path, remove } = scratch();
  expect(await join(joining, path)).toBeUndefined();
  remove();
});

test("the answer comes when the early tasks are done, to one after the other", async () => {
  const { path, remove } = scratch();
  const handover = await listening(path);
  expect(statSync(path).mode & 0o777).toBe(0o600);
  const asked = [join(joining, path), join({ ...joining, pid: 8 }, path)];
  const log: string[] = [];
  handover.answer(async ({ pid, env }) => {
    log.push(`${pid} ${env["A"]}`);
    await Bun.sleep(5);
    log.push(`${pid}`);
    return { pid, status: "serving" };
  });
  expect(await Promise.all(asked)).toEqual(
    [7, 8].map((pid): Joined => ({ pid, status: "serving" })),
  );
  expect(log).toEqual(["7 b", "7", "8 b", "8"]);
  handover.close();
  remove();
});

test("an error is an answer, nonsense is none, and neither ends the server", async () => {
  const { path, remove } = scratch();
  const handover = await listening(path);
  handover.answer(() => Promise.reject(new Error("no room")));
  expect(await join(joining, path)).toEqual({
    problems: [{ file: "", path: "", message: "no room" }],
  });
  const gone = Promise.withResolvers<void>();
  const socket = connect({ path });
  socket.end("not a line");
  socket.on("close", () => gone.resolve()).resume();
  await gone.promise;
  expect(await join(joining, path)).toHaveProperty("problems");
  handover.close();
  remove();
});

test("who has gone before the early tasks are done is not joined: its pid may be another's by now", async () => {
  const { path, remove } = scratch();
  const handover = await listening(path);
  const gone = Promise.withResolvers<void>();
  const socket = connect({ path });
  socket.write(`${JSON.stringify(joining)}\n`, () => socket.destroy());
  socket.on("close", () => gone.resolve());
  await gone.promise;
  const asked = join({ ...joining, pid: 8 }, path);
  await Bun.sleep(50);
  const pids: number[] = [];
  handover.answer(({ pid }) => {
    pids.push(pid);
    return Promise.resolve({ pid, status: "serving" });
  });
  await asked;
  expect(pids).toEqual([8]);
  handover.close();
  remove();
});
