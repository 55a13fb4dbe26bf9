import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import {
  existsSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Refused } from "../../src/errors.ts";
import { log } from "../../src/encoders/log.ts";
import { descriptorsOf } from "../descriptors.ts";
import { about, feed, utf8 } from "./feed.ts";

let dir = "";
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "spawnbox-log-"));
});
afterAll(() => rmSync(dir, { recursive: true }));

test("appends byte for byte, and tells the client nothing", async () => {
  const stdout = join(dir, "out.log");
  const stderr = join(dir, "err.log");
  writeFileSync(stdout, "before\n");
  const bytes = Uint8Array.of(0xff, 0x00, 0x0a);
  const fed = await feed(log, bytes, { stderr: "e", opts: { stdout, stderr }, sizes: [1] });
  expect(fed).toMatchObject({ events: [], fields: {} });
  expect(new Uint8Array(readFileSync(stdout))).toEqual(
    Uint8Array.of(...utf8("before\n"), ...bytes),
  );
  expect(readFileSync(stderr, "utf8")).toBe("e");
  expect(statSync(stderr).mode & 0o7137).toBe(0);
});

test("one file for both", async () => {
  const path = join(dir, "both.log");
  await feed(log, "out\n", { stderr: "err\n", opts: { stdout: path, stderr: path } });
  await feed(log, "again\n", { opts: { stdout: path, stderr: path } });
  expect(readFileSync(path, "utf8")).toBe("out\nerr\nagain\n");
});

test("goes on in a new file where the one of before has got another name, as logrotate does", async () => {
  const path = join(dir, "rotated.log");
  const open = () => readdirCount("/proc/self/fd");
  const before = open();
  const told: string[] = [];
  const encoding = log.begin({ stdout: path, stderr: path }, () => {}, {
    ...about(),
    tell: (text) => told.push(text),
  });
  await encoding.stdout(utf8("first\n"));
  renameSync(path, `${path}.1`);
  let lines = 1;
  // It looks once a second.
  for (; !existsSync(path); lines++) {
    await encoding.stderr(utf8("next\n"));
    await Bun.sleep(20);
  }
  await encoding.stdout(utf8("last\n"));
  expect(await encoding.end()).toEqual({});
  const [old, fresh] = [`${path}.1`, path].map((file) => readFileSync(file, "utf8"));
  expect(old).toStartWith("first\n");
  expect(fresh).toEndWith("next\nlast\n");
  expect(`${old}${fresh}`.split("\n")).toHaveLength(lines + 2);
  expect([open(), told, statSync(path).mode & 0o7137]).toEqual([before, [], 0]);
});

test("a link that somebody puts in its place is not followed: it stays with the file that it has", async () => {
  const [path, target] = [join(dir, "led.log"), join(dir, "led-away")];
  const encoding = log.begin({ stdout: path }, () => {}, about());
  renameSync(path, `${path}.1`);
  symlinkSync(target, path);
  const end = performance.now() + 1500;
  while (performance.now() < end) {
    await encoding.stdout(utf8("x"));
    await Bun.sleep(50);
  }
  await encoding.end();
  expect(existsSync(target)).toBe(false);
  expect(readFileSync(`${path}.1`, "utf8")).toMatch(/^x+$/);
});

test("does not follow a symbolic link, nor leave the first file open", () => {
  const target = join(dir, "target");
  const link = join(dir, "link");
  symlinkSync(target, link);
  const open = () => readdirCount("/proc/self/fd");
  const before = open();
  expect(() => log.begin({ stdout: join(dir, "x.log"), stderr: link }, () => {}, about())).toThrow(
    "ELOOP",
  );
  expect(open()).toBe(before);
});

