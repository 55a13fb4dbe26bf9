/** The line between the server of early boot and the process of the unit. The whole of it is tried in the virtual machine. */
import { expect, spyOn, test } from "bun:test";
import { closeSync, readdirSync, readlinkSync, statSync } from "node:fs";
import { connect, createServer } from "node:net";
import { dirname, join as joinPath } from "node:path";
import { type Answer, Handover, join, type Joining } from "../../src/boot/handover.ts";
import { version } from "../../src/version.ts";
import { isRoot, until } from "../served.ts";
import { scratch } from "../server/transport.ts";

const joining: Joining = { argv: ["--early"], cwd: "/", env: { A: "b" } };
const named = (name: string): Joining => ({ ...joining, env: { A: name } });
const serving: Answer = { status: "serving" };

async function listening(path: string): Promise<Handover> {
  const handover = new Handover();
  await handover.listen(path);
  return handover;
}

async function ask(path: string, what = joining): Promise<Answer | undefined> {
  const joined = await join(what, path);
  if (joined) closeSync(joined.server.pidfd);
  return joined?.answer;
}

function isPidfd(link: string): boolean {
  try {
    return readlinkSync(link).includes("pidfd");
  } catch {
    return false;
  }
}

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
  const { dir, remove } = scratch();
  // The directory need not be there.
  const path = joinPath(dir, "run", "s");
  const handover = await listening(path);
  expect([path, dirname(path)].map((one) => statSync(one).mode & 0o777)).toEqual([0o600, 0o755]);
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
  for (const line of ["not JSON", ""]) expect(await say(path, `${line}\n`)).toContain("problems");
  const odd = JSON.stringify({ version, ...joining, argv: "--early" });
  expect(await say(path, `${odd}\n`)).toContain("the line has another form");
  expect(await ask(path)).toEqual(refused);
  handover.close();
  remove();
});

test("a line of a mebibyte is read, and a longer one ends its connection alone", async () => {
  const { path, remove } = scratch();
  const handover = await listening(path);
  handover.answer(() => Promise.resolve(serving));
  const long = (bytes: number) => "x".repeat(bytes);
  const socket = connect({ path });
  const said = new Promise<string>((resolve) =>
    socket.once("data", (data) => resolve(String(data))),
  );
  socket.write(long(1 << 20));
  // Of another, which is served in between: all of the first has been read.
  expect(await say(path, long((1 << 20) + 1))).toBe("");
  expect(await ask(path)).toEqual(serving);
  socket.write("\n");
  expect(await said).toContain("problems");
  socket.destroy();
  handover.close();
  remove();
});

test("a character that comes in two pieces is one", async () => {
  const { path, remove } = scratch();
  const handover = await listening(path);
  let asked = "";
  handover.answer(({ env }) => {
    asked = env["A"] ?? "";
    return Promise.resolve(serving);
  });
  // Of two and three bytes, and many readings: one of them ends within one.
  const long = "é€".repeat(400_000);
  expect(await ask(path, named(long))).toEqual(serving);
  expect(asked === long).toBe(true);
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
    const why = `what listens on ${path}, process ${process.pid}, does not answer as spawnbox early does: `;
    const more = line === "no JSON" ? "JSON" : `the line has another form: ${line}`;
    await expect(join(joining, path)).rejects.toThrow(why + more);
    server.close();
    remove();
  }
});

/** A process of its own that runs the script, which has the module and a path. */
function other(
  script: string,
  path: string,
  ...through: string[]
): Bun.Subprocess<"ignore", "pipe", "inherit"> {
  const module = JSON.stringify(`${import.meta.dir}/../../src/boot/handover.ts`);
  const begin = `const { Handover, join } = await import(${module}); const path = ${JSON.stringify(path)};`;
  return Bun.spawn([...through, process.execPath, "-e", begin + script], { stderr: "inherit" });
}

test("who does not take its answer before it goes is no end of the server", async () => {
  const { path, remove } = scratch();
  const handover = await listening(path);
  const failures: unknown[] = [];
  const failed = (error: unknown) => void failures.push(error);
  process.on("uncaughtException", failed);
  const socket = connect({ path });
  socket.write(`${JSON.stringify({ version, ...joining })}\n`);
  handover.answer(() => {
    socket.destroy();
    return Promise.resolve(serving);
  });
  try {
    // That is answered behind it.
    expect(await ask(path)).toEqual(serving);
  } finally {
    process.off("uncaughtException", failed);
  }
  expect(failures).toEqual([]);
  handover.close();
  remove();
});

