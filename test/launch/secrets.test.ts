/** Secrets that a config only names: they reach the command, as it is launched, and nobody else. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import {
  chmodSync,
  chownSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isRoot, programIn, serve, until, type User, users } from "../served.ts";
import { ORDINARY } from "../accounts.ts";

describe.each(users)("as %s", (user: User) => {
  let dir: string;
  const at = (name: string): string => join(dir, name);
  const write = (name: string, content: string | Uint8Array): void => {
    writeFileSync(at(name), content, { mode: 0o600 });
    if (isRoot && user === "ordinary user") chownSync(at(name), ORDINARY, ORDINARY);
  };
  beforeAll(() => {
    dir = mkdtempSync(join(tmpdir(), "spawnbox-secrets-"));
    chmodSync(dir, 0o755);
    if (isRoot && user === "ordinary user") chownSync(dir, ORDINARY, ORDINARY);
  });
  afterAll(() => rmSync(dir, { recursive: true }));

  const show = (...names: string[]) => [
    "-c",
    names.map((name) => `echo $$${name}`).join(";"),
    "sh",
  ];
  const config = () => ({
    metadata: { uid: "s", version: "1", api: "s" },
    sandboxes: {
      uid: "box",
      prefix: "",
      profile: "minimal",
      ...(user === "root" && { acls: { user: "daemon" } }),
      envs: [
        { name: "KEY", file: at("key") },
        { name: "PLAIN", value: "config" },
        { name: "OVER", value: "config" },
        { name: "GONE", mode: "unset" },
      ],
      envfile: [at("env"), `-${at("missing")}`],
      commands: [
        {
          uid: "cold",
          encoder: "sync",
          exec: {
            cmdpath: "/bin/sh",
            args: [...show("KEY", "PLAIN", "OVER", "GONE", "1"), { arg: "-p", file: at("arg") }],
          },
        },
        {
          uid: "warm",
          pool: 2,
          encoder: "sync",
          exec: {
            cmdpath: "/bin/sh",
            args: [...show("KEY", "PLAIN", "OVER", "GONE", "1"), { arg: "%n%=", file: at("arg") }],
          },
        },
      ],
    },
  });

  test("they are what is in the files when it is launched, cold or from a pool", async () => {
    write("key", "k-first\n");
    write("arg", "a-first");
    write("env", "OVER=file\nGONE=file\nKEY=file\n");
    await using served = await serve(config(), { user });
    const cold = async () => (await served.run("s/cold")).stdout;
    const warm = async () => (await served.run("s/warm", { n: "x" })).stdout;
    expect(await cold()).toEqual(["k-first", "config", "file", "", "-pa-first"]);
    expect(await warm()).toEqual(["k-first", "config", "file", "", "x=a-first"]);
    // Time for the pool, which must not keep what was.
    await Bun.sleep(300);
    write("key", "k-secon\n");
    write("arg", "a-secon");
    expect(await warm()).toEqual(["k-secon", "config", "file", "", "x=a-secon"]);
    expect(await cold()).toEqual(["k-secon", "config", "file", "", "-pa-secon"]);
    await Bun.sleep(300);
    write("key.new", "k-third");
    renameSync(at("key.new"), at("key"));
    write("env", "OVER=third\n");
    expect(await warm()).toEqual(["k-third", "config", "third", "", "x=a-secon"]);
    // And one that is ready has it, too.
    await Bun.sleep(300);
    expect(await warm()).toEqual(["k-third", "config", "third", "", "x=a-secon"]);
  });

  test("one that cannot be read refuses the launch, also of what is ready; when it is back, all is well", async () => {
    write("key", "key");
    write("arg", "arg");
    write("env", "");
    await using served = await serve(config(), { user });
    const info = async (verb: string, args?: object) =>
      (await served.call(verb, args)).request.info ?? "";
    expect((await served.run("s/warm", { n: "x" })).stdout?.[0]).toBe("key");
    await Bun.sleep(300);
    rmSync(at("key"));
    expect(await info("s/warm", { n: "x" })).toContain(`secret ${at("key")}: KEY`);
    expect(await info("s/cold")).toContain("ENOENT");
    for (const [content, said] of [
      ["a\0b", "NUL"],
      [Buffer.from([0xff, 0x41]), "UTF-8"],
      ["x".repeat(65537), "too large"],
    ] as const) {
      write("key", content);
      const told = await info("s/cold");
      expect(told).toContain(said);
      expect(told).toContain("not started");
    }
    rmSync(at("key"));
    mkdirSync(at("key"));
    expect(await info("s/cold")).toContain("not a regular file");
    rmSync(at("key"), { recursive: true });
    Bun.spawnSync(["mkfifo", at("key")]);
    expect(await info("s/cold")).toContain("not a regular file");
    rmSync(at("key"));
    write("key", "key");
    write("env", "OVER=x\nhunter2\n");
    const told = await info("s/cold");
    expect(told).toContain("line 2");
    expect(told).not.toContain("hunter2");
    write("env", "");
    expect((await served.run("s/cold")).stdout?.[0]).toBe("key");
    expect((await served.run("s/warm", { n: "x" })).stdout?.[0]).toBe("key");
  });

  test.if(user === "root")("[protection] root reads none that others can change", async () => {
    write("key", "key");
    write("arg", "arg");
    write("env", "");
    await using served = await serve(config(), { user });
    const info = async () => (await served.call("s/cold")).request.info ?? "";
    chmodSync(at("key"), 0o602);
    expect(await info()).toContain("can be written by others");
    chmodSync(at("key"), 0o600);
    chownSync(at("key"), ORDINARY, ORDINARY);
    expect(await info()).toContain("belongs to uid");
    rmSync(at("key"));
    mkdirSync(at("theirs"));
    chownSync(at("theirs"), ORDINARY, ORDINARY);
    writeFileSync(at("theirs/key"), "x");
    symlinkSync(at("theirs/key"), at("key"));
    expect(await info()).toContain("belongs to uid");
    rmSync(at("key"));
  });

  test("all that are missing are told at once", () => {
    for (const name of ["key", "arg", "env"]) rmSync(at(name), { force: true });
    const place = mkdtempSync(join(tmpdir(), "spawnbox-missing-"));
    const file = join(place, "config.json");
    writeFileSync(file, JSON.stringify(config()));
    const { stdout, stderr } = Bun.spawnSync([programIn(place), "check", file]);
    const said = stdout.toString() + stderr.toString();
    for (const name of ["key", "arg", "env"]) expect(said).toContain(`${at(name)}:`);
    rmSync(place, { recursive: true });
  });

  test("[protection] nothing that the server tells has them", async () => {
    const secret = "Zq7-only-in-the-files";
    write("key", `${secret}-key`);
    write("arg", `${secret}-arg`);
    write("env", `OVER=${secret}-env\n`);
    const quiet = config();
    const commands = [
      {
        uid: "quiet",
        encoder: "sync",
        verbose: 9,
        exec: { cmdpath: "/bin/true", args: [{ file: at("arg") }] },
      },
      { uid: "fails", encoder: "sync", exec: { cmdpath: at("run"), args: [{ file: at("arg") }] } },
    ];
    writeFileSync(at("run"), "#!/bin/sh\n", { mode: 0o755 });
    chmodSync(at("run"), 0o755);
    const all = {
      ...quiet,
      sandboxes: {
        ...quiet.sandboxes,
        commands,
        namespace: { mounts: [{ target: dir, mode: "ro" }] },
      },
    };
    const file = at("config.json");
    writeFileSync(file, JSON.stringify(all));
    const place = mkdtempSync(join(dir, "program-"));
    chmodSync(place, 0o755);
    const program = programIn(place);
    const access = at("access.json");
    writeFileSync(access, JSON.stringify({ grants: [{ anyone: true, privileges: ["*"] }] }));
    const kept = mkdtempSync(join(dir, "kept-"));
    chownSync(kept, user === "root" ? 0 : ORDINARY, user === "root" ? 0 : ORDINARY);
    const [audit, history] = [join(kept, "audit"), join(kept, "history")];
    const argv = [program, "serve", "--config", file, "--port", "0", "--access", access];
    argv.push("--audit", audit, "--history", history);
    const drop =
      isRoot && user === "ordinary user"
        ? ["setpriv", `--reuid=${ORDINARY}`, `--regid=${ORDINARY}`, "--clear-groups"]
        : [];
    const server = Bun.spawn([...drop, ...argv], { stdio: ["ignore", "pipe", "pipe"], cwd: dir });
    let said = "";
    const read = async (stream: ReadableStream<Uint8Array>) => {
      const decoder = new TextDecoder();
      for await (const chunk of stream) said += decoder.decode(chunk, { stream: true });
    };
    const over = Promise.all([read(server.stdout), read(server.stderr)]);
    await until("it serves, or says why not", () => /serves on \S+|not started/.test(said));
    expect(said).toContain("serves on");
    writeFileSync(at("run"), "#!/bin/nowhere\n");
    const url = /serves on (\S+)/.exec(said)?.[1] ?? "";
    const { connect } = await import("../../src/client.ts");
    const client = await connect(`${url.replace("http", "ws")}/api`);
    const heard: unknown[] = [];
    client.on("event", (name, data) => heard.push([name, data]));
    const trace = { add: { name: "t", request: "all", event: "all", session: "all" } };
    expect((await client.call("monitor/trace", trace)).request.status).toBe("success");
    for (const method of ["s/info", "monitor/get", "monitor/apis", "monitor/session"])
      heard.push(await client.call(method, { apis: true, verbosity: true }));
    heard.push(await client.call("s/quiet", { action: "start", verbose: 9 }));
    heard.push(await client.call("s/fails"));
    heard.push(await client.call("s/quiet", { nothing: 1 }));
    heard.push(await (await fetch(`${url}/openapi.json`)).text());
    await until("the trace is here", () => JSON.stringify(heard).includes("monitor/t"));
    const tasks = await client.call("monitor/tasks", { state: "all" });
    expect(JSON.stringify(tasks.response)).toContain(`"<${at("arg")}>"`);
    heard.push(tasks);
    await client.close();
    const run = (...args: string[]) => {
      const { stdout, stderr } = Bun.spawnSync([...drop, program, ...args], { cwd: dir });
      return stdout.toString() + stderr.toString();
    };
    writeFileSync(at("run"), "#!/bin/sh\n");
    const told = [
      run("check", file),
      run("explain", "--config", file),
      run("compile", file, "-o", at("plan")),
      await Bun.file(at("plan")).text(),
      run("run", "s/quiet", "--config", file),
    ].join("\n");
    server.kill("SIGTERM");
    await over;
    expect(JSON.stringify(heard)).toContain("quiet");
    expect(told).toContain(at("arg"));
    const lines = readFileSync(audit, "utf8");
    expect(lines).toContain(`"<${at("arg")}>"`);
    const files = readdirSync(kept).map((name) => readFileSync(join(kept, name), "latin1"));
    for (const text of [said, JSON.stringify(heard), told, ...files])
      expect(text).not.toContain(secret);
  }, 60_000);
});
