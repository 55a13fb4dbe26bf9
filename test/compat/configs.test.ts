/** Configs as users of spawn-binding have them: they load, and what of them means nothing is a notice. */
import { afterAll, describe, expect, test } from "bun:test";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Reply } from "../../src/api/reply.ts";
import { check } from "../../src/cli/check.ts";
import type { Notice } from "../../src/plan/report.ts";
import { isRoot, type Ran, serve, system, users } from "../served.ts";

const dir = mkdtempSync(join(tmpdir(), "spawnbox-compat-"));
chmodSync(dir, 0o755);
afterAll(() => rmSync(dir, { recursive: true }));

const config = (sandbox: object, more: object = {}) => ({
  metadata: { uid: "c", api: "c" },
  sandboxes: { uid: "s", acls: { user: "nobody" }, ...sandbox },
  ...more,
});
const script = (uid: string, text: string, more: object = {}) => ({
  uid,
  encoder: "sync",
  exec: { cmdpath: "/bin/sh", args: ["-c", text] },
  ...more,
});

async function checked(
  raw: object,
): Promise<{ ok: boolean; problems: Notice[]; notices: Notice[] }> {
  const file = join(dir, "config.json");
  writeFileSync(file, JSON.stringify(raw));
  const { output } = await check(file, { json: true, access: "none" });
  return JSON.parse(output) as Awaited<ReturnType<typeof checked>>;
}
const lines = (all: readonly Notice[]) => all.map(({ path, message }) => `${path}: ${message}`);

describe("log", () => {
  test("maxlen means nothing to it, and is a notice", async () => {
    const encoder = { output: "log", opts: { maxlen: 1024, maxline: 5 } };
    const found = await checked(
      config({ commands: { uid: "x", encoder, exec: { cmdpath: "/usr/bin/env" } } }),
    );
    expect(found.problems).toEqual([]);
    expect(lines(found.notices)).toContain(
      "sandboxes[0].commands[0].encoder: maxlen: means nothing to the encoder log",
    );
    expect(lines(found.notices)).toContain(
      "sandboxes[0].commands[0].encoder: maxline: means nothing to the encoder log",
    );
  });

  test("nor maxline to those that keep no list of lines", async () => {
    for (const output of ["line", "raw", "json"]) {
      const encoder = { output, opts: { maxline: 128, maxlen: 512 } };
      const found = await checked(config({ commands: script("x", "true", { encoder }) }));
      expect(found.problems).toEqual([]);
      expect(lines(found.notices)).toEqual([
        `sandboxes[0].commands[0].encoder: maxline: means nothing to the encoder ${output}`,
      ]);
    }
  });

  test("a slip is still a problem", async () => {
    const encoder = { output: "log", opts: { maxlne: 1 } };
    const found = await checked(config({ commands: script("x", "true", { encoder }) }));
    expect(lines(found.problems)[0]).toContain("maxlne: the encoder log has no such option");
  });

  test("a relative path is below the directory of the config", async () => {
    const logs = mkdtempSync(join(dir, "logs-"));
    const path = `../${logs.slice(tmpdir().length + 1)}/out`;
    if (isRoot) {
      const encoder = { output: "log", opts: { stdout: path, maxlen: 9 } };
      const commands = script("x", "echo logged", { encoder });
      await using server = await serve(config({ commands }), { user: "root" });
      await server.call("c/x", { wait: true });
      await server.call("c/x");
      while (!existsSync(join(logs, "out")) || statSync(join(logs, "out")).size === 0)
        await Bun.sleep(10);
      expect(readFileSync(join(logs, "out"), "utf8")).toStartWith("logged\n");
    }
    const encoder = { output: "log", opts: { stdout: "" } };
    const found = await checked(config({ commands: script("x", "true", { encoder }) }));
    expect(lines(found.problems)[0]).toContain("stdout: must be an absolute path");
  });
});

test("metadata.date", async () => {
  const metadata = { uid: "c", api: "c", version: "1.0", date: "2021-02-19", author: "me" };
  const found = await checked({ ...config({ commands: script("x", "true") }), metadata });
  expect(found.problems).toEqual([]);
  expect(lines(found.notices)).toContain("metadata.date: not used, here or in `info`");
});

