/** What a running task takes of memory, and a sandbox that waits in a pool: the server's part, and that of its processes. */
import { connect } from "../../src/client.ts";
import { acls, benchConfig } from "./configs.ts";
import { progress } from "./progress.ts";
import { descendantsOf, residentOf, together } from "./resident.ts";
import type { Scratch } from "./scratch.ts";
import { serveCommand, startServer } from "./server.ts";
import { kib, type Row, table } from "./table.ts";

const COUNT = 32;
/** ms in which the server comes to rest. */
const REST = 2_500;
/** ms after which it does not any more. */
const LIMIT = 30_000;

export interface Memory {
  readonly name: string;
  /** Bytes of one, and how many processes it has. */
  readonly server: number;
  readonly all: number;
  readonly processes: number;
}

const [, full] = benchConfig.sandboxes;
const sleeping = { uid: "sleep", exec: { cmdpath: "/bin/sleep", args: ["1000"] } };

function configOf(pool: number): unknown {
  return {
    metadata: { uid: "memory", api: "memory" },
    sandboxes: [
      { uid: "none", acls, commands: [sleeping] },
      { ...full, uid: "full", ...(pool > 0 && { pool }), commands: [sleeping] },
    ],
  };
}

/** Rejects where what should be there does not come. */
export async function measureMemory(executable: string, scratch: Scratch): Promise<Memory[]> {
  const start = (pool: number) =>
    startServer(
      serveCommand(executable, scratch.json(`memory-${pool}.json`, configOf(pool))),
      scratch,
    );
  const at = (pid: number) => ({
    server: residentOf(pid),
    all: together(pid),
    processes: descendantsOf(pid).length,
  });
  type Taken = ReturnType<typeof at>;
  const each = (name: string, before: Taken, after: Taken): Memory => ({
    name,
    server: (after.server - before.server) / COUNT,
    all: (after.all - before.all) / COUNT,
    processes: (after.processes - before.processes) / COUNT,
  });
  const results: Memory[] = [];
  progress("memory of tasks");
  const server = await start(0);
  await Bun.sleep(REST);
  // As one whose sandboxes wait: nobody has spoken with it.
  const idle = at(server.pid);
  const client = await connect(`${server.url.replace("http", "ws")}/api`);
  await Bun.sleep(REST);
  for (const uid of ["none", "full"]) {
    const before = at(server.pid);
    for (let i = 0; i < COUNT; i++) {
      const { request } = await client.call(`memory/${uid}/sleep`, null);
      if (request.status !== "success") throw new Error(`${uid}: ${request.info}`);
    }
    await Bun.sleep(REST);
    const what = uid === "none" ? "no sandbox" : "full sandbox";
    results.push(each(`a running task, ${what}`, before, at(server.pid)));
  }
  await client.close();
  await server.stop();
  progress("memory of warm sandboxes");
  const warm = await start(COUNT);
  const begin = performance.now();
  // Each is a supervisor and the first process of the sandbox.
  while (descendantsOf(warm.pid).length < idle.processes + 2 * COUNT) {
    if (performance.now() - begin > LIMIT) throw new Error("the pool does not fill");
    await Bun.sleep(50);
  }
  await Bun.sleep(REST);
  results.push(each("a warm sandbox", idle, at(warm.pid)));
  await warm.stop();
  progress("");
  return results;
}

export function printMemory(results: readonly Memory[]): string {
  const rows = results.map(({ name, server, all, processes }): Row => [
    name,
    kib(server),
    kib(all),
    processes.toFixed(1),
  ]);
  return table(
    `memory of one, of ${COUNT}`,
    ["in the server", "with its processes", "processes"],
    rows,
  );
}
