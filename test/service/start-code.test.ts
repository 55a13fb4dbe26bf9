/** What the start has mapped of the program is unmapped, and nothing else is. */
import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { codeIn } from "../../src/service/start-code.ts";
import { serve, shell, until, users } from "../served.ts";

const PROGRAM = "/usr/bin/a program";

/** One mapping, as proc_pid_smaps(5) has it. */
const mapping = (range: string, rights: string, name: string, anonymous = 0, swap = 0): string =>
  [
    `${range} ${rights} 01838000 fe:00 2154567                            ${name}`,
    "Size:              79924 kB",
    "Rss:               35188 kB",
    `Anonymous:        ${String(anonymous).padStart(6)} kB`,
    "AnonHugePages:         0 kB",
    `Swap:             ${String(swap).padStart(6)} kB`,
    `SwapPss:          ${String(swap).padStart(6)} kB`,
    "VmFlags: rd ex mr mw me",
    "",
  ].join("\n");

test("only the program's own code to which nobody has written", () => {
  const smaps = [
    mapping("00200000-01a39000", "r--p", PROGRAM),
    mapping("01a40000-0684a000", "r-xp", PROGRAM),
    mapping("06867000-074a2000", "rw-p", PROGRAM),
    mapping("07500000-07600000", "r-xp", PROGRAM, 4),
    mapping("07600000-07680000", "r-xp", PROGRAM, 10),
    mapping("07680000-07700000", "r-xp", PROGRAM, 0, 4),
    mapping("07700000-07800000", "rwxp", PROGRAM),
    mapping("07800000-07900000", "r-xs", PROGRAM),
    mapping("7fae00000000-7fae00001000", "r-xp", `${PROGRAM} (deleted)`),
    mapping("7faf00000000-7faf00001000", "r-xp", "/usr/lib/libc.so.6"),
    mapping("7fb000000000-7fb000001000", "r-xp", PROGRAM),
    "7fffc0000000-7fffc0002000 r-xp 00000000 00:00 0                          [vdso]\n",
  ].join("");
  expect(codeIn(smaps, PROGRAM)).toEqual([
    { from: 0x01a40000n, to: 0x0684a000n },
    { from: 0x7fb000000000n, to: 0x7fb000001000n },
  ]);
  expect(codeIn(smaps, `${PROGRAM} (deleted)`)).toEqual([
    { from: 0x7fae00000000n, to: 0x7fae00001000n },
  ]);
  expect(codeIn("", PROGRAM)).toEqual([]);
});

for (const user of users) {
  // To an ordinary user others are out of reach.
  const nobody = user === "root" ? { acls: { user: "65534", group: "65534" } } : {};
  test(`${user}: a server at rest has much less mapped than its start needed`, async () => {
    const sandboxes = [{ uid: "s", ...nobody, commands: [shell] }];
    await using served = await serve({ metadata: { uid: "box", api: "box" }, sandboxes }, { user });
    const status = () => readFileSync(`/proc/${served.pid}/status`, "utf8");
    const mib = (field: string) =>
      Number(new RegExp(`^${field}:\\s+(\\d+) kB$`, "m").exec(status())?.[1]) / 1024;
    await until("12 MiB less than once", () => mib("VmRSS") < mib("VmHWM") - 12);
    // It goes on as before.
    const ran = await served.run("box/sh", { script: "echo hi" });
    expect(ran.stdout).toEqual(["hi"]);
  });
}
