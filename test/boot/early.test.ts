/** `spawnbox early`: its configs, its options, and whom it tells that it is ready; in a mount namespace with a /run of its own. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import {
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { pipe } from "../../ffi/libc.ts";
import { Handover, type Joining } from "../../src/boot/handover.ts";
import { ANNOUNCEMENT, CONTROL, EARLY_CONFIGS, earlyConfigs } from "../../src/boot/places.ts";
import { Channel } from "../../src/launch/channel.ts";
import { version } from "../../src/version.ts";
import { isRoot } from "../accounts.ts";
import { until } from "../served.ts";
import { scratch } from "../server/transport.ts";

const program = join(import.meta.dir, "../../dist/spawnbox");
let dir: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "spawnbox-early-"));
});
afterAll(() => rmSync(dir, { recursive: true }));

test("its configs are early.json and those beside it, in their order, and no others", () => {
  const place = join(dir, "configs");
  mkdirSync(place);
  for (const name of [
    "early-b.json",
    "early.json",
    "early-.json",
    "early-a.json",
    "early.json.old",
    "late.json",
    "my-early.json",
    "earlyx.json",
    "early-c.jsonc",
  ])
    writeFileSync(join(place, name), "");
  const found = ["early-.json", "early-a.json", "early-b.json", "early.json"];
  expect(earlyConfigs(place)).toEqual(found.map((name) => join(place, name)));
  expect(earlyConfigs(join(place, "none"))).toEqual([]);
  expect([EARLY_CONFIGS, ANNOUNCEMENT, CONTROL]).toEqual([
    ...[
      "/etc/spawnbox/early.json and early-*.json",
      "/run/spawnbox/early.json",
      "/run/spawnbox/early.sock",
    ],
  ]);
});

describe.skipIf(!isRoot)("started", () => {
  /** With nothing in /etc/spawnbox, and a /run of its own. */
  const early = (script: string, argv: readonly string[], fds: readonly number[] = []) =>
    Bun.spawn(
      [
        "unshare",
        "--mount",
        "sh",
        "-c",
        `mount -t tmpfs tmpfs /run && ${script} exec "$@"`,
        "sh",
        program,
        "early",
        ...argv,
      ],
      { stdio: ["ignore", "ignore", "pipe", ...fds] },
    );
  const config = () => {
    const file = join(dir, "one.json");
    const commands = { uid: "x", encoder: "sync", exec: { cmdpath: "/bin/echo" } };
    writeFileSync(
      file,
      JSON.stringify({
        metadata: { uid: "c", api: "c" },
        sandboxes: { uid: "s", acls: { user: "root" }, commands },
      }),
    );
    return file;
  };

  test("without a config, or with an option that is none, it says so and ends", async () => {
    const hide =
      "mkdir /run/none && { [ ! -d /etc/spawnbox ] || mount --bind /run/none /etc/spawnbox; } &&";
    const none = early(hide, []);
    expect(await none.stderr.text()).toContain(`no config: there is none of ${EARLY_CONFIGS}`);
    expect(await none.exited).not.toBe(0);
    for (const wrong of ["x", "-1", "12345", "1.5", "", "999"]) {
      const one = early("", ["--config", config(), `--ready-fd=${wrong}`]);
      expect(await one.stderr.text()).toContain(
        `--ready-fd ${wrong}: expected the number of an open file descriptor`,
      );
      expect(await one.exited).not.toBe(0);
    }
  });

  test("it tells once that it is ready, where it is, and takes that back at its end", async () => {
    const [read, write] = pipe();
    const socket = join(dir, "socket");
    const server = early("", ["--config", config(), "--unix", socket, "--ready-fd", "3"], [write]);
    closeSync(write);
    let told = "";
    // It is closed as well.
    await new Channel(read).drain((chunk) => void (told += Buffer.from(chunk).toString()));
    expect(told).toBe("1");
    const file = `/proc/${server.pid}/root${ANNOUNCEMENT}`;
    expect(JSON.parse(readFileSync(file, "utf8"))).toEqual({
      pid: server.pid,
      urls: [`http+unix://${socket}`].map(() => expect.stringContaining(socket)),
    });
    expect(statSync(file).mode & 0o777).toBe(0o644);
    expect(statSync(`/proc/${server.pid}/root${CONTROL}`).mode & 0o777).toBe(0o600);
    const place = openSync(dirname(file), "r");
    server.kill("SIGTERM");
    expect(await server.exited).toBe(0);
    expect(await server.stderr.text()).not.toContain("deadline");
    expect(readdirSync(`/proc/self/fd/${place}`)).not.toContain(basename(ANNOUNCEMENT));
    closeSync(place);
  });

  test("somebody else may have taken it back", async () => {
    const [read, write] = pipe();
    const socket = join(dir, "taken");
    const server = early("", ["--config", config(), "--unix", socket, "--ready-fd", "3"], [write]);
    closeSync(write);
    await new Channel(read).drain(() => {});
    rmSync(`/proc/${server.pid}/root${ANNOUNCEMENT}`);
    server.kill("SIGTERM");
    expect(await server.exited).toBe(0);
    expect(await server.stderr.text()).not.toContain("ENOENT");
  });

  test("where that cannot be told to anybody it is no server", async () => {
    const [read, write] = pipe();
    const socket = join(dir, "untold");
    const server = early("", ["--config", config(), "--unix", socket, "--ready-fd", "3"], [read]);
    for (const fd of [read, write]) closeSync(fd);
    const said = await server.stderr.text();
    expect(said).toContain("EBADF: bad file descriptor, write");
    expect(said).not.toContain("deadline");
    expect(await server.exited).not.toBe(0);
  });

  test("who does not wait any more, and a /run that cannot be written, are told and no reason to stop", async () => {
    const [read, write] = pipe();
    closeSync(read);
    const server = early(
      "mount -o remount,ro /run &&",
      ["--config", config(), "--unix", join(dir, "other"), "--ready-fd", "3"],
      [write],
    );
    closeSync(write);
    let said = "";
    const reader = server.stderr.getReader();
    await until("both are told", async () => {
      said += new TextDecoder().decode((await reader.read()).value);
      return said.includes("ready after the deadline");
    });
    expect(said).toMatch(/spawnbox early: \/run\/spawnbox\/early\.sock: .*EROFS/);
    expect(said).not.toContain(ANNOUNCEMENT);
    server.kill("SIGKILL");
    await server.exited;
  });
});

