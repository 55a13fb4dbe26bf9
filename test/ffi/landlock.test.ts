/** The version of Landlock, as another program is told it. */
import { expect, test } from "bun:test";
import { landlockAbi } from "../../ffi/landlock.ts";

test.skipIf(Bun.which("python3") === null)("is what landlock_create_ruleset(2) answers", () => {
  const { stdout } = Bun.spawnSync([
    ...["python3", "-c"],
    "import ctypes; print(ctypes.CDLL(None).syscall(444, None, ctypes.c_size_t(0), 1))",
  ]);
  const answer = Number(stdout.toString());
  expect(Number.isInteger(answer)).toBe(true);
  expect(landlockAbi()).toBe(Math.max(answer, 0));
});