test("that cannot be kept says what to do", () => {
  const link = join(dir, "linked");
  symlinkSync("/nowhere", link);
  const said = (stdout: string) => {
    try {
      log.begin({ stdout }, () => {}, about());
    } catch (error) {
      return [error instanceof Refused, error instanceof Error && error.message];
    }
    return undefined;
  };
  for (const [path, told] of [
    [dir, `EISDIR: it is a directory: name a file in it`],
    [link, "ELOOP: it is a link, and those are not followed: name what it leads to"],
    [join(dir, "none/x"), "ENOENT: its directory is not there: make it first"],
    ["/dev/stdout", "ELOOP: leave the option out: then it goes among what the server itself says"],
    ["/dev/stderr", "ELOOP: leave the option out: then it goes among what the server itself says"],
  ] as const)
    expect([path, ...(said(path) ?? [])]).toEqual([path, true, `log encoder: ${path}: ${told}`]);
});

test("does not hang on a FIFO without reader", () => {
  const fifo = join(dir, "fifo");
  expect(Bun.spawnSync(["mkfifo", fifo]).exitCode).toBe(0);
  // In a process of its own: where it hangs, so would all tests.
  const { err, exitCode } = alone({ stdout: fifo }, "");
  expect([err.includes("ENXIO"), exitCode]).toEqual([true, 1]);
});

/** Runs an encoding in a process of its own; `work` has it, and `told`, what the operator was told. */
function alone(opts: object, work: string, command: string[] = []) {
  const script = `
    import { log } from ${JSON.stringify(join(import.meta.dir, "../../src/encoders/log.ts"))};
    const told = [];
    const about = { name: "c: a/note@7", tell: (text) => told.push(text) };
    const encoding = log.begin(${JSON.stringify(opts)}, () => {}, about);
    const out = (text) => encoding.stdout(new TextEncoder().encode(text));
    const err = (text) => encoding.stderr(new TextEncoder().encode(text));
    const end = () => Promise.resolve(encoding.end()).then(JSON.stringify, (error) => error.message);
    ${work}
    console.log(JSON.stringify(told));
  `;
  const { stdout, stderr, exitCode } = Bun.spawnSync([...command, process.execPath, "-e", script], {
    timeout: 20_000,
  });
  return { out: stdout.toString().trim().split("\n"), err: stderr.toString(), exitCode };
}

test("without paths, to the stderr of the server: each line says whose it is", () => {
  const work = `await out("out\\nmore"); await err("err\\n"); await end();`;
  expect(alone({}, work).err).toBe(
    "c: a/note@7 stdout: out\nc: a/note@7 stderr: err\nc: a/note@7 stdout: more\n",
  );
});

test("what has not ended is shown at the end, of each stream", () => {
  expect(alone({}, `await err("err"); await out("out"); await end();`).err).toBe(
    "c: a/note@7 stdout: out\nc: a/note@7 stderr: err\n",
  );
});

test("nothing of it is obeyed by who shows it", () => {
  const forged =
    "x\r\n<0>spawnbox: disk on fire\n\x1b]0;title\x07\x1b[2J\x00\x7f\u009b2J\u2028\u202e\u2066\ufeff\n<3>\nä\u200d€\n";
  const work = `
    await out(${JSON.stringify(forged)});
    await encoding.stdout(Uint8Array.of(0x61, 0x9b, 0x32, 0x4a, 0xff, 0x0a));
    await end();`;
  const { err } = alone({}, work);
  expect(err.split("\n").map((line) => line.replace("c: a/note@7 stdout: ", "| "))).toEqual([
    "| x\\u000d",
    "| <0>spawnbox: disk on fire",
    "| \\u001b]0;title\\u0007\\u001b[2J\\u0000\\u007f\\u009b2J\\u2028\\u202e\\u2066\\ufeff",
    "| <3>",
    "| ä\u200d€",
    "| a\ufffd2J\ufffd",
    "",
  ]);
});