describe("the line of who wants to join", () => {
  const joining: Joining = { argv: [], cwd: "/", env: {} };
  /** What is answered to pieces of text, each written once the one before it is on its way. */
  const say = async (path: string, pieces: readonly string[]): Promise<string> => {
    const closed = Promise.withResolvers<void>();
    let said = "";
    const socket = connect({ path });
    socket.on("error", () => socket.destroy());
    socket.on("data", (chunk) => (said += String(chunk)));
    socket.on("close", () => closed.resolve());
    for (const piece of pieces)
      await new Promise<void>((resolve) => socket.write(piece, () => resolve()));
    await closed.promise;
    return said;
  };
  test("is a MiB long at most before its end, and what is behind that is not read", async () => {
    const { path, remove } = scratch();
    const handover = new Handover();
    await handover.listen(path);
    handover.answer(() => Promise.resolve({ status: "joined" }));
    const line = JSON.stringify({ version, ...joining });
    const joined = `${JSON.stringify({ status: "joined" })}\n`;
    const most = 1024 * 1024;
    expect(await say(path, [line.padEnd(most), "\n"])).toBe(joined);
    expect(await say(path, [`${line}\nmore`])).toBe(joined);
    expect(await say(path, [line.slice(0, 5), line.slice(5), "\n"])).toBe(joined);
    expect(await say(path, [line.padEnd(most + 1)])).toBe("");
    // So much of one that is none is told.
    const odd = JSON.stringify({ version, more: "x".repeat(100) });
    const message = `the line has another form: ${odd.slice(0, 80)}`;
    const problems = [{ file: "", path: "", message }];
    expect(JSON.parse(await say(path, [`${odd}\n`]))).toEqual({ problems });
    handover.close();
    remove();
  });
});
