/** Who is believed to be the permission service at a name that any program can take. */
import { afterAll, describe, expect, spyOn, test } from "bun:test";
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Connection } from "../../src/access/cynagora/connection.ts";
import { asOrdinary, DAEMON, isRoot } from "../accounts.ts";

const MODULE = JSON.stringify(join(import.meta.dir, "../../src/access/cynagora/connection.ts"));
const dir = mkdtempSync(join(tmpdir(), "spawnbox-trusted-"));
chmodSync(dir, 0o777);
afterAll(() => rmSync(dir, { recursive: true }));
const name = (who: string): string => `@${dir}/${who}`;

/** Says hello to whoever says it, until its input ends. */
const LISTENING = `
  process.umask(0);
  const listening = (path) => new Promise((resolve) =>
    require("node:net")
      .createServer((socket) => void socket.on("error", () => {}).write("done 1 1\\n"))
      .listen({ path: path.replace("@", "\\0") }, resolve));`;

async function listensAs(uid: number, ...paths: readonly string[]): Promise<AsyncDisposable> {
  const script = `${LISTENING}
    for (const path of ${JSON.stringify(paths)}) await listening(path);
    console.log("it listens");
    await Bun.stdin.text();
    process.exit();`;
  const child = Bun.spawn(
    [
      ...["setpriv", `--reuid=${uid}`, `--regid=${uid}`, "--clear-groups"],
      ...[process.execPath, "-e", script],
    ],
    { stdio: ["pipe", "pipe", "inherit"] },
  );
  await child.stdout.getReader().read();
  return {
    async [Symbol.asyncDispose]() {
      await child.stdin.end();
      await child.exited;
    },
  };
}

describe.if(isRoot)("[access] at an abstract name", () => {
  test("root, the user of this server and that of the service are believed, and nobody else", async () => {
    const service = 4321;
    const accounts = join(dir, "passwd");
    const text = readFileSync("/etc/passwd", "utf8");
    writeFileSync(accounts, `${text}cynagora:x:${service}:${service}::/:/bin/false\n`);
    await using _root = await listensAs(0, name("root"));
    await using _daemon = await listensAs(DAEMON, name("daemon"), join(dir, "daemon"));
    await using _service = await listensAs(service, name("service"));
    const script = `${LISTENING}
      const { Connection } = await import(${MODULE});
      await listening(${JSON.stringify(name("own"))});
      const told = (path) => new Promise((resolve) => {
        const ready = () => { connection.close(); resolve("ready"); };
        const gone = (why, greeted) => resolve([why, greeted]);
        const connection = new Connection({ kind: "unix", path }, { ready, gone });
        connection.dial(20_000);
      });
      for (const path of ${JSON.stringify([...["root", "own", "service", "daemon"].map(name), join(dir, "daemon")])})
        console.log(JSON.stringify(await told(path)));
      process.exit();`;
    const { stdout } = Bun.spawnSync([
      ...["unshare", "--mount", "sh", "-ec", `mount --bind ${accounts} /etc/passwd; exec "$@"`],
      ...["sh", ...asOrdinary, process.execPath, "-e", script],
    ]);
    const lines = stdout.toString().trim().split("\n");
    expect(lines.map((line) => JSON.parse(line) as unknown)).toEqual([
      ...["ready", "ready", "ready"],
      [
        `uid ${DAEMON} has taken this name: only root, the user of this server and cynagora are believed`,
        false,
      ],
      // Where a path is, who may put a socket there is.
      "ready",
    ]);
  });
});

test("one that has gone before it was looked at has closed the connection", () => {
  const socket = new net.Socket();
  const spy = spyOn(net, "connect").mockImplementation(() => socket);
  const said: unknown[] = [];
  try {
    const gone = (...all: readonly unknown[]) => void said.push(all);
    const never = () => void said.push("never");
    const connection = new Connection(
      { kind: "unix", path: "@x" },
      { ready: never, answer: never, clear: never, gone },
    );
    connection.dial(20_000);
    socket.emit("connect");
    expect(said).toEqual([["it has closed the connection", false]]);
    expect(socket.destroyed).toBe(true);
  } finally {
    spy.mockRestore();
  }
});