test("a long line comes in pieces, each of which says whose it is, and is written at once", () => {
  const { err } = alone({}, `await out("\\x1b€".repeat(50_000)); await end();`);
  const lines = err.trimEnd().split("\n");
  expect(lines.length).toBeGreaterThan(100);
  for (const line of lines) {
    expect(line).toStartWith("c: a/note@7 stdout: ");
    expect(Buffer.byteLength(line)).toBeLessThan(4096);
  }
  const text = lines.map((line) => line.replace("c: a/note@7 stdout: ", "").replace(/\\$/, ""));
  expect(text.join("")).toBe("\\u001b€".repeat(50_000));
});

test("a path that is a terminal, or what the server itself writes to, gets such lines too", () => {
  const path = join(dir, "server.log");
  // Appended to: as with `serve 2>>FILE`.
  const command = ["/bin/sh", "-c", `exec "$@" 2>>${path}`, "sh"];
  const { out } = alone({ stdout: path }, `await out("<0>x\\n"); await end();`, command);
  expect(out).toEqual(["[]"]);
  expect(readFileSync(path, "utf8")).toBe("c: a/note@7 stdout: <0>x\n");
});

test("also such a file is followed, and told of where it is gone", () => {
  const path = join(dir, "renamed.log");
  const command = ["/bin/sh", "-c", `exec "$@" 2>>${path}`, "sh"];
  const [renamed, removed] = [`renameSync(file, file + ".1")`, "unlinkSync(file)"].map(
    (how) => `
    const { existsSync, renameSync, unlinkSync } = await import("node:fs");
    const file = ${JSON.stringify(path)};
    await out("old\\n"); ${how}; await out("gone\\n");
    if (existsSync(file + ".1")) while (!existsSync(file)) { await Bun.sleep(20); await out("new\\n"); }
    console.log(await end());`,
  );
  expect(alone({ stdout: path }, renamed ?? "", command).out).toEqual(["{}", "[]"]);
  expect(readFileSync(`${path}.1`, "utf8")).toStartWith("c: a/note@7 stdout: old\n");
  expect(readFileSync(path, "utf8")).toBe("c: a/note@7 stdout: new\n");
  rmSync(`${path}.1`);
  const { out } = alone({ stdout: path }, removed ?? "", command);
  expect(out[0]).toBe("stdout is lost: the file was removed meanwhile");
});

test("so is what it prints to, and not what lies beside that", () => {
  const [own, beside] = [join(dir, "own.log"), join(dir, "beside.log")];
  const command = ["/bin/sh", "-c", `exec "$@" >>${own}`, "sh"];
  alone(
    { stdout: own, stderr: beside },
    `await out("x\\n"); await err("y"); await end();`,
    command,
  );
  expect(readFileSync(own, "utf8")).toBe("c: a/note@7 stdout: x\n[]\n");
  expect(readFileSync(beside, "utf8")).toBe("y");
});

test("who waits to show it holds back the task, and not the server", () => {
  const work = `
    let done = false;
    void out(("x".repeat(99) + "\\n").repeat(5000)).then(() => (done = true));
    await Bun.sleep(300);
    console.log(done);
    process.exit();`;
  const { out } = alone({}, work, ["/bin/bash", "-c", `exec "$@" 2> >(exec sleep 1 >&-)`, "sh"]);
  expect(out).toEqual(["false"]);
});

