/** A warm command that ran is not launched anew, also where its supervisor could not tell any more that it ran. */
import { afterAll, expect, test } from "bun:test";
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isRoot, shell, until } from "../served.ts";
import { childrenOf, serveSandboxes } from "./attack.ts";

const dir = mkdtempSync(join(tmpdir(), "spawnbox-once-"));
chmodSync(dir, 0o777);
afterAll(() => rmSync(dir, { recursive: true }));

/** One processor, and a command that goes before everything else there: it kills its supervisor before that has had a turn. */
const FIRST = isRoot ? ["taskset", "--cpu-list", "0"] : [];
const acls = isRoot ? { user: "root", nice: -20 } : {};
const CALLS = 25;

test("[warm sandboxes] a command that kills its supervisor at once runs once, for each call", async () => {
  const ran = join(dir, "ran");
  writeFileSync(ran, "");
  chmodSync(ran, 0o666);
  await using served = await serveSandboxes([{ uid: "own", acls, pool: 1, commands: [shell] }], {
    first: FIRST,
  });
  const script = `kill -9 $PPID; echo x >> ${ran}`;
  let replies = 0;
  for (let i = 0; i < CALLS; i++) {
    await until("one waits", () => childrenOf(served.pid).length > 0);
    await served.call("a/own/sh", { script });
    replies++;
    // What it leaves behind is ended before the reply comes.
    const lines = existsSync(ran) ? readFileSync(ran, "utf8").length / 2 : 0;
    expect(lines).toBeLessThanOrEqual(replies);
  }
});
