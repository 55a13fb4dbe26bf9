import { afterAll, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { outputOf } from "../../src/plan/output.ts";
import { isAlive, until } from "../served.ts";

const dir = mkdtempSync(join(tmpdir(), "spawnbox-output-"));
afterAll(() => rmSync(dir, { recursive: true }));
const HANG_GUARD = 60_000;

test("is what the command prints; a failure tells what it said", () => {
  expect(Buffer.from(outputOf("printf 'a\\0b'", HANG_GUARD)).toString()).toBe("a\0b");
  expect(() => outputOf("echo no >&2; exit 3", HANG_GUARD)).toThrow("exit code 3: no");
  expect(() => outputOf("exit 3", HANG_GUARD)).toThrow(/^exit 3: exit code 3$/);
  expect(() => outputOf("kill -9 $$", HANG_GUARD)).toThrow(/^kill -9 \$\$: ended by SIGKILL$/);
});

test("a command that takes too long ends with what it has started", async () => {
  const file = join(dir, "pid");
  // How soon it has come so far depends on the machine.
  for (let limit = 500; !existsSync(file); limit *= 2) {
    const command = `sleep 1000 & echo $! > ${file}.new; mv ${file}.new ${file}; wait`;
    expect(() => outputOf(command, limit)).toThrow(`killed after ${limit / 1000} s`);
  }
  const pid = Number(readFileSync(file, "utf8"));
  expect(pid).toBeGreaterThan(1);
  await until("the grandchild is gone", async () => !(await isAlive(pid)));
});

test("what a command leaves behind ends with it", async () => {
  const left = outputOf("sleep 1000 >/dev/null 2>&1 & echo $!", HANG_GUARD);
  const pid = Number(Buffer.from(left).toString());
  expect(pid).toBeGreaterThan(1);
  await until("it is gone", async () => !(await isAlive(pid)));
});