describe("chdir", () => {
  const mounts = [...system, { target: "/data", source: dir }];
  const at = (chdir: string, more: object[] = []) =>
    config({
      acls: { user: "nobody", chdir },
      namespace: { mounts: [...mounts, ...more] },
      commands: script("where", "pwd"),
    });
  const notice = (path: string) =>
    `sandboxes[0].acls.chdir: there is no directory ${path} inside the mounts: the commands start in /`;

  for (const user of users) {
    test(`what the mounts do not show is a notice, and the command starts in / (${user})`, async () => {
      for (const chdir of [
        "/home",
        "/data/none/at/all",
        "/tmp/none",
        "/usr/bin/env",
        "/bin/env/x",
      ]) {
        expect(lines((await checked(at(chdir))).notices)).toContain(notice(chdir));
        await using server = await serve(at(chdir), { user });
        expect((await server.run("c/where")).stdout).toEqual(["/"]);
      }
    });

    test(`what they show is the directory (${user})`, async () => {
      const more = [{ target: "/a/b/c", mode: "dir" }];
      for (const chdir of ["/data", "/usr/bin", "/bin", "/tmp", "/a/b", "/a/b/c", "/proc", "/"]) {
        const raw = at(chdir, more);
        expect(lines((await checked(raw)).notices)).not.toContain(notice(chdir));
        await using server = await serve(raw, { user });
        const where = chdir === "/bin" ? "/usr/bin" : chdir;
        expect((await server.run("c/where")).stdout).toEqual([where]);
      }
    });
  }

  test("without mounts it has to be there", async () => {
    const raw = config({
      acls: { user: "nobody", chdir: "/nowhere" },
      commands: script("where", "pwd"),
    });
    const file = join(dir, "config.json");
    writeFileSync(file, JSON.stringify(raw));
    const { output, exitCode } = await check(file, { json: false, access: "none" });
    expect(exitCode).toBe(1);
    expect(output).toContain("/nowhere does not exist");
  });
});

describe("autocreate", () => {
  const made = (target: string) =>
    config({
      namespace: {
        opts: { autocreate: true },
        mounts: [...system, { target: "/state", source: target, mode: "rw" }],
      },
      acls: { user: "nobody", chdir: "/state" },
      commands: script("write", "umask 0; pwd; echo x >file && cat file"),
    });

  test("check makes nothing", async () => {
    const target = join(dir, "check/deep");
    const found = await checked(made(target));
    expect(found.problems).toEqual([]);
    expect(lines(found.notices).join()).not.toContain("chdir");
    expect(existsSync(join(dir, "check"))).toBe(false);
  });

  test("what could not be made is a problem", async () => {
    const [problem] = (await checked(made("/etc/passwd/none"))).problems;
    expect(problem?.message).toContain("ENOTDIR");
  });

  for (const user of users) {
    test(`a server makes the directory for the user of the sandbox (${user})`, async () => {
      const above = mkdtempSync(join(dir, "above-"));
      chmodSync(above, 0o777);
      const target = join(above, "mid/deep");
      await using server = await serve(made(target), { user });
      const { stdout } = await server.run("c/write");
      expect(stdout).toEqual(["/state", "x"]);
      const stat = statSync(target);
      expect({ uid: stat.uid, mode: stat.mode & 0o7777 }).toEqual({
        uid: isRoot ? 65534 : stat.uid,
        mode: 0o750,
      });
      if (isRoot && user === "root") expect(statSync(join(above, "mid")).uid).toBe(0);
    });
  }

  test("what is there keeps its owner and mode", async () => {
    const target = mkdtempSync(join(dir, "there-"));
    chmodSync(target, 0o777);
    const before = statSync(target);
    await using server = await serve(made(target));
    expect((await server.run("c/write")).stdout).toEqual(["/state", "x"]);
    const { uid, mode } = statSync(target);
    expect({ uid, mode }).toEqual({ uid: before.uid, mode: before.mode });
  });
});

describe("cgroups of an ordinary user", () => {
  const raw = config({
    cgroups: { mem: { max: "64M" }, pids: "9" },
    commands: script("x", "echo y"),
  });

  test("that cannot be had are a notice", async () => {
    const user = "ordinary user";
    const quiet = await serve(raw, { user });
    try {
      expect((await quiet.run("c/x")).stdout).toEqual(["y"]);
    } finally {
      await quiet[Symbol.asyncDispose]();
    }
  });

  test("values that cannot be are still problems", async () => {
    const found = await checked(
      config({ cgroups: { pids: "many" }, commands: script("x", "true") }),
    );
    expect(lines(found.problems)[0]).toStartWith("sandboxes[0].cgroups.pids: ");
  });
});

