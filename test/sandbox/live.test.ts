/** The machine changes while the server runs: what a sandbox sees is what is there at the request, also through links. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { DAEMON, ORDINARY } from "../accounts.ts";
import { type Served, shell, system, until, type User, users } from "../served.ts";
import { acls, canLookInside, full, scoped, serveSandboxes, sh, waitingOf } from "./attack.ts";

const POOL = 2;
const NETWORK = ["resolv.conf", "hosts", "localtime", "passwd"].map((name) => `/etc/${name}`);

/** An /etc and a /run of its own, before the network and the clock are there; the rest of the test's places. */
const BOOT = `
set -e
mount -t tmpfs -o mode=755 none /mnt
mkdir /mnt/etc /mnt/app /mnt/app/1 /mnt/app/2 /mnt/data /mnt/data/1 /mnt/data/2 /mnt/own
cp -a /etc/. /mnt/etc
mount --bind /mnt/etc /etc
mount -t tmpfs -o mode=755 none /run
rm -f /etc/resolv.conf /etc/localtime
ln -s ../run/resolve/stub.conf /etc/resolv.conf
for i in 1 2; do echo app $i > /mnt/app/$i/file; echo data $i > /mnt/data/$i/file; done
ln -s 1 /mnt/app/current
ln -s 1 /mnt/data/current
ln -s /mnt/app/1 /mnt/own/current
chown -h ${ORDINARY}:${ORDINARY} /mnt/own /mnt/own/current
exec "$@"`;

/** Not root's, from its first moment. */
const foreign =
  "ln -s 1 /mnt/app/new; chown -h 1 /mnt/app/new; mv -T /mnt/app/new /mnt/app/current";

const places = ["/mnt/app/current", "/mnt/data/current"];
const mounts = [
  ...system,
  ...NETWORK.map((target) => ({ target, mode: "ro", optional: true })),
  ...places.map((source) => ({ target: source.slice("/mnt".length), source, mode: "ro" })),
];

function sandboxesFor(user: User, pool: number): object[] {
  const namespace = { ...full, mounts };
  const writes = [...system, { target: "/data", source: "/mnt/data", mode: "rw" }];
  const root = { user: "root", chdir: "/" };
  return [
    { uid: "live", acls, namespace, pool, commands: [shell] },
    { uid: "profile", profile: "network", pool, commands: [shell] },
    ...(user === "root"
      ? [{ uid: "writer", acls: root, namespace: { ...full, mounts: writes }, commands: [shell] }]
      : [
          {
            uid: "own",
            namespace: {
              ...full,
              mounts: [...system, { target: "/own", source: "/mnt/own/current", mode: "ro" }],
            },
            pool,
            commands: [shell],
          },
        ]),
  ];
}

const kinds = users.flatMap((user) => [0, POOL].map((pool) => [user, pool] as const));

