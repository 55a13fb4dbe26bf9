/** The features beyond the contract, each looked at from inside: as root and as an ordinary user. */
import { afterAll, describe, expect, test } from "bun:test";
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { landlockAbi } from "../../ffi/landlock.ts";
import { copyOfSamples } from "../samples.ts";
import { DAEMON } from "../accounts.ts";
import { canGive, give } from "../file-capabilities.ts";
import { PATIENCE, serve, shell, system, until, users } from "../served.ts";
import { serving } from "../serving.ts";

const acls = { user: "daemon" };
const full = { shares: { all: "disable" }, mounts: system };
const python = {
  uid: "py",
  encoder: "sync",
  exec: { cmdpath: "/usr/bin/python3", args: ["-c", "%script%"] },
};
const dir = mkdtempSync(join(tmpdir(), "spawnbox-features-"));
const secret = join(dir, "secret");
const open = join(dir, "open");
writeFileSync(secret, "secret\n", { mode: 0o644 });
writeFileSync(open, "open\n", { mode: 0o644 });
Bun.spawnSync(["chmod", "755", dir]);
afterAll(() => rmSync(dir, { recursive: true }));

const withMounts = (...mounts: object[]) => ({
  shares: { all: "disable" },
  mounts: [...system, ...mounts],
});
const config = {
  metadata: { uid: "f", api: "f" },
  sandboxes: [
    { uid: "full", acls, namespace: full, commands: [shell, python] },
    { uid: "caps", acls, caps: { cap: "NET_RAW" }, namespace: full, commands: [shell, python] },
    {
      uid: "files",
      acls,
      namespace: withMounts(
        {
          target: "/made/here",
          mode: "execfd",
          source: "echo made; head -c 3000 /dev/zero | tr '\\0' x",
        },
        { target: "/usr/bin/false", mode: "execfd", source: "echo covered" },
        { target: "/tight", mode: "tmpfs", size: "8K", perm: "0777" },
        { target: "/noexec", mode: "tmpfs", exec: false },
        { target: "/sys", mode: "sys" },
        { target: "/mqueue", mode: "mqueue" },
        { target: "/own", mode: "dir" },
        { target: "/locked", source: open, mode: "ro" },
        { target: "/locked", mode: "lock" },
      ),
      commands: [shell],
    },
    ...(landlockAbi() > 0
      ? [
          {
            uid: "landlock",
            acls,
            landlock: {
              exec: ["/usr", "/bin", "/lib", "/lib64"],
              ro: ["/etc", open],
              rw: ["/dev/null", "/proc"],
            },
            commands: [shell],
          },
        ]
      : []),
    {
      uid: "named",
      acls,
      namespace: { opts: { hostname: "boxed" }, shares: { uts: "disable" } },
      commands: shell,
    },
  ],
};

