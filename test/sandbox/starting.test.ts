/** While a server tries its sandboxes it answers, and runs nothing that might be refused. */
import { afterAll, describe, expect, test } from "bun:test";
import {
  chmodSync,
  chownSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Reply } from "../../src/api/reply.ts";
import { connect } from "../../src/client.ts";
import { asOrdinary, ORDINARY } from "../accounts.ts";
import { programIn, shell, system, until, type User, users } from "../served.ts";
import { acls, full } from "./attack.ts";
import { canStall, stalling } from "./stalling.ts";

const dir = mkdtempSync(join(tmpdir(), "spawnbox-starting-"));
chmodSync(dir, 0o755);
const program = programIn(dir);
afterAll(() => rmSync(dir, { recursive: true }));

const as = (user: User): string[] => (user === "root" ? [] : [...asOrdinary]);
let starts = 0;

/**
 * Starts a server whose sandbox `far` has a source that does not answer just now: its plans have been made before, so only the
 * launch looks at it.
 */
async function starting(user: User, source: string, stall: () => Promise<void>, far: object) {
  const own = join(dir, `${starts++}`);
  mkdirSync(own);
  if (user !== "root") chownSync(own, ORDINARY, ORDINARY);
  const namespace = { ...full, mounts: [...system, { target: "/source", source }] };
  const config = {
    metadata: { uid: "s", api: "s" },
    sandboxes: [
      { uid: "far", acls, namespace, ...far, commands: [shell] },
      { uid: "near", acls, commands: [shell] },
    ],
  };
  const [file, plan, socket] = ["config.json", "plan", "socket"].map((name) => join(own, name));
  writeFileSync(`${file}`, JSON.stringify(config));
  const made = Bun.spawnSync([...as(user), program, "compile", `${file}`, "-o", `${plan}`]);
  expect(made.stderr.toString()).toBe("");
  await stall();
  const server = Bun.spawn(
    [...as(user), program, "serve", "--plan", `${plan}`, "--unix", `${socket}`],
    { cwd: own, stdio: ["ignore", "pipe", "pipe"] },
  );
  let said = "";
  const telling = (async () => {
    for await (const chunk of server.stdout) said += new TextDecoder().decode(chunk);
  })();
  let client: Awaited<ReturnType<typeof connect>> | undefined;
  await until("it listens", async () => {
    client = await connect(`ws+unix://${socket}:/api`).catch(() => undefined);
    return client !== undefined;
  });
  if (!client) throw new Error("it does not listen");
  const { call } = { call: client.call.bind(client) };
  return {
    server,
    call,
    errors: server.stderr.text(),
    /** Whether it has told that it serves. */
    isReady: () => said.includes("serves on"),
    ran: (name: string) => readFileSync(join(own, name), "utf8"),
    own,
    async [Symbol.asyncDispose]() {
      await client?.close();
      server.kill();
      await server.exited;
      await telling;
    },
  };
}

/** Nothing of it is settled while the server answers other calls. */
async function waits(call: (verb: string) => Promise<Reply>, calls: readonly Promise<unknown>[]) {
  let settled = 0;
  for (const one of calls)
    one.then(
      () => settled++,
      () => settled++,
    );
  for (let i = 0; i < 5; i++) expect((await call("s/ping")).request.status).toBe("success");
  expect(settled).toBe(0);
}

describe.skipIf(!canStall).each(users)("started by %s", (user) => {
  test("a call during the trials is answered after them, and runs once", async () => {
    await using files = await stalling();
    await using starts = await starting(user, files.source, files.stall, {});
    const { call, isReady, own } = starts;
    // Seen from outside: each run leaves a line.
    const mark = join(own, "ran");
    writeFileSync(mark, "");
    chmodSync(mark, 0o666);
    const near = call("s/near/sh", { script: `echo near >> ${mark}; echo done` });
    const far = call("s/far/sh", { script: "ls /source; echo done" });
    const info = call("s/info");
    await waits(call, [near, far, info]);
    expect(isReady()).toBe(false);
    expect(starts.ran("ran")).toBe("");
    files.answer();
    for (const reply of [await near, await far])
      expect(reply.response).toMatchObject({ stdout: ["done"], status: { exit: 0 } });
    expect((await info).request.status).toBe("success");
    await until("it is ready", isReady);
    expect(starts.ran("ran")).toBe("near\n");
  });

  test("a sandbox that is refused ends the start, and no call has run", async () => {
    await using files = await stalling();
    await using starts = await starting(user, files.source, files.stall, {});
    const { call, own, server } = starts;
    const mark = join(own, "ran");
    writeFileSync(mark, "");
    chmodSync(mark, 0o666);
    const near = call("s/near/sh", { script: `echo near >> ${mark}` });
    await waits(call, [near.catch(() => {})]);
    await files.end();
    expect(await server.exited).toBe(1);
    const answer = await near.catch(() => undefined);
    expect(answer?.request.status ?? "not-available").toBe("not-available");
    const errors = await starts.errors;
    expect(errors).toContain("sandboxes[0]: ");
    expect(errors).toContain(files.source);
    expect(errors).toEndWith("spawnbox serve: not started: 1 problem(s) above\n");
    expect(starts.isReady()).toBe(false);
    expect(starts.ran("ran")).toBe("");
  });

  test("one that may be missing is told to who has called it meanwhile; others run", async () => {
    await using files = await stalling();
    await using starts = await starting(user, files.source, files.stall, { optional: true });
    const { call, isReady } = starts;
    const far = call("s/far/sh", { script: "echo done" });
    const near = call("s/near/sh", { script: "echo done" });
    await waits(call, [far, near]);
    await files.end();
    expect((await far).request).toMatchObject({
      status: "not-available",
      info: expect.stringContaining(files.source),
    });
    expect((await near).response).toMatchObject({ stdout: ["done"] });
    await until("it is ready", isReady);
  });
});