describe("what cannot be written", () => {
  test("is told once, at once, and counted; the task goes on", () => {
    const work = `
      await out("out\\n");
      console.log(told.length);
      await out("more\\n");
      console.log(await end());`;
    const { out } = alone({ stdout: "/dev/full" }, work);
    const line = "c: a/note@7 stdout: ".length;
    expect(out).toEqual([
      "1",
      `${2 * line + 9} bytes of stdout are lost: ENOSPC`,
      '["log encoder: cannot write /dev/full: ENOSPC: output of this task is lost"]',
    ]);
  });

  test("after some of it, by a limit: the rest is counted, and nobody is killed", () => {
    const path = join(dir, "limited");
    const work = `
      await out("x".repeat(3000)); await err("e"); await out("y".repeat(10)); console.log(await end());`;
    const { out } = alone({ stdout: path, stderr: path }, work, ["prlimit", "--fsize=2000"]);
    expect(out[0]).toBe("1011 bytes of stdout and stderr are lost: EFBIG");
    expect(statSync(path).size).toBe(2000);
  });

  test("when its reader is gone", async () => {
    const fifo = join(dir, "left");
    expect(Bun.spawnSync(["mkfifo", fifo]).exitCode).toBe(0);
    const reader = Bun.spawn(["head", "-c", "4", fifo], { stdout: "ignore" });
    const work = `await out("1234"); await Bun.sleep(500); await out("567"); console.log(await end());`;
    const begun = alone({ stdout: fifo }, work, [
      "/bin/sh",
      "-c",
      `i=0; while [ $i -lt 50 ]; do i=$((i+1)); sleep 0.01; done; exec "$@"`,
      "sh",
    ]);
    expect(begun.out[0]).toBe("3 bytes of stdout are lost: EPIPE");
    await reader.exited;
  });

  test("when its reader stalls: the task waits a little, and no more", () => {
    const fifo = join(dir, "stalled");
    expect(Bun.spawnSync(["mkfifo", fifo]).exitCode).toBe(0);
    const work = `
      for (let i = 0; i < 100; i++) await out("x".repeat(8192));
      console.log(await end());`;
    const { out } = alone({ stdout: fifo }, work, [
      "/bin/sh",
      "-c",
      `exec 3<>${fifo}; exec "$@"`,
      "sh",
    ]);
    expect(out[0]).toBe(`${100 * 8192 - 65536} bytes of stdout are lost: EAGAIN`);
  });

  test("since the file was removed", () => {
    const path = join(dir, "removed");
    const work = `
      const { unlinkSync } = await import("node:fs");
      await out("x"); unlinkSync(${JSON.stringify(path)}); await out("y");
      console.log(await end());`;
    const { out } = alone({ stdout: path }, work);
    expect(out[0]).toBe("stdout is lost: the file was removed meanwhile");
    expect(out[1]).toContain("removed while the task ran");
  });

  test("and is written again once there is room", () => {
    const path = join(dir, "again");
    writeFileSync(path, "");
    const work = `
      const { truncateSync } = await import("node:fs");
      await out("x".repeat(2500));
      truncateSync(${JSON.stringify(path)}, 0);
      await out("new");
      console.log(await end());`;
    const { out } = alone({ stdout: path }, work, ["prlimit", "--fsize=2000"]);
    expect(out[0]).toBe("500 bytes of stdout are lost: EFBIG");
    expect(readFileSync(path, "utf8")).toBe("new");
  });
});

test("the files are closed at the end, whatever that is", async () => {
  // Of its own: what suites before this one have left is closed at any time.
  const open = () => descriptorsOf("self").filter((path) => path.startsWith(dir)).length;
  const [one, other] = [join(dir, "one"), join(dir, "other")];
  for (const [opts, lost] of [
    [{ stdout: one, stderr: one }, false],
    [{ stdout: one, stderr: other }, false],
    [{ stdout: one, stderr: other }, true],
    [{ stdout: one }, false],
    [{}, false],
  ] as const) {
    const encoding = await log.begin(opts, () => {}, about());
    expect(open()).toBe(new Set(Object.values(opts)).size);
    await encoding.stdout(utf8("x"));
    if (lost) rmSync(one);
    const end = Promise.resolve(encoding.end());
    if (lost) await expect(end).rejects.toThrow("the file was removed meanwhile");
    else expect(await end).toEqual({});
    expect(open()).toBe(0);
  }
});

function readdirCount(path: string): number {
  return [...new Bun.Glob("*").scanSync({ cwd: path, onlyFiles: false })].length;
}