describe.each(users)("served by %s", (user) => {
  const served = serving(() => serve(config, { user }));
  const script = async (sandbox: string, text: string, verb = "sh") => {
    const {
      stdout = [],
      stderr = [],
      status,
    } = await served.run(`f/${sandbox}/${verb}`, { script: text });
    return { lines: stdout, errors: stderr, status };
  };

  test.each(["full", "caps"])("securebits of %s are set and locked", async (sandbox) => {
    const PR_GET_SECUREBITS = 27;
    const { lines } = await script(
      sandbox,
      `import ctypes; print(hex(ctypes.CDLL(None).prctl(${PR_GET_SECUREBITS})))`,
      "py",
    );
    expect(lines).toEqual(["0xcb"]);
  });

  test("no user namespace can be made inside a user namespace", async () => {
    const { lines, status } = await script("full", "unshare -U true || echo refused");
    expect({ lines, status }).toMatchObject({ lines: ["refused"], status: { exit: 0 } });
  });

  test("of /proc, only its own processes show, secrets are empty and settings cannot be written", async () => {
    const { lines } = await script(
      "full",
      "cd /proc; echo [0-9]*; for f in kallsyms timer_list keys; do [ -e $f ] && cat $f; done; for f in sys/kernel/core_pattern sys/vm/drop_caches; do (echo 1 > $f) 2>/dev/null && echo wrote $f; done; [ -e sysrq-trigger ] && [ $(stat -c %t:%T sysrq-trigger) != 1:3 ] && echo sysrq-trigger is not the null device; grep -c . meminfo > /dev/null && echo readable",
    );
    // The shell; the init is hidden.
    expect(lines).toEqual(["2", "readable"]);
  });

  test("execfd files have the output of the command of boot, over a read-only file too", async () => {
    const { lines } = await script(
      "files",
      "head -1 /made/here; wc -c < /made/here; cat /usr/bin/false; (echo x > /made/here) 2>/dev/null || echo read-only",
    );
    expect(lines).toEqual(["made", "3005", "covered", "read-only"]);
  });

  test("fifty launches at once see the same execfd bytes", async () => {
    // A start waits for 30 s at most, in which an emulated machine may not come to it: then it is asked for again, as it is told.
    const sum = async (): Promise<Awaited<ReturnType<typeof script>>> => {
      try {
        return await script("files", "cksum < /made/here");
      } catch (error) {
        if (PATIENCE === 1 || !String(error).includes('"busy"')) throw error;
        return sum();
      }
    };
    const sums = await Promise.all(Array.from({ length: 50 }, sum));
    expect(new Set(sums.map(({ lines }) => lines.join())).size).toBe(1);
  });

  test("tmpfs has its size and mode, and may be noexec", async () => {
    const { lines, errors } = await script(
      "files",
      "stat -c %a /tight; head -c 100000 /dev/zero > /tight/f; stat -c %s /tight/f; cp /bin/true /noexec/; /noexec/true || echo no exec",
    );
    expect(lines).toEqual(["777", "8192", "no exec"]);
    expect(errors.join()).toContain("No space left");
  });

  test("sysfs is read-only and shows the private network only; mqueue and dir are there", async () => {
    const { lines } = await script(
      "files",
      "echo /sys/class/net/*; (echo 1 > /sys/kernel/uevent_seqnum) 2>/dev/null || echo read-only; stat -f -c %T /mqueue; echo x > /own/f && echo own",
    );
    expect(lines).toEqual(["/sys/class/net/lo", "read-only", "mqueue", "own"]);
  });

  test("a locked file is locked while the sandbox lives, and no longer", async () => {
    const probe = [
      "/usr/bin/python3",
      "-c",
      // Asked for, and not taken: that would be in the way of the sandbox.
      `import fcntl, struct\nf=open(${JSON.stringify(open)},"r+")\nwanted=struct.pack("hhqqi",fcntl.F_WRLCK,0,0,0,0)\nfound=struct.unpack("hhqqi",fcntl.fcntl(f,fcntl.F_GETLK,wanted))\nprint("free" if found[0]==fcntl.F_UNLCK else "locked")`,
    ];
    const running = served.call("f/files/sh", { script: "echo; sleep 1000" });
    const held = () => Bun.spawnSync(probe).stdout.toString().trim();
    await until("it is locked", () => held() === "locked");
    // The lock is there before the command is, of which the server may not know yet.
    let isOver = false;
    void running.finally(() => (isOver = true));
    await until("it is stopped", async () => {
      await served.call("f/files/sh", { action: "stop" }).catch(() => undefined);
      return isOver;
    });
    await running;
    expect(held()).toBe("free");
  });

  test.skipIf(landlockAbi() < 1)(
    "landlock denies what is not listed, without any namespace",
    async () => {
      const { lines } = await script(
        "landlock",
        `cat ${open}; cat ${secret} 2>/dev/null || echo denied; ls / 2>/dev/null || echo denied; (echo x > ${dir}/new) 2>/dev/null || echo denied; echo > /dev/null && head -c 4 /etc/passwd | wc -c`,
      );
      expect(lines).toEqual(["open", "denied", "denied", "denied", "4"]);
    },
  );

  test("a host name is the sandbox's own, and the machine keeps its", async () => {
    const before = hostname();
    const { lines } = await script("named", "uname -n; cat /proc/sys/kernel/hostname");
    expect(lines).toEqual(["boxed", "boxed"]);
    expect(hostname()).toBe(before);
    expect(before).not.toBe("boxed");
  });

  test("with verbose, the reply has the plan in words", async () => {
    const args = { script: "true" };
    const reply = async (query: object) =>
      (await served.call("f/full/sh", query)).response as { plan?: string[] };
    expect((await reply({ args, verbose: 1 })).plan?.join("\n")).toContain('execute "/bin/sh"');
    expect((await reply({ args })).plan).toBeUndefined();
  });
});

