/**
 * What the verbs of config/power.json, config/vpn-autostart.json and config/agent.json see and may do, and who may call them. They run in namespaces
 * where PID 1 is ours; what would reboot or suspend this machine, or needs a tunnel, is a stand-in. test/boot has the real ones.
 */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { ORDINARY } from "./accounts.ts";
import { call, connect, textOf } from "./mcp/serving.ts";
import { isRoot, serve, type Served, until } from "./served.ts";

/** Says what it is called with and as whom, and how it sees what samples mount; waits where there is a file to wait for. */
const LOOK = `#!/bin/sh
echo "$*"
while read -r name value rest; do
  case $name in Uid:) echo "uid $value" ;; Cap*) echo "$name $value" ;; esac
done </proc/self/status
for path in /run/systemd /sys/power /sys/power/state /etc/wireguard; do
  if [ -w $path ]; then echo "$path rw"; elif [ -e $path ]; then echo "$path ro"; fi
done
[ ! -w /proc/sys/net/ipv4/conf/all/src_valid_mark ] || echo src_valid_mark rw
while [ -e /usr/bin/hold/on ]; do sleep 0.02; done
`;
/** By directory of /usr: the machine may have no service manager. */
const STAND_INS = { bin: ["cat", "journalctl", "systemctl", "wg", "wg-quick"], sbin: ["reboot"] };

/** The rest of the command line, in such namespaces; only once it is sure that they are there. */
const SECLUDED = `
dir=$1; shift
[ $$ = 1 ]
mount --bind "$dir/power" /sys/power
[ "$(cat /sys/power/state)" = nothing ]
mount -t tmpfs run /run
mkdir /run/systemd
for part in bin sbin; do mount -t overlay $part -o "lowerdir=$dir/$part:/usr/$part" /usr/$part; done
mount --bind "$dir/hold" /usr/bin/hold
mount -t overlay settings -o "lowerdir=$dir/settings:/etc" /etc
trap 'echo reboot >>"$dir/signals"' 39
trap 'echo poweroff >>"$dir/signals"' 38
"$@" &
while kill -0 $!; do wait $! || :; done
`;

const SYS_ADMIN = 21;
const SYS_BOOT = 22;
const NET_ADMIN = 12;

/** What the stand-in says with these. */
function seen(args: string, uid: number, capability: number | undefined, ...paths: string[]) {
  const mask = (capability === undefined ? 0n : 1n << BigInt(capability)).toString(16);
  const sets = ["Inh", "Prm", "Eff", "Bnd", "Amb"];
  return [
    args,
    `uid ${uid}`,
    ...sets.map((set) => `Cap${set}: ${mask.padStart(16, "0")}`),
    ...paths,
  ];
}