test("who has ended before it is looked at is nobody, and nothing of those who asked stays open", async () => {
  const { path, remove } = scratch();
  const handover = await listening(path);
  handover.answer(() => Promise.resolve(serving));
  expect(await ask(path)).toEqual(serving);
  const held = () =>
    readdirSync("/proc/self/fd").filter((fd) => isPidfd(`/proc/self/fd/${fd}`)).length;
  const before = held();
  const script = `import socket; socket.socket(socket.AF_UNIX).connect("${path}")`;
  expect(Bun.spawnSync(["/usr/bin/python3", "-ISc", script]).exitCode).toBe(0);
  for (let i = 0; i < 4; i++) expect(await ask(path)).toEqual(serving);
  await until("all is closed", () => held() === before);
  handover.close();
  remove();
});

test("who has its answer leaves, though the server does not", async () => {
  const { path, remove } = scratch();
  const left = Promise.withResolvers<void>();
  const server = createServer((socket) => {
    socket.on("close", () => left.resolve());
    socket.resume();
    socket.write(`${JSON.stringify(serving)}\n`);
  });
  await new Promise<void>((resolve) => server.listen({ path }, resolve));
  expect(await ask(path)).toEqual(serving);
  await left.promise;
  server.close();
  remove();
});

test("one that ends without an answer is none, and one that was waited for is told of", async () => {
  const { path, remove } = scratch();
  let at = 1_000_000;
  let took = 79_999;
  const server = createServer((socket) =>
    socket.once("data", () => {
      at += took;
      socket.end();
    }),
  );
  await new Promise<void>((resolve) => server.listen({ path }, resolve));
  const clock = spyOn(performance, "now").mockImplementation(() => at);
  try {
    expect(await join(joining, path)).toBeUndefined();
    took = 80_001;
    await expect(join(joining, path)).rejects.toThrow(
      `what listens on ${path}, process ${process.pid}, does not answer: the onload actions of spawnbox early take longer than 80 s`,
    );
  } finally {
    clock.mockRestore();
    server.close();
    remove();
  }
});

test("a server does not live for those who may join it", async () => {
  const { path, remove } = scratch();
  const script = `
    const handover = new Handover();
    await handover.listen(path);
    console.log("listens");`;
  const server = other(script, path);
  expect(await server.stdout.text()).toBe("listens\n");
  expect(await server.exited).toBe(0);
  remove();
});

test.if(isRoot)(
  "who cannot see whose server it is asks nothing, and does not live for it",
  async () => {
    const { path, remove } = scratch();
    const heard: string[] = [];
    const server = createServer((socket) => socket.on("data", (chunk) => heard.push(`${chunk}`)));
    await new Promise<void>((resolve) => server.listen({ path }, resolve));
    const script = `console.log(await join({ argv: [], cwd: "/", env: {} }, path));`;
    // Of a process outside of its pid namespace nothing is known there.
    const inside = other(script, path, "unshare", "--pid", "--fork", "--kill-child");
    expect(await inside.stdout.text()).toBe("undefined\n");
    expect(await inside.exited).toBe(0);
    expect(heard).toEqual([]);
    server.close();
    remove();
  },
);

test("either side knows the other's process from the kernel", async () => {
  const { path, remove } = scratch();
  const script = `
    const handover = new Handover();
    await handover.listen(path);
    handover.answer(async (_, { pid }) => ({ status: String(pid) }));
    console.log("listens");
    await Bun.sleep(60_000);`;
  const server = other(script, path);
  for await (const chunk of server.stdout) if (chunk.length > 0) break;
  const joined = await join(joining, path);
  expect(joined?.answer).toEqual({ status: `${process.pid}` });
  expect(joined?.server.pid).toBe(server.pid);
  server.kill();
  await server.exited;
  remove();
});

test("what the server itself has started is not joined: it may be a command, that has less than the server", async () => {
  const { path, remove } = scratch();
  const handover = await listening(path);
  const joiners: number[] = [];
  handover.answer((_, { pid }) => {
    joiners.push(pid);
    return Promise.resolve(serving);
  });
  const script = `
    console.log(await join({ argv: [], cwd: "/", env: {} }, path));`;
  expect(await other(script, path).stdout.text()).toBe("undefined\n");
  expect(joiners).toEqual([]);
  handover.close();
  remove();
});

test("who goes on after the line is cut off", async () => {
  const { path, remove } = scratch();
  const handover = await listening(path);
  const more = "x".repeat(2 * 1024 * 1024);
  const line = JSON.stringify({ version, ...joining });
  const closed = Promise.withResolvers<void>();
  const socket = connect({ path });
  socket.on("error", () => socket.destroy());
  socket.on("close", () => closed.resolve());
  socket.write(`${line}\n${more}`);
  await closed.promise;
  handover.close();
  remove();
});

test("a server that is ending is not joined", async () => {
  const { path, remove } = scratch();
  const handover = await listening(path);
  const begun = Promise.withResolvers<void>();
  const end = Promise.withResolvers<Answer>();
  handover.answer(() => {
    begun.resolve();
    return end.promise;
  });
  const asked = ask(path);
  await begun.promise;
  handover.close();
  end.resolve(serving);
  expect(await asked).toBeUndefined();
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
