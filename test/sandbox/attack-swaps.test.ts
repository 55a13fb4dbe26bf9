/** Attacks in time: the source of a mount is swapped for a symbolic link while launches are under way. */
import { describe, expect, test } from "bun:test";
import { lstatSync, mkdirSync, renameSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { PATIENCE, shell, users } from "../served.ts";
import { serving } from "../serving.ts";
import { acls, serveSandboxes, withMounts } from "./attack.ts";
import { attackersIn, file, SECRET } from "./hostile.ts";

/** An emulated machine takes a second for each; in CI there is time. */
const LAUNCHES = PATIENCE > 1 ? 60 : process.env["CI"] === undefined ? 120 : 300;
const own = attackersIn("attack-swaps");
const swapped = own("swapped");
const secret = own("secret");
mkdirSync(join(swapped, "real/sub"), { recursive: true });
mkdirSync(join(secret, "sub"));
for (const path of ["real/f", "real/sub/f"]) file(join(swapped, path), "meant");
for (const path of ["f", "sub/f"]) file(join(secret, path), SECRET);
symlinkSync(secret, join(swapped, "other"));
file(join(swapped, "file"), "meant");
symlinkSync(join(secret, "f"), join(swapped, "otherfile"));

const config = [
  {
    uid: "swap",
    acls,
    namespace: withMounts(
      { target: "/data", source: join(swapped, "real") },
      { target: "/sub", source: join(swapped, "real/sub"), mode: "rw" },
    ),
    commands: shell,
  },
  {
    uid: "swapfile",
    acls,
    namespace: withMounts({ target: "/data/f", source: join(swapped, "file") }),
    commands: shell,
  },
];

/** Exchanges two names as fast as it can, until it is killed. */
async function swapper(...pairs: [string, string][]) {
  const script = `
import ctypes, sys
libc = ctypes.CDLL(None)
pairs = [(a.encode(), b.encode()) for a, b in zip(sys.argv[1::2], sys.argv[2::2])]
for a, b in pairs: assert libc.renameat2(-100, a, -100, b, 2) == 0
print("swapping", flush=True)
while True:
    for a, b in pairs: libc.renameat2(-100, a, -100, b, 2)`;
  const child = Bun.spawn(["/usr/bin/python3", "-IS", "-c", script, ...pairs.flat()], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  await child.stdout.getReader().read();
  return {
    async [Symbol.asyncDispose]() {
      child.kill("SIGKILL");
      await child.exited;
      for (const [name, other] of pairs) {
        if (!lstatSync(name).isSymbolicLink()) continue;
        renameSync(name, `${name}.link`);
        renameSync(other, name);
        renameSync(`${name}.link`, other);
      }
    },
  };
}

describe.each(users)("served by %s", (user) => {
  const served = serving(() => serveSandboxes(config, { user }));

  test.each([
    ["directory", "swap", "cat /data/f /data/sub/f /sub/f", ["meant", "meant", "meant"]],
    ["file", "swapfile", "cat /data/f", ["meant"]],
  ])(
    "[mounts] a source that is swapped for a symbolic link during the launch never shows the host: %s",
    async (_, sandbox, script, meant) => {
      await using _swapper = await swapper(
        [join(swapped, "real"), join(swapped, "other")],
        [join(swapped, "file"), join(swapped, "otherfile")],
      );
      let refused = 0;
      for (let done = 0; done < LAUNCHES; done += 10) {
        const replies = await Promise.all(
          Array.from({ length: 10 }, () => served.call(`a/${sandbox}/sh`, { script })),
        );
        for (const { request, response } of replies) {
          if (request.status === "success") expect(response).toMatchObject({ stdout: meant });
          else {
            refused++;
            expect(request.info).toMatch(/E(LOOP|NOENT)/);
          }
        }
      }
      console.log(`${user}: ${LAUNCHES} launches under a swap, ${refused} refused`);
      // Else the swap has raced with nothing.
      expect(refused).toBeGreaterThan(0);
    },
    60_000 * PATIENCE,
  );
});