describe.if(users.includes("root"))("root only", () => {
  test("a named network namespace is joined, and its absence refuses the launch", async () => {
    const name = `spawnbox-${process.pid}`;
    const config = {
      metadata: { uid: "n", api: "n" },
      sandboxes: [
        {
          uid: "vpn",
          acls,
          namespace: { shares: { net: `name:${name}` } },
          commands: { ...shell },
        },
      ],
    };
    await using served = await serve(config, { user: "root" });
    const refused = await served.call("n/sh", { script: "true" });
    expect(refused.request.info).toContain(`join net /run/netns/${name}: ENOENT`);
    expect(Bun.spawnSync(["ip", "netns", "add", name]).exitCode).toBe(0);
    try {
      Bun.spawnSync(["ip", "-n", name, "link", "add", "sbx0", "type", "dummy"]);
      const { stdout } = await served.run("n/sh", {
        script: "tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d ' ' | sort",
      });
      expect(stdout).toContain("lo");
      expect(stdout).not.toContain("eth0");
      const inode = Bun.spawnSync(["stat", "-Lc", "%i", `/run/netns/${name}`])
        .stdout.toString()
        .trim();
      expect((await served.run("n/sh", { script: "readlink /proc/self/ns/net" })).stdout).toEqual([
        `net:[${inode}]`,
      ]);
    } finally {
      Bun.spawnSync(["ip", "netns", "del", name]);
    }
    expect(existsSync(`/run/netns/${name}`)).toBe(false);
  });

  test("newPrivs lets a set-user-id program raise privileges; without it, it cannot", async () => {
    const one = (uid: string, more: object) => ({
      uid,
      acls: { ...acls, ...more },
      commands: { ...shell },
    });
    // id(1) as a set-user-id program of root tells its effective uid.
    const script = `/usr/bin/python3 - <<'E'\nimport os\nos.execv("${join(dir, "suid")}", ["suid", "-u"])\nE`;
    Bun.spawnSync(["cp", "/usr/bin/id", join(dir, "suid")]);
    Bun.spawnSync(["chmod", "4755", join(dir, "suid")]);
    await using served = await serve(
      {
        metadata: { uid: "p", api: "p" },
        sandboxes: [one("with", { newPrivs: true }), one("without", {})],
      },
      { user: "root" },
    );
    expect((await served.run("p/without/sh", { script })).stdout).toEqual([`${DAEMON}`]);
    expect((await served.run("p/with/sh", { script })).stdout).toEqual(["0"]);
  });

  test.if(canGive)(
    "with it programs gain the capabilities that their files give, within caps where that is there",
    async () => {
      const capable = join(dir, "capable");
      const suid = join(dir, "suid-grep");
      for (const copy of [capable, suid]) Bun.spawnSync(["cp", "/usr/bin/grep", copy]);
      chmodSync(suid, 0o4755);
      chmodSync(capable, 0o755);
      give(capable, "cap_net_raw+ep");
      const script = `for program in ${capable} ${suid}; do $program CapEff /proc/self/status || echo $?; done`;
      const one = (uid: string, more: object) => ({
        ...{ uid, acls: { ...acls, newPrivs: true }, commands: shell },
        ...more,
      });
      await using served = await serve(
        {
          metadata: { uid: "g", api: "g" },
          sandboxes: [
            one("free", {}),
            one("none", { caps: [] }),
            one("some", { caps: "NET_RAW" }),
            one("shut", { acls }),
          ],
        },
        { user: "root" },
      );
      const gained = async (sandbox: string) => {
        const { stdout = [] } = await served.run(`g/${sandbox}/sh`, { script });
        return stdout.map((line) => line.replace(/^CapEff:\t0*/, ""));
      };
      const held = /CapBnd:\t0*(\w+)/.exec(readFileSync("/proc/self/status", "utf8"))?.[1];
      expect(await gained("free")).toEqual(["2000", held ?? "?"]);
      // What the kernel refuses to execute a shell tells as 126.
      expect(await gained("none")).toEqual(["126", ""]);
      expect(await gained("some")).toEqual(["2000", ""]);
      expect(await gained("shut")).toEqual(["126", ""]);
    },
  );

  test("kernels before 5.12, without mount_setattr: the same mounts are as restricted", async () => {
    // A spawnbox inside a sandbox of spawnbox whose filter plays the old kernel.
    const program = join(import.meta.dir, "../../dist/spawnbox");
    const samples = copyOfSamples();
    const query = JSON.stringify({
      script:
        "for f in /usr/x /dev/x /z /proc/sys/kernel/hostname; do (echo > $f) 2>/dev/null && echo wrote $f; done; echo x > /tmp/x && echo ok",
    });
    const args = ["run", "--raw", "demo/box/shell", query, "--config", join(samples, "demo.json")];
    const old = {
      uid: "old",
      acls: { user: "root" },
      seccomp: {
        default: "SCMP_ACT_ALLOW",
        rules: { syscall: "mount_setattr", action: "SCMP_ACT_ERRNO(ENOSYS)" },
      },
      commands: {
        uid: "nest",
        encoder: "sync",
        exec: { cmdpath: program, args: args.map((arg) => arg.replaceAll("$", "$$$$")) },
      },
    };
    await using served = await serve(
      { metadata: { uid: "o", api: "o" }, sandboxes: old },
      { user: "root" },
    );
    const { stdout = [] } = await served.run("o/nest");
    rmSync(samples, { recursive: true });
    const reply = JSON.parse(
      stdout
        .map((line) => line.replace(/\\$/, ""))
        .slice(1)
        .join(""),
    ) as { response: { stdout: string[] } };
    expect(reply.response.stdout).toEqual(["ok"]);
  });
});
