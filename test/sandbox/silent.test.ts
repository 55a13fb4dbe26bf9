/** Configs that name something of a file system that does not answer: told by check and by a start, as what is missing is. */
import { afterAll, describe, expect, test } from "bun:test";
import { chmodSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { landlockAbi } from "../../ffi/landlock.ts";
import { asOrdinary } from "../accounts.ts";
import { programIn, serve, shell, system, until, users } from "../served.ts";
import { acls, api } from "./attack.ts";
import { canStall, stalling } from "./stalling.ts";

const dir = mkdtempSync(join(tmpdir(), "spawnbox-silent-"));
chmodSync(dir, 0o755);
const program = programIn(dir);
afterAll(() => rmSync(dir, { recursive: true }));

const mounts = (mount: object, opts: object = {}) => ({
  namespace: { opts, shares: { all: "disable" }, mounts: [...system, mount] },
  commands: [shell],
});

/** It ends by itself, however long the other does not answer. */
async function run(as: readonly string[], ...words: readonly string[]) {
  const child = Bun.spawn([...as, program, ...words], { stdio: ["ignore", "pipe", "pipe"] });
  const said = await Promise.all([child.stdout.text(), child.stderr.text()]);
  return { code: await child.exited, said: said.join("") };
}

/** What is named of it, and where the problem is. */
const source = `namespace.mounts[${system.length}]`;
const named = (at: string, link: string): readonly [sandbox: object, path: string][] => [
  [mounts({ target: "/data", source: at }), source],
  [mounts({ target: "/data", source: `${at}/a/b` }), source],
  [mounts({ target: "/data", source: `${link}/a` }), source],
  [mounts({ target: "/data", source: `${at}/new` }, { autocreate: true }), source],
  [{ commands: [{ uid: "x", exec: { cmdpath: `${at}/x` } }] }, "commands[0].exec.cmdpath"],
  ...(landlockAbi() > 0
    ? [
        [{ landlock: { exec: ["/usr"], ro: [at] }, commands: [shell] }, "landlock.ro[0]"] as [
          object,
          string,
        ],
      ]
    : []),
];

describe.skipIf(!canStall).each(users)("for %s", (user) => {
  const as = user === "root" ? [] : asOrdinary;
  const config = join(dir, `${user}.json`.replace(" ", "-"));
  const write = (...sandboxes: readonly object[]) =>
    writeFileSync(
      config,
      JSON.stringify(api(sandboxes.map((one, i) => ({ uid: `s${i}`, acls, ...one })))),
    );

  test("a file system that does not answer is a problem of each that names it, and no hang", async () => {
    await using files = await stalling();
    const link = join(dir, `link-${user}`.replace(" ", "-"));
    symlinkSync(files.source, link);
    const all = named(files.source, link);
    write(...all.map(([sandbox]) => sandbox));
    const silent = `the file system at ${files.source} (fuse) does not answer: bring back what serves it, or unmount it`;
    const lines = all.map(([, path], i) => `${config}: sandboxes[${i}].${path}: ${silent}`);
    await files.stall();
    const checked = await run(as, "check", config);
    expect(checked.said.trim().split("\n")).toEqual(lines);
    expect(checked.code).toBe(1);
    const started = await run(as, "serve", "--port", "0", "--config", config);
    expect(started.said).toContain(lines.join("\n"));
    expect(started.code).toBe(1);
    // Nor what has died, which is told at once.
    await files.end();
    const { code, said } = await run(as, "check", config);
    expect(said.trim().split("\n")).toEqual(
      all.map(([, path], i) => expect.stringContaining(`${config}: sandboxes[${i}].${path}: `)),
    );
    expect(code).toBe(1);
  });

  test("what names another, or may be missing, goes without it", async () => {
    await using files = await stalling();
    write(
      { commands: [shell] },
      mounts({ target: "/data", source: files.source, optional: true }),
      mounts({ target: "/data", source: `${files.source}-2`, optional: true }),
    );
    await files.stall();
    const ok = { code: 0, said: expect.stringContaining("OK: 1 API, 3 verbs") as string };
    expect(await run(as, "check", "--no-try", config)).toMatchObject(ok);
    await files.end();
    expect(await run(as, "check", "--no-try", config)).toMatchObject(ok);
  });

  test("a reload is refused as long as it does not answer, and all goes on as before", async () => {
    await using files = await stalling();
    const sandboxes = [mounts({ target: "/data", source: files.source }), { commands: [shell] }];
    const config = api(sandboxes.map((one, i) => ({ uid: `s${i}`, acls, ...one })));
    await using served = await serve(config, { user, argv: ["--access", "open"] });
    const reload = async () => (await served.call("monitor/reload")).request;
    await files.stall();
    for (let i = 0; i < 2; i++)
      expect(await reload()).toMatchObject({
        status: "bad-state",
        info: expect.stringContaining(`${files.source} (fuse) does not answer`),
      });
    expect(await served.run("a/s1/sh", { script: "echo fine" })).toMatchObject({
      stdout: ["fine"],
    });
    files.answer();
    // Who was asked first hears of it, too, a moment later.
    await until("it is asked again", async () => (await reload()).status === "success");
    const { stdout } = await served.run("a/s0/sh", { script: "ls /data; echo there" });
    expect(stdout).toEqual(["there"]);
  });

  test("where there is no shell nobody is asked", async () => {
    await using files = await stalling();
    write(mounts({ target: "/data", source: files.source }));
    const hidden = ["unshare", "--mount", "sh", "-c", 'mount --bind /dev/null /bin/sh; exec "$@"'];
    const { code, said } = await run([...hidden, "sh", ...as], "check", "--no-try", config);
    expect(said).not.toContain("does not answer");
    expect(said).toContain("/bin/sh");
    expect(code).toBe(1);
  });
});
