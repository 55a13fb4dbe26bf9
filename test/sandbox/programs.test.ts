/** The table "What programs need" of the guide: each program does its work with the keys that stand there, where it is installed. */
import { afterAll, describe, expect, test } from "bun:test";
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { blocksOf } from "../../src/guide/markdown.ts";
import { canGive, give } from "../file-capabilities.ts";
import { isRoot, programIn } from "../served.ts";

const guide = readFileSync(join(import.meta.dir, "../../config/guide/sandboxing.md"), "utf8");
const dir = mkdtempSync(join(tmpdir(), "spawnbox-programs-"));
chmodSync(dir, 0o755);
const program = programIn(dir);
afterAll(() => rmSync(dir, { recursive: true }));

/** Keys by the first word of a row. */
const rows = blocksOf(guide).flatMap((block): [string, object][] =>
  block.kind === "table" && block.head[0] === "program"
    ? block.rows.map(([programs = "", keys = ""]) => [
        /`([\w-]+)/.exec(programs)?.[1] ?? programs,
        JSON.parse(keys.replaceAll("`", "")) as object,
      ])
    : [],
);

/** What is executed, and what of its output shows that it could. Nobody sets the clock of a machine for a test. */
const TRIES: Readonly<Record<string, readonly [command: string, shows: RegExp]>> = {
  ping: ["/usr/bin/ping -c 1 -W 5 127.0.0.1", /1 received/],
  tcpdump: ["/usr/bin/tcpdump -i lo -c 1 -n --immediate-mode", /listening on lo/],
  candump: ["/usr/bin/candump -n 1 -T 10 nocan", /No such device|Address family/],
  ip: ["/usr/sbin/ip link set lo mtu 60000", /^$/],
  "iptables-legacy": ["/usr/sbin/iptables-legacy -L -n", /Chain INPUT/],
  openvpn: ["/usr/sbin/openvpn --mktun --dev tun7", /Persist state set to: ON/],
  sysctl: ["/usr/sbin/sysctl -w net.ipv4.conf.all.src_valid_mark=1", /src_valid_mark = 1/],
  // What the kernel has to say is the machine's.
  dmesg: ["/usr/bin/dmesg --level emerg", /^(?!dmesg:)/],
  date: ["/bin/date +clock", /clock/],
  mount: ["/bin/mount -t tmpfs none /mnt", /^$/],
  chrt: ["/usr/bin/chrt -f 1 /bin/echo in-time", /in-time/],
  strace: ["/usr/bin/strace -o /dev/null /bin/echo traced", /traced/],
  lsblk: ["/usr/bin/lsblk --version", /lsblk/],
  "dbus-send": [
    "/usr/bin/dbus-send --system --print-reply --dest=org.freedesktop.DBus / org.freedesktop.DBus.GetId",
    /method return/,
  ],
  sudo: ["/usr/bin/sudo -n /usr/bin/id -u", /^0$/m],
  bwrap: ["/usr/bin/bwrap --ro-bind / / /bin/echo within", /within/],
};

/** What a try takes beside its program: in the network of its own the loopback device is down. */
const NEEDED: Readonly<Record<string, readonly string[]>> = {
  ping: ["ip"],
  tcpdump: ["ip", "ping"],
  openvpn: ["/dev/net/tun"],
  "dbus-send": ["dbus-daemon"],
};
const isThere = (what: string) =>
  what.startsWith("/") ? existsSync(what) : Bun.which(what) !== null;

/** In a network and with mounts of its own, where somebody pings, asks the bus, and may use sudo. */
const SECLUDED = `
if command -v ip >/dev/null; then ip link set lo up; fi
mount -t tmpfs none /run
mkdir /run/dbus
if [ -d /etc/sudoers.d ]; then
  mount -t tmpfs -o mode=755 none /etc/sudoers.d
  echo 'daemon ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/test
fi
if [ "$1" = dbus-send ]; then dbus-daemon --system --fork --nopidfile; fi
if [ "$1" = tcpdump ]; then ping -q -i 0.2 -c 100 127.0.0.1 >/dev/null & fi
shift
"$@"`;

