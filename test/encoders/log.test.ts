import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { log } from "../../src/encoders/log.ts";
import { feed, utf8 } from "./feed.ts";

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
  expect(fed).toEqual({ events: [], fields: {} });
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

test("does not follow a symbolic link, nor leave the first file open", () => {
  const target = join(dir, "target");
  const link = join(dir, "link");
  symlinkSync(target, link);
  const open = () => readdirCount("/proc/self/fd");
  const before = open();
  expect(() => log.begin({ stdout: join(dir, "x.log"), stderr: link }, () => {})).toThrow("ELOOP");
  expect(open()).toBe(before);
});

test("does not hang on a FIFO without reader", () => {
  const fifo = join(dir, "fifo");
  expect(Bun.spawnSync(["mkfifo", fifo]).exitCode).toBe(0);
  expect(() => log.begin({ stdout: fifo }, () => {})).toThrow("ENXIO");
});

test("without paths, to the stderr of the server", () => {
  const script = `
    import { log } from ${JSON.stringify(join(import.meta.dir, "../../src/encoders/log.ts"))};
    const encoding = log.begin({}, () => {});
    await encoding.stdout(new TextEncoder().encode("out\\n"));
    await encoding.stderr(new TextEncoder().encode("err\\n"));
    await encoding.end();
  `;
  const { stdout, stderr } = Bun.spawnSync([process.execPath, "-e", script]);
  expect([stdout.toString(), stderr.toString()]).toEqual(["", "out\nerr\n"]);
});

test("a full disk is told once and does not stop the task", () => {
  const script = `
    import { log } from ${JSON.stringify(join(import.meta.dir, "../../src/encoders/log.ts"))};
    const encoding = log.begin({ stdout: "/dev/full" }, () => {});
    await encoding.stdout(new TextEncoder().encode("out\\n"));
    await encoding.stdout(new TextEncoder().encode("out\\n"));
    console.log(JSON.stringify(await encoding.end()));
  `;
  const { stdout, stderr } = Bun.spawnSync([process.execPath, "-e", script]);
  expect(stdout.toString()).toBe("{}\n");
  expect(stderr.toString().match(/cannot write \/dev\/full.*ENOSPC/g)?.length).toBe(1);
});

function readdirCount(path: string): number {
  return [...new Bun.Glob("*").scanSync({ cwd: path, onlyFiles: false })].length;
}