describe.skipIf(!canLookInside).each(kinds)("served by %s, %i warm", (user, pool) => {
  let served: Served;
  const first = ["unshare", "--mount", "sh", "-c", BOOT, "sh"];
  const inServer = (script: string) => {
    const args = ["nsenter", "--target", `${served.pid}`, "--mount", "sh", "-ec", script];
    expect(Bun.spawnSync(args).stderr.toString()).toBe("");
  };
  /** Requests get what waits, where there is any. */
  const ready = () => until("sandboxes wait", () => waitingOf(served.pid).length >= pool);
  const says = async (sandbox: string, script: string) => {
    await ready();
    return (await sh(served, sandbox, `${script} 2>/dev/null || echo none`)).lines;
  };
  const refusal = async (sandbox: string) =>
    (await served.call(`a/${sandbox}/sh`, { script: "true" })).request.info;
  beforeAll(async () => {
    served = await serveSandboxes(sandboxesFor(user, pool), { user, first });
  });
  afterAll(() => served?.[Symbol.asyncDispose]());

  test.each(["live", "profile"])(
    "%s: what comes after the start is there, wherever the link to it leads",
    async (sandbox) => {
      const resolver = () => says(sandbox, "cat /etc/resolv.conf");
      expect(await resolver()).toEqual(["none"]);
      inServer("mkdir -p /run/resolve; echo first > /run/resolve/stub.conf");
      expect(await resolver()).toEqual(["first"]);
      expect(await resolver()).toEqual(["first"]);
      inServer("mkdir -p /run/nm; echo second > /run/nm/r; ln -sfn ../run/nm/r /etc/resolv.conf");
      inServer("rm /run/resolve/stub.conf");
      expect(await resolver()).toEqual(["second"]);
      inServer("echo third > /run/nm/new; mv /run/nm/new /run/nm/r");
      expect(await resolver()).toEqual(["third"]);
      inServer("rm /etc/resolv.conf; echo fourth > /etc/resolv.conf");
      expect(await resolver()).toEqual(["fourth"]);
      inServer("rm -r /run/nm; ln -sf ../run/resolve/stub.conf /etc/resolv.conf");
      expect(await resolver()).toEqual(["none"]);
    },
  );

  test("a file in the place of the null device is no command's stdin", async () => {
    expect(await says("live", "cat")).toEqual([]);
    inServer("echo of another > /mnt/null; chmod 666 /mnt/null; mount --bind /mnt/null /dev/null");
    expect(await refusal("live")).toContain(
      "spawn /dev/null: ENODEV: that has to be the null device, for everybody",
    );
    inServer("umount /dev/null");
    expect(await says("live", "cat")).toEqual([]);
  });

  test("profile: time zone, hosts and users are those of now", async () => {
    const zone = () => says("profile", "readlink -f /etc/localtime && cat /etc/localtime");
    expect(await zone()).toEqual(["/etc/localtime", "none"]);
    inServer("mkdir -p /run/z; echo east > /run/z/1; ln -s /run/z/1 /etc/localtime");
    expect(await zone()).toEqual(["/etc/localtime", "east"]);
    inServer("echo west > /run/z/2; ln -sfn /run/z/2 /etc/localtime");
    expect(await zone()).toEqual(["/etc/localtime", "west"]);
    inServer("sed '$a new:x:4711:4711::/:/bin/sh' /etc/passwd > /etc/p; mv /etc/p /etc/passwd");
    inServer("echo 192.0.2.7 new > /etc/h; mv /etc/h /etc/hosts");
    expect(await says("profile", "tail -n 1 /etc/passwd && cat /etc/hosts")).toEqual([
      "new:x:4711:4711::/:/bin/sh",
      "192.0.2.7 new",
    ]);
  });

  test("a link that root exchanges is followed; one that others can change is not, and the request says which", async () => {
    const app = () => says("live", "cat /app/current/file");
    expect(await app()).toEqual(["app 1"]);
    inServer("ln -sfn 2 /mnt/app/current");
    expect(await app()).toEqual(["app 2"]);
    // Warm ones made before have what is there as long as it is the same: so it is another, too.
    const other = "ln -sfn 1 /mnt/app/current";
    const refused = async (change: string, back: string, link = "/mnt/app/current") => {
      inServer(change);
      const info = await refusal("live");
      expect(info).toContain(`bind ${link}: ELOOP`);
      expect(info).toContain("others than root can change");
      inServer(`${back}; ln -sfn 2 /mnt/app/current`);
      expect(await app()).toEqual(["app 2"]);
    };
    await refused(foreign, "chown -h 0 /mnt/app/current");
    await refused(`chmod o+w /mnt/app; ${other}`, "chmod o-w /mnt/app");
    await refused(`chmod 1777 /mnt/app; ${other}`, "chmod 755 /mnt/app");
    await refused(`chown 1 /mnt/app; ${other}`, "chown 0 /mnt/app");
    await refused(`chgrp 1 /mnt/app; chmod g+w /mnt/app; ${other}`, "chgrp 0 /mnt/app");
    // A link of root's, which leads through one of another.
    const far = "ln -sfn /mnt/own/current /mnt/app/current";
    await refused(far, "true", "/mnt/own/current");
    // Directories need not be root's where there is no link.
    inServer("rm /mnt/app/current; mkdir /mnt/app/current; echo dir > /mnt/app/current/file");
    inServer("chown 1 /mnt/app");
    expect(await app()).toEqual(["dir"]);
    inServer("chown 0 /mnt/app; mv /mnt/app/current /mnt/app/old; ln -s 2 /mnt/app/current");
    expect(await app()).toEqual(["app 2"]);
    inServer("rm /mnt/app/current");
    expect(await refusal("live")).toContain("bind /mnt/app/current: ENOENT");
    inServer("ln -s current /mnt/app/current");
    expect(await refusal("live")).toContain("bind /mnt/app/current: ELOOP");
    inServer("ln -sfn 2 /mnt/app/current");
    expect(await app()).toEqual(["app 2"]);
  });

  test.skipIf(user !== "root")(
    "a link where a confined command can write as root is followed at the start only, which is told",
    async () => {
      const info = JSON.stringify((await served.call("a/info")).response);
      expect(info).toContain("source /mnt/data/current goes through the link /mnt/data/current");
      const data = () => says("live", "cat /data/current/file");
      expect(await data()).toEqual(["data 1"]);
      await sh(served, "writer", "ln -sfn 2 /data/current");
      expect(await data()).toEqual(["data 1"]);
      // Nor when root's own link leads there later.
      inServer("ln -sfn /mnt/data/current /mnt/app/current");
      expect(await refusal("live")).toContain("bind /mnt/data/current: ELOOP");
      inServer("ln -sfn 2 /mnt/app/current");
    },
  );

  test.skipIf(user === "root")(
    "a link of the server's own user is followed at the start only, which is told",
    async () => {
      const info = JSON.stringify((await served.call("a/info")).response);
      expect(info).toContain("source /mnt/own/current goes through the link /mnt/own/current");
      inServer(`ln -sfn /mnt/app/2 /mnt/own/current; chown -h ${ORDINARY} /mnt/own/current`);
      expect(await says("own", "cat /own/file")).toEqual(["app 1"]);
      inServer("mv /mnt/app/1 /mnt/app/gone; ln -s 2 /mnt/app/1");
      expect(await refusal("own")).toContain("bind /mnt/app/1: ELOOP");
      inServer("rm /mnt/app/1; mv /mnt/app/gone /mnt/app/1");
      expect(await says("own", "cat /own/file")).toEqual(["app 1"]);
    },
  );

  test.skipIf(user !== "root")(
    "a user that was given another number is told, until a reload takes it",
    async () => {
      const told = async () => JSON.stringify((await served.call("a/info")).response);
      expect(await told()).not.toContain("daemon is");
      inServer(
        `sed 's/^daemon:x:${DAEMON}:/daemon:x:4712:/' /etc/passwd > /etc/p; mv /etc/p /etc/passwd`,
      );
      expect(await told()).toContain(
        `the user daemon is uid 4712, gid ${DAEMON} now; commands still run as uid ${DAEMON}`,
      );
      expect(await says("live", "id -u")).toEqual([`${DAEMON}`]);
      inServer("sed '/^daemon:/d' /etc/passwd > /etc/p; mv /etc/p /etc/passwd");
      expect(await told()).toContain("the user daemon is not in /etc/passwd any more");
      inServer(
        "cp /mnt/etc/passwd /etc/p; echo daemon:x:4712:1:::/bin/sh >> /etc/p; mv /etc/p /etc/passwd",
      );
      process.kill(served.pid, "SIGHUP");
      await until("it was reloaded", async () => !(await told()).includes("the user daemon"));
      expect(await says("live", "id -u")).toEqual(["4712"]);
    },
  );
});

