/** config/vpn-autostart.json, as the early config that it was booted with: a tunnel to another host, which is a network namespace. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { connect } from "../../../src/client.ts";
import { until } from "../../served.ts";
import { VPN_TOKEN } from "../access.ts";
import { check } from "./check.ts";

const NET_ADMIN = (1n << 12n).toString(16).padStart(16, "0");

function must(...command: string[]): string {
  const { exitCode, stdout, stderr } = Bun.spawnSync(command);
  assert.equal(exitCode, 0, `${command.join(" ")}: ${stderr.toString()}`);
  return stdout.toString();
}

/** The other host: a wire to this one, and its end of the tunnel. */
function peer(): void {
  const inPeer = ["ip", "netns", "exec", "peer"];
  must("ip", "netns", "add", "peer");
  must("ip", "link", "add", "wire", "type", "veth", "peer", "name", "eth0", "netns", "peer");
  must("ip", "address", "add", "10.78.0.1/24", "dev", "wire");
  must("ip", "link", "set", "wire", "up");
  must(...inPeer, "ip", "address", "add", "10.78.0.2/24", "dev", "eth0");
  must(...inPeer, "ip", "link", "set", "eth0", "up");
  must(...inPeer, "ip", "link", "add", "wg0", "type", "wireguard");
  must(...inPeer, "wg", "setconf", "wg0", "/usr/lib/spawnbox-test/peer.conf");
  must(...inPeer, "ip", "address", "add", "10.77.0.2/24", "dev", "wg0");
  must(...inPeer, "ip", "link", "set", "wg0", "up");
}

export async function vpnChecks(): Promise<void> {
  await check("vpn: the tunnel was up before systemd started", () => {
    const log = Bun.spawnSync(["dmesg"]).stdout.toString();
    const at = (pattern: RegExp) => Number(pattern.exec(log)?.[1] ?? Number.NaN);
    const loaded = at(/\[ *(\d+\.\d+)\] wireguard: WireGuard .* loaded/);
    const systemd = at(/\[ *(\d+\.\d+)\] systemd\[1\]:/);
    assert(loaded < systemd, `wireguard at ${loaded} s, systemd at ${systemd} s`);
    assert.match(must("ip", "-brief", "address", "show", "wg0"), /10\.77\.0\.1\/24/);
  });
  const client = await connect("ws://127.0.0.1:1234/api", { token: VPN_TOKEN });
  await check("vpn: a ping goes through the tunnel, and show tells the handshake", async () => {
    peer();
    await until("the other end answers", () => {
      const ping = ["ping", "-c", "1", "-W", "5", "-I", "10.77.0.1", "10.77.0.2"];
      return Bun.spawnSync(ping).exitCode === 0;
    });
    const { response } = await client.call("vpn/show");
    const shown = String((response as { stdout?: string[] }).stdout);
    assert.match(shown, /latest handshake: /);
    const secret = /^PrivateKey = (.+)$/m.exec(
      readFileSync("/etc/wireguard/wg0.conf", "utf8"),
    )?.[1];
    assert(secret !== undefined && !shown.includes(secret), shown);
  });
  await check("vpn: its commands have NET_ADMIN, and nothing else", async () => {
    const task = client.start("vpn/log");
    const { value } = await task.next();
    const { pid } = value as { pid: number };
    const status = readFileSync(`/proc/${pid}/status`, "utf8");
    const sets = [...status.matchAll(/^Cap(\w+):\t(\w+)$/gm)].map(([, set, mask]) => [set, mask]);
    assert.deepEqual(
      sets,
      ["Inh", "Prm", "Eff", "Bnd", "Amb"].map((set) => [set, NET_ADMIN]),
    );
    await client.call("vpn/log", { action: "stop", args: { pid, signal: "SIGKILL" } });
    let next = await task.next();
    while (!next.done) next = await task.next();
  });
  await check("vpn: it is taken down and brought up, never both at once", async () => {
    const verbs = ["vpn/stop", "vpn/start"];
    const replies = await Promise.all(verbs.map((verb) => client.call(verb)));
    assert.deepEqual(
      replies.map(({ request }) => request.status),
      ["success", "bad-state"],
    );
    assert.equal(Bun.spawnSync(["ip", "link", "show", "wg0"]).success, false);
    const { response } = await client.call("vpn/start");
    assert.equal((response as { status: { exit?: number } }).status.exit, 0);
    assert.match(must("ip", "-brief", "address", "show", "wg0"), /10\.77\.0\.1\/24/);
  });
  await client.close();
  await check("vpn: not everybody may take it down, or see who talks to whom", async () => {
    const stranger = await connect("ws://127.0.0.1:1234/api");
    for (const verb of ["stop", "show", "log"]) {
      const { request } = await stranger.call(`vpn/${verb}`);
      assert.equal(request.status, "insufficient-scope", verb);
    }
    await stranger.close();
  });
}
