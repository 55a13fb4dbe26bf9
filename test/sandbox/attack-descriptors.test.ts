/** Attacks through what a command inherits: descriptors, its working directory, the launcher's own executable. */
import { describe, expect, test } from "bun:test";
import {
  chmodSync,
  closeSync,
  lchownSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readlinkSync,
  readSync,
  rmSync,
  symlinkSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PATIENCE, serve, shell, users } from "../served.ts";
import { serving } from "../serving.ts";
import { acls, api, canLookInside, commands, full, plainAndFull, py, sh } from "./attack.ts";

const FDS = [3, 4, 5, 6, 7, 8, 9, 256];
const outside = ["/var", "/root", "/proc/self/fd/3/..", "/proc/2/cwd/var"];
const config = api([
  ...plainAndFull,
  { uid: "root", acls: { user: "root" }, commands },
  { uid: "rootfull", acls: { user: "root" }, namespace: full, commands },
  ...FDS.flatMap((fd) => [
    {
      uid: `plain${fd}`,
      optional: true,
      acls: { ...acls, chdir: `/proc/self/fd/${fd}` },
      commands: shell,
    },
    {
      uid: `full${fd}`,
      optional: true,
      acls: { ...acls, chdir: `/proc/self/fd/${fd}` },
      namespace: full,
      commands: shell,
    },
  ]),
  ...outside.map((chdir, i) => ({
    uid: `outside${i}`,
    optional: true,
    acls: { ...acls, chdir },
    namespace: full,
    commands: shell,
  })),
  {
    uid: "init",
    optional: true,
    acls: { ...acls, chdir: "/proc/1/cwd" },
    namespace: full,
    commands: shell,
  },
]);

const piece = Buffer.alloc(1 << 20);
/** Piece by piece: it may be large, and this is no secret that somebody would forge. */
function hashOf(path: string): string {
  const fd = openSync(path, "r");
  try {
    let hash = 0n;
    for (let read = 1; read > 0;) {
      read = readSync(fd, piece, 0, piece.length, null);
      hash = BigInt(Bun.hash(piece.subarray(0, read), hash));
    }
    return hash.toString(16);
  } finally {
    closeSync(fd);
  }
}

/** Empty of one that is closed by now. */
function linkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return "";
  }
}

/** Hashes of the launcher and of all plans, in the memory files that the server holds, and of its executable. */
function executed(pid: number): Record<string, string> {
  const hashes: Record<string, string> = { exe: hashOf(`/proc/${pid}/exe`) };
  for (const fd of readdirSync(`/proc/${pid}/fd`)) {
    const path = `/proc/${pid}/fd/${fd}`;
    if (linkOf(path).startsWith("/memfd:spawnbox")) hashes[fd] = hashOf(path);
  }
  return hashes;
}

