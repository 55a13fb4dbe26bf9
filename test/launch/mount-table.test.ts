/** Whether the table of mounts has changed. */
import { expect, test } from "bun:test";
import { join } from "node:path";
import { isRoot } from "../accounts.ts";
import { mountTable } from "../../src/launch/mount-table.ts";

test("as long as nothing is mounted it is the same", () => {
  const table = mountTable();
  expect(table?.changes).toBeGreaterThan(0);
  expect(mountTable()).toBe(table);
});

/** With a mount that is new, and no descriptor left to see it with. */
const SCARCE = `
const { mountTable } = await import(${JSON.stringify(join(import.meta.dir, "../../src/launch/mount-table.ts"))});
const { closeSync, openSync } = await import("node:fs");
const first = mountTable();
Bun.spawnSync(["mount", "-t", "tmpfs", "none", "/tmp"]);
const opened = [];
try { for (;;) opened.push(openSync("/dev/null", "r")); } catch {}
const scarce = mountTable();
for (const fd of opened) closeSync(fd);
const later = mountTable();
console.log(scarce, later.changes - first.changes, later.isLocal);`;

test.if(isRoot)("what could not be looked at is not what it was", () => {
  const command = [
    "unshare",
    "--mount",
    "prlimit",
    "--nofile=64:64",
    process.execPath,
    "-e",
    SCARCE,
  ];
  const { stdout, stderr } = Bun.spawnSync(command);
  expect(stdout.toString() || stderr.toString()).toBe("undefined 1 false\n");
});
