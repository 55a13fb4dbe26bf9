/** The line between the server of early boot and the process of the unit. The whole of it is tried in the virtual machine. */
import { expect, test } from "bun:test";
import { statSync } from "node:fs";
import { connect, createServer } from "node:net";
import { hasEnded, type Process } from "../../ffi/processes.ts";
import { type Answer, Handover, join, type Joining } from "../../src/boot/handover.ts";
import { version } from "../../src/version.ts";
import { scratch } from "../server/transport.ts";

const joining: Joining = { argv: ["--early"], cwd: "/", env: { A: "b" } };
const named = (name: string): Joining => ({ ...joining, env: { A: name } });
const serving: Answer = { status: "serving" };

async function listening(path: string): Promise<Handover> {
  const handover = new Handover();
  await handover.listen(path);
  return handover;
}

const ask = async (path: string, what = joining): Promise<Answer | undefined> =>
  (await join(what, path))?.answer;

/** What is answered to the text, by who then closes. */
async function say(path: string, text: string): Promise<string> {
  const closed = Promise.withResolvers<string>();
  let said = "";
  const socket = connect({ path });
  socket.on("data", (chunk) => (said += String(chunk)));
  socket.on("close", () => closed.resolve(said));
  socket.end(text);
  return closed.promise;
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
  const asked = [ask(path, named("b")), ask(path, named("c"))];
  const log: unknown[] = [];
  handover.answer(async ({ env }) => {
    log.push(env["A"]);
    await Bun.sleep(5);
    log.push("done");
    return serving;
  });
  expect(await Promise.all(asked)).toEqual([serving, serving]);
  expect(log).toEqual(["b", "done", "c", "done"]);
  handover.close();
  remove();
});

test("an error is an answer, nonsense is none, and neither ends the server", async () => {
  const { path, remove } = scratch();
  const handover = await listening(path);
  handover.answer(() => Promise.reject(new Error("no room")));
  const refused = { problems: [{ file: "", path: "", message: "no room" }] };
  expect(await ask(path)).toEqual(refused);
  expect(await say(path, "not a line")).toBe("");
  expect(await say(path, "not JSON\n")).toContain("problems");
  const odd = JSON.stringify({ version, ...joining, argv: "--early" });
  expect(await say(path, `${odd}\n`)).toContain("the line has another form");
  expect(await ask(path)).toEqual(refused);
  handover.close();
  remove();
});

test("who is of another version is told so, whatever else is asked", async () => {
  const { path, remove } = scratch();
  const handover = await listening(path);
  handover.answer(() => Promise.resolve(serving));
  const answer: unknown = JSON.parse(await say(path, '{"version":"0.0.1","more":1}\n'));
  expect(answer).toEqual({ unfit: `it is spawnbox ${version}, and this is 0.0.1` });
  handover.close();
  remove();
});

test("who listens there and does not answer as an early server does is named", async () => {
  for (const line of ["no JSON", "{}", '{"pid":-1,"status":7}']) {
    const { path, remove } = scratch();
    const server = createServer((socket) => socket.end(`${line}\n`));
    await new Promise<void>((resolve) => server.listen({ path }, resolve));
    const why = `what listens on ${path}, process ${process.pid}, does not answer as spawnbox early does`;
    await expect(join(joining, path)).rejects.toThrow(why);
    server.close();
    remove();
  }
});

test("either side knows the other's process from the kernel", async () => {
  const { path, remove } = scratch();
  const handover = await listening(path);
  const joiners: Process[] = [];
  handover.answer((_, joiner) => {
    joiners.push(joiner);
    return Promise.resolve({ status: `${hasEnded(joiner.pidfd)}` });
  });
  const script = `
    const { join } = await import(${JSON.stringify(`${import.meta.dir}/../../src/boot/handover.ts`)});
    const joined = await join({ argv: [], cwd: "/", env: {} }, ${JSON.stringify(path)});
    console.log(joined.server.pid, JSON.stringify(joined.answer));
    process.exit(0);`;
  const other = Bun.spawn([process.execPath, "-e", script], { stderr: "inherit" });
  expect(await other.stdout.text()).toBe(`${process.pid} {"status":"false"}\n`);
  expect(joiners.map(({ pid }) => pid)).toEqual([other.pid]);
  handover.close();
  remove();
});

test("who has gone before the early tasks are done is not joined", async () => {
  const { path, remove } = scratch();
  const handover = await listening(path);
  const gone = Promise.withResolvers<void>();
  const socket = connect({ path });
  const line = JSON.stringify({ version, ...named("gone") });
  socket.write(`${line}\n`, () => socket.destroy());
  socket.on("close", () => gone.resolve());
  await gone.promise;
  const asked = ask(path, named("there"));
  await Bun.sleep(50);
  const joined: unknown[] = [];
  handover.answer(({ env }) => {
    joined.push(env["A"]);
    return Promise.resolve(serving);
  });
  await asked;
  expect(joined).toEqual(["there"]);
  handover.close();
  remove();
});