test("each row is tried", () => {
  expect(rows.map(([name]) => name)).toEqual(Object.keys(TRIES));
});

/** In a place of its own, with what the program of that row talks to. */
const within = (name: string, command: readonly string[]) => [
  ...["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"],
  ...["sh", "-ec", SECLUDED, "sh", name, ...command],
];

/** Why the program of a row cannot be tried on this machine. */
function whyNot(name: string): string | undefined {
  const [command = "", shows = /^/] = TRIES[name] ?? [];
  const words = command.split(" ");
  const missing = [words[0] ?? "", ...(NEEDED[name] ?? [])].find((what) => !isThere(what));
  if (missing !== undefined) return `${missing} is not there`;
  // The kernel may lack what it needs.
  const { stdout, stderr } = Bun.spawnSync(within(name, words), { stdin: "ignore" });
  return shows.test(`${stdout}${stderr}`.trim()) ? undefined : "nor does it work without a sandbox";
}

describe.skipIf(!isRoot)("with the keys of its row", () => {
  for (const [name, keys] of isRoot ? rows : []) {
    const why = whyNot(name);
    if (why !== undefined) {
      console.error(`skipped: ${name}: ${why}`);
      test.skip(`${name}: ${why}`, () => {});
      continue;
    }
    test(name, async () => {
      const [command = "", shows = /^/] = TRIES[name] ?? [];
      const [cmdpath = "", ...args] = command.split(" ");
      const file = join(dir, `${name}.json`);
      const commands = { uid: "c", encoder: "sync", timeout: 20, exec: { cmdpath, args } };
      const sandboxes = { uid: "box", ...keys, commands };
      writeFileSync(file, JSON.stringify({ metadata: { uid: "p", api: "p" }, sandboxes }));
      const ran = Bun.spawn(within(name, [program, "run", "p/c", "--config", file]), {
        stdout: "pipe",
        stderr: "pipe",
        stdin: "ignore",
      });
      const [out, err] = await Promise.all([ran.stdout.text(), ran.stderr.text()]);
      const reply = JSON.parse(out.trim().split("\n").at(-1) || "null") as {
        response?: { stdout?: string[]; stderr?: string[] };
      } | null;
      const { stdout = [], stderr = [] } = reply?.response ?? {};
      expect([...stdout, ...stderr].join("\n") || `${reply ? "" : err}`).toMatch(shows);
    });
  }
});

test.skipIf(!canGive || !existsSync("/usr/bin/setpriv"))(
  "what the server's own bounding set keeps from a program is told before its launch",
  () => {
    const capable = join(dir, "capable");
    copyFileSync("/bin/true", capable);
    give(capable, "cap_net_raw+ep");
    const file = join(dir, "bound.json");
    const commands = { uid: "c", exec: { cmdpath: capable } };
    const check = (sandbox: object, ...first: string[]) => {
      const sandboxes = { uid: "box", acls: { user: "root" }, ...sandbox, commands };
      writeFileSync(file, JSON.stringify({ metadata: { uid: "p", api: "p" }, sandboxes }));
      const { stdout, stderr } = Bun.spawnSync([...first, program, "check", file]);
      return `${stdout}${stderr}`;
    };
    const bound = ["setpriv", "--bounding-set=-net_raw", "--inh-caps=-net_raw"];
    expect(check({})).toStartWith("OK: ");
    expect(check({}, ...bound)).toContain("its container needs --cap-add NET_RAW");
    expect(check({ caps: [] }, ...bound)).toContain('add "NET_RAW" to caps');
    // The server of a plan file is another one.
    check({});
    const made = Bun.spawnSync([...bound, program, "compile", file, "-o", join(dir, "bound.plan")]);
    expect(made.exitCode).toBe(0);
  },
);