describe.skipIf(!canLookInside || !scoped).each(kinds)(
  "Landlock, served by %s, %i warm",
  (user, pool) => {
    test("a path whose link root exchanges is that of now", async () => {
      await using served = await serveSandboxes(
        [
          {
            uid: "l",
            acls,
            landlock: {
              ro: ["/usr", "/lib", "/lib64", "/mnt/app/current", "/mnt/app/list"],
              exec: ["/usr", "/bin", "/lib", "/lib64"],
              rw: ["/dev/null"],
            },
            pool,
            commands: [shell],
          },
        ],
        {
          user,
          first: [
            "unshare",
            "--mount",
            "sh",
            "-c",
            BOOT.replace("exec", "echo a > /mnt/app/list; exec"),
            "sh",
          ],
        },
      );
      const inServer = (script: string) => {
        const args = ["nsenter", "--target", `${served.pid}`, "--mount", "sh", "-ec", script];
        expect(Bun.spawnSync(args).stderr.toString()).toBe("");
      };
      const look =
        "for i in 1 2; do cat /mnt/app/$i/file 2>/dev/null || echo none; done; cat /mnt/app/list";
      const says = async () => {
        await until("it is full", () => waitingOf(served.pid).length === pool);
        return (await sh(served, "l", look)).lines;
      };
      expect(await says()).toEqual(["app 1", "none", "a"]);
      inServer("ln -sfn 2 /mnt/app/current");
      expect(await says()).toEqual(["none", "app 2", "a"]);
      inServer("echo b > /mnt/app/new; mv /mnt/app/new /mnt/app/list");
      expect(await says()).toEqual(["none", "app 2", "b"]);
      inServer(foreign);
      const { info } = (await served.call("a/l/sh", { script: "true" })).request;
      expect(info).toContain("landlock path /mnt/app/current: ELOOP");
    });
  },
);