describe.each(users)("served by %s", (user) => {
  const served = serving(() => serve(config, { user }));

  test.each(["plain", "full", "root", "rootfull"])(
    "[file descriptors] of the first 4096, only 0 to 2 are open: %s",
    async (sandbox) => {
      const { lines } = await py(
        served,
        sandbox,
        `
import fcntl
print([fd for fd in range(4096) if attempt(fcntl.fcntl, fd, fcntl.F_GETFD) != "EBADF"])
print([attempt(os.lseek, fd, 0, 1) for fd in (1, 2)])`,
      );
      expect(lines).toEqual(["[0, 1, 2]", "['ESPIPE', 'ESPIPE']"]);
    },
  );

  test("[file descriptors] what is inherited leads to no file, socket or directory of the server", async () => {
    for (const sandbox of ["plain", "full"]) {
      const { lines } = await sh(
        served,
        sandbox,
        "for i in 0 1 2; do readlink /proc/self/fd/$i; done",
      );
      expect(lines.map((line) => line.replace(/\d+/, "N"))).toEqual([
        "/dev/null",
        "pipe:[N]",
        "pipe:[N]",
      ]);
    }
  });

  test.each(["plain", "full"])(
    "[working directory] under /proc/self/fd is refused: %s",
    async (sandbox) => {
      for (const fd of FDS) {
        const { request, response } = await served.call(`a/${sandbox}${fd}/sh`, {
          script: "pwd; ls",
        });
        expect(response).toBeUndefined();
        expect(request.info).toContain(`chdir /proc/self/fd/${fd}: E`);
      }
    },
  );

  test("[working directory] outside the new root is not entered", async () => {
    for (const [i, path] of outside.entries()) {
      const { request, response } = await served.call(`a/outside${i}/sh`, { script: "pwd; ls" });
      // A place that no mount shows is "/", which is told; one that cannot be entered ends the launch.
      if (response === undefined) expect(request.info).toContain(`chdir ${path}: E`);
      else {
        const [where, ...seen] = (response as { stdout: string[] }).stdout;
        expect(where).toBe("/");
        expect(seen).not.toContain("etc");
      }
    }
  });

  test.if(user === "root")(
    "[working directory] a link of the command's user leads nowhere that this user may not go",
    async () => {
      const dir = mkdtempSync(join(tmpdir(), "spawnbox-attack-cwd-"));
      try {
        chmodSync(dir, 0o755);
        mkdirSync(join(dir, "closed/open"), { recursive: true });
        chmodSync(join(dir, "closed"), 0o700);
        symlinkSync("closed/open", join(dir, "link"));
        lchownSync(join(dir, "link"), 1, 1);
        const sandbox = {
          uid: "cwd",
          optional: true,
          acls: { ...acls, chdir: join(dir, "link") },
          commands,
        };
        await using other = await serve(api([sandbox]), { user });
        const { request } = await other.call("a/cwd/sh", { script: "pwd" });
        expect(request.info).toContain("chdir");
        expect(request.info).toContain("EACCES");
      } finally {
        rmSync(dir, { recursive: true });
      }
    },
  );

  test("[working directory] of the namespace's init is no way out", async () => {
    const { request, response } = await served.call("a/init/sh", { script: "/usr/bin/ls ../.." });
    if (request.status !== "success") expect(request.info).toContain("chdir");
    else
      expect(response).toMatchObject({
        stdout: ["bin", "dev", "lib", "lib64", "proc", "tmp", "usr"],
      });
  });

  test.if(canLookInside).each(["plain", "full", "root", "rootfull"])(
    "[launcher] it cannot be written through /proc/self/exe or /proc/PID/exe, and its hash stays: %s",
    async (sandbox) => {
      const before = executed(served.pid);
      const { lines, errors } = await py(
        served,
        sandbox,
        `
# Programs that are files belong to who may write them: what counts is the memory files of the server, and who runs them.
mine = lambda path: "memfd:" in (attempt(os.readlink, path) or "") or path == "/proc/self/exe"
paths = ["/proc/self/exe"] + ["/proc/%s/exe" % p for p in os.listdir("/proc") if p.isdigit()]
paths += ["/proc/%s/fd/%d" % (p, fd) for p in (os.getppid(), 1, ${served.pid}) for fd in range(40)]
for path in paths:
    if not mine(path): continue
    for flags in (os.O_WRONLY, os.O_RDWR, os.O_WRONLY | os.O_APPEND):
        fd = attempt(os.open, path, flags)
        if isinstance(fd, str): continue
        for what in (lambda: os.write(fd, b"#!/bin/sh"), lambda: os.ftruncate(fd, 0), lambda: os.pwrite(fd, b"x", 1)):
            r = attempt(what)
            if not isinstance(r, str): print("wrote", path, os.readlink(path))
    if attempt(os.truncate, path, 0) is None: print("cut", path)
print("tried")`,
      );
      expect({ lines, errors }).toEqual({ lines: ["tried"], errors: [] });
      expect(executed(served.pid)).toEqual(before);
      expect(Object.keys(before).length).toBeGreaterThan(2);
    },
    // It hashes the executable twice: a guard for a busy machine.
    60_000 * PATIENCE,
  );

  test("[file descriptors] taking them from the server or the launcher by pidfd_getfd is denied", async () => {
    const sandboxes = user === "root" ? ["plain", "full"] : ["full"];
    for (const sandbox of sandboxes) {
      const { lines } = await py(
        served,
        sandbox,
        `
for pid in (${served.pid}, os.getppid(), 1):
    if call("pidfd_open", pid, 0) != "ok": continue
    fd = call.result
    for n in range(30):
        if call("pidfd_getfd", fd, n, 0) == "ok": print("took", pid, n)
print("tried")`,
      );
      expect(lines).toEqual(["tried"]);
    }
  });
});
