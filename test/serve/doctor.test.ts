/** What doctor tells is found out once for all who ask, and anew where that has failed, or was long ago. */
import { expect, spyOn, test } from "bun:test";
import { doctor } from "../../src/serve/doctor.ts";

test("is found out once for a while, and again where that failed", async () => {
  // Long ago: nothing of this is kept for who asks later.
  let now = -1e9;
  const clock = spyOn(performance, "now").mockImplementation(() => now);
  try {
    await expect(doctor(() => Promise.reject(new Error("no memory")))).rejects.toThrow("no memory");
    expect(await doctor(() => Promise.resolve("first"))).toBe("first");
    now += 10 * 60_000 - 1;
    expect(await doctor(() => Promise.resolve("second"))).toBe("first");
    now += 1;
    expect(await doctor(() => Promise.resolve("third"))).toBe("third");
  } finally {
    clock.mockRestore();
  }
});