describe("plugins", () => {
  const MODULE = "export const functions = { f: () => NAME };";
  const served = (libs: unknown, spath?: string) =>
    config(
      { commands: script("x", "true") },
      {
        plugins: { uid: "p", libs, ...(spath !== undefined && { spath }) },
        extra: { uid: "f", action: "plugin://p#f" },
      },
    );
  const modules = mkdtempSync(join(dir, "modules-"));
  chmodSync(modules, 0o755);
  mkdirSync(join(modules, "lib"));
  writeFileSync(join(modules, "b.mjs"), MODULE.replace("NAME", '"b"'));
  writeFileSync(join(modules, "lib/c.ts"), MODULE.replace("NAME", '"c"'));

  test("of several libs the first that is found", async () => {
    const raw = served(["a", "b", "c"], `${modules}:${modules}/lib`);
    await using server = await serve(raw);
    expect((await server.call("c/f")).response).toBe("b");
    const notices = lines((await checked(raw)).notices);
    expect(notices).toContain(
      `plugins[0].libs[0]: no module \`a\` in ${modules}, ${modules}/lib; loaded is ${modules}/b.mjs`,
    );
  });

  test("a native one is said to be, and what to do", async () => {
    const native =
      "`libafb-plugin.so` is a native plugin, and those are not loaded: write what it does";
    expect(lines((await checked(served("libafb-plugin.so", modules))).problems)[0]).toStartWith(
      `plugins[0].libs[0]: ${native}`,
    );
    const found = await checked(served(["libafb-plugin.so", "c"], `${modules}/lib`));
    expect(found.problems).toEqual([]);
    expect(lines(found.notices)[0]).toStartWith(`plugins[0].libs[0]: ${native}`);
  });

  test("none is a problem for each", async () => {
    expect(lines((await checked(served([], modules))).problems)).toEqual([
      "plugins[0].libs: names no module",
    ]);
    const { problems } = await checked(served(["a", "x.so"], modules));
    expect(problems.map(({ path }) => path).slice(0, 2)).toEqual([
      "plugins[0].libs[0]",
      "plugins[0].libs[1]",
    ]);
  });
});

test("http: afb answers errors of verbs with 200; a request may want it otherwise", async () => {
  const commands = script("c", "echo '%a%'");
  const metadata = { uid: "c", api: "c", http: "afb" };
  await using server = await serve({ ...config({ commands }), metadata });
  const get = async (path: string, headers: Record<string, string> = {}) => {
    const response = await fetch(`${server.url}${path}`, { headers });
    return [response.status, ((await response.json()) as Reply).request.status];
  };
  expect(await get("/api/c/c")).toEqual([200, "invalid-request"]);
  expect(await get("/api/C/none")).toEqual([200, "unknown-verb"]);
  expect(await get("/api/c/c", { "x-afb-http": "rest" })).toEqual([400, "invalid-request"]);
  expect(await get("/api/x/c")).toEqual([404, "unknown-api"]);
  expect(await get("/api/monitor/get?apis=x")).toEqual([404, "unknown-api"]);
  expect(await get("/api/c/c?a=1&wait=true")).toEqual([200, "success"]);
});

describe("actions", () => {
  test("events without args get the data; onload subscribes for the server", async () => {
    const out = mkdtempSync(join(dir, "actions-"));
    chmodSync(out, 0o777);
    const raw = {
      metadata: { uid: "c", api: "c" },
      plugins: { uid: "p", libs: "p.mjs", spath: out },
      sandboxes: {
        uid: "s",
        acls: { user: "nobody" },
        commands: [
          script("x", "echo printed", { encoder: "line" }),
          script("number", "echo '[1.50,9007199254740993]'", { encoder: "json" }),
          script("took", "echo '?type?'"),
        ],
      },
      onload: [
        { uid: "one", action: "api://c#x", args: { action: "subscribe" }, required: true },
        { uid: "two", action: "api://monitor#subscribe", args: "disconnected", required: true },
        { uid: "three", action: "api://c#x", args: { action: "unsubscribe" }, required: true },
        { uid: "four", action: "api://c#number", args: { action: "subscribe" }, required: true },
      ],
      events: ["x", "number"].map((uid) => ({ uid, action: "plugin://p#keep" })),
      extra: { uid: "kept", action: "plugin://p#kept" },
    };
    writeFileSync(
      join(out, "p.mjs"),
      "const all = []; export const functions = { keep: (args) => void all.push(args), kept: () => all };",
    );
    chmodSync(out, 0o755);
    await using server = await serve(raw);
    const dataOf = async (verb: string, count: number) => {
      await server.call(verb);
      let kept: unknown[] = [];
      while (kept.length < count) kept = (await server.call("c/kept")).response as unknown[];
      return kept.slice(count - 2);
    };
    const pid = expect.any(Number);
    const end = expect.objectContaining({ type: "final-event" });
    expect(await dataOf("c/x", 2)).toEqual([{ type: "data", pid, stdout: "printed" }, end]);
    // What code of a plugin gets are doubles.
    const stdout = [1.5, 2 ** 53];
    expect(await dataOf("c/number", 4)).toEqual([{ type: "data", pid, stdout }, end]);
  });

  test("c and C are two verbs, and two APIs", async () => {
    const raw = config({ commands: [script("c", "echo small"), script("C", "echo large")] });
    await using server = await serve(raw);
    expect((await server.run("c/c")).stdout).toEqual(["small"]);
    expect((await server.run("c/C")).stdout).toEqual(["large"]);
    const upper = await fetch(`${server.url}/api/C/C?wait=true`);
    expect(((await upper.json()) as { response: Ran }).response.stdout).toEqual(["large"]);
  });
});