describe.skipIf(!isRoot)("samples", () => {
  let dir: string;
  const hold = () => join(dir, "hold/on");
  beforeAll(() => {
    dir = mkdtempSync(join(tmpdir(), "spawnbox-secluded-"));
    for (const name of ["power", "hold", "bin/hold", "sbin", "settings/wireguard"])
      mkdirSync(join(dir, name), { recursive: true });
    writeFileSync(join(dir, "power/state"), "nothing");
    for (const [part, names] of Object.entries(STAND_INS))
      for (const name of names) writeFileSync(join(dir, part, name), LOOK, { mode: 0o755 });
  });
  afterEach(() => rmSync(hold(), { force: true }));
  afterAll(() => rmSync(dir, { recursive: true }));

  async function served(name: string, argv: string[], use: (server: Served) => Promise<void>) {
    const config: unknown = JSON.parse(
      readFileSync(join(import.meta.dir, `../config/${name}.json`), "utf8"),
    );
    const namespaces = ["--mount", "--pid", "--fork", "--kill-child", "--mount-proc"];
    const first = ["unshare", ...namespaces, "/bin/sh", "-ec", SECLUDED, "sh", dir];
    await using server = await serve(config, { user: "root", first, argv });
    try {
      await use(server);
    } finally {
      // Only this ends unshare and, by --kill-child, all that is in there.
      await server.crash();
    }
  }
  const open = ["--access", "open"];

  test("power: a verb has the user, capability and mounts that it needs", () =>
    served("power", open, async ({ run }) => {
      const service = { name: "ssh" };
      const lines = async (verb: string, args?: unknown) =>
        (await run(`power/${verb}`, args)).stdout;
      expect(await lines("service/start", service)).toEqual(
        seen("start ssh.service", 0, SYS_ADMIN, "/run/systemd ro"),
      );
      expect(await lines("service/state", service)).toEqual(
        seen("is-active ssh.service", 0, undefined, "/run/systemd ro"),
      );
      expect(await lines("reboot-now")).toEqual(seen("-f -f", 0, SYS_BOOT));
      expect(await lines("suspend/states")).toEqual(
        seen("/sys/power/state", ORDINARY, undefined, "/sys/power ro", "/sys/power/state ro"),
      );
    }));

  test("power: reboot and poweroff ask PID 1, suspend asks the kernel", () =>
    served("power", open, async ({ run }) => {
      const signals = join(dir, "signals");
      for (const verb of ["reboot", "poweroff"]) {
        writeFileSync(signals, "");
        expect((await run(`power/${verb}`)).status).toMatchObject({ exit: 0 });
        await until("PID 1 hears of it", () => readFileSync(signals, "utf8") === `${verb}\n`);
      }
      expect((await run("power/suspend")).status).toMatchObject({ exit: 0 });
      expect(readFileSync(join(dir, "power/state"), "utf8")).toBe("mem\n");
      writeFileSync(join(dir, "power/state"), "nothing");
    }));

  test.each([
    ["reboot-now", null, 1],
    ["service/start", { name: "ssh" }, 4],
    ["service/state", { name: "ssh" }, 4],
    ["suspend/states", null, 4],
  ])("power: of %s with %j at most %d at a time", (verb, args, most) =>
    served("power", open, async ({ call }) => {
      writeFileSync(hold(), "");
      const running = Array.from({ length: most }, () => call(`power/${verb}`, args));
      const oneMore = await call(`power/${verb}`, args);
      rmSync(hold());
      expect(oneMore.request.status).toBe("bad-state");
      const statuses = (await Promise.all(running)).map(({ request }) => request.status);
      expect(statuses).toEqual(running.map(() => "success"));
    }),
  );

  test("vpn: only who changes the tunnel sees its keys, and all need NET_ADMIN alone", () =>
    served("vpn-autostart", open, async ({ run, client }) => {
      const control = (direction: string) =>
        seen(`${direction} wg0`, 0, NET_ADMIN, "/etc/wireguard ro", "src_valid_mark rw");
      expect((await run("vpn/start")).stdout).toEqual(control("up"));
      expect((await run("vpn/stop")).stdout).toEqual(control("down"));
      expect((await run("vpn/show")).stdout).toEqual(seen("show wg0", ORDINARY, NET_ADMIN));
      const task = client.start("vpn/log");
      const { value } = await task.next();
      const { pid } = value as { pid: number };
      await client.call("vpn/log", { action: "stop", args: { pid, signal: "SIGKILL" } });
      for (let next = await task.next(); !next.done; next = await task.next());
    }));

  test("vpn: the tunnel is not taken down while it is brought up", () =>
    served("vpn-autostart", open, async ({ call }) => {
      writeFileSync(hold(), "");
      const up = call("vpn/start");
      const down = await call("vpn/stop");
      rmSync(hold());
      expect(down.request.status).toBe("bad-state");
      expect((await up).request.status).toBe("success");
      expect((await call("vpn/stop")).request.status).toBe("success");
    }));

  const ask = (client: Client, verb: string, args: Record<string, unknown> = {}) =>
    call(client, `board_${verb.replaceAll("/", "_")}`, args);
  const tools = async (client: Client) =>
    (await client.listTools()).tools.map(({ name }) => name.replace("board_", ""));

  test("agent: what looks is root without capabilities, or nobody; what restarts asks first", () =>
    served("agent", [...open, "--mcp"], async ({ url }) => {
      const questions: string[] = [];
      const { client } = await connect(url, {
        answer: { action: "accept", content: { confirm: true } },
        asked: (message) => void questions.push(message),
      });
      const lines = async (verb: string, args?: Record<string, unknown>) =>
        textOf(await ask(client, verb, args)).split("\n");
      expect(await lines("service/list", { state: "failed" })).toEqual(
        seen(
          "list-units --type=service --all --plain --no-legend --state=failed",
          ...([0, undefined, "/run/systemd ro"] as const),
        ),
      );
      const [properties = "", ...rest] = await lines("service/state", { name: "ssh" });
      expect(properties).toMatch(/^show --property=Id,\S+ ssh\.service$/);
      expect([properties, ...rest]).toEqual(seen(properties, 0, undefined, "/run/systemd ro"));
      const journal = "--no-pager --output=short-iso";
      expect(await lines("logs/recent", { unit: "ssh", lines: 5 })).toEqual(
        seen(`${journal} --lines=5 --unit=ssh`, 0, undefined),
      );
      expect(await lines("logs/kernel")).toEqual(
        seen(`${journal} --dmesg --boot --lines=100`, 0, undefined),
      );
      expect(await lines("memory")).toEqual(seen("/proc/meminfo", ORDINARY, undefined));
      expect((await lines("disk/usage"))[0]).toMatch(/^Type +Size +Used/);
      expect(questions).toEqual([]);
      expect(await lines("service/restart", { name: "ssh" })).toEqual(
        seen("restart ssh.service", 0, SYS_ADMIN, "/run/systemd ro"),
      );
      expect(questions).toEqual([expect.stringContaining('"restart","ssh.service"')]);
      expect(textOf(await ask(client, "service/restart", { name: "dbus" }))).toContain("expected");
      await client.close();
      const { client: alone } = await connect(url);
      const refused = await ask(alone, "service/restart", { name: "ssh" });
      expect([refused.isError, textOf(refused)]).toEqual([
        true,
        expect.stringContaining("cannot ask"),
      ]);
      await alone.close();
    }));

  test("agent: without a privilege nobody reads logs or restarts anything", () =>
    served("agent", ["--mcp"], async ({ url }) => {
      const { client } = await connect(url);
      const names = await tools(client);
      for (const name of ["logs_recent", "logs_kernel", "service_restart"])
        expect(names).not.toContain(name);
      for (const name of ["service_list", "service_state", "disk_usage", "memory"])
        expect(names).toContain(name);
      const { isError } = await ask(client, "service/restart", { name: "ssh" });
      expect(isError).toBe(true);
      await client.close();
    }));

  test("who has no privilege may ask what the machine can do, and nothing else", async () => {
    await served("power", [], async ({ call }) => {
      const service = { name: "ssh" };
      for (const verb of ["reboot", "poweroff", "reboot-now", "suspend"])
        expect([verb, (await call(`power/${verb}`)).request.status]).toEqual([
          verb,
          "insufficient-scope",
        ]);
      const { request } = await call("power/service/start", service);
      expect(request.status).toBe("insufficient-scope");
      expect((await call("power/service/state", service)).request.status).toBe("success");
      expect((await call("power/suspend/states")).request.status).toBe("success");
    });
    await served("vpn-autostart", [], async ({ call }) => {
      for (const verb of ["start", "stop", "tunnel", "show", "log"])
        expect([verb, (await call(`vpn/${verb}`)).request.status]).toEqual([
          verb,
          "insufficient-scope",
        ]);
    });
  });
});
