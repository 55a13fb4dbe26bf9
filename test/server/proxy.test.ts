/** What a proxy tells of who calls, and what anybody else pretends to be told by one. */
import { describe, expect, test } from "bun:test";
import type { Request as Call } from "../../src/api/client.ts";
import { Guests } from "../../src/server/guests.ts";
import type { OriginPolicy } from "../../src/server/origin.ts";
import { checkOrigin } from "../../src/server/origin.ts";
import { Proxies } from "../../src/server/proxy.ts";
import { serve, TestRegistry, upgradeText } from "./harness.ts";

const told = (networks: string[], address: string, headers: Record<string, string>) =>
  new Proxies(networks).told(address, (name) => headers[name]);

describe("who calls", () => {
  test.each([
    ["192.0.2.1", "192.0.2.1"],
    // The client has written the first.
    ["198.51.100.9, 192.0.2.1", "192.0.2.1"],
    ["192.0.2.1, 10.0.0.2", "192.0.2.1"],
    ["198.51.100.9,192.0.2.1,10.0.0.2,10.0.0.3", "192.0.2.1"],
    ["192.0.2.1:4711", "192.0.2.1"],
    ["[2001:db8::1]:443", "2001:db8::1"],
    ["2001:db8::1", "2001:db8::1"],
    ["::ffff:192.0.2.1", "192.0.2.1"],
    // Nobody outside has called: the first proxy has.
    ["10.0.0.3, 10.0.0.2", "10.0.0.3"],
    ["", "10.0.0.1"],
    ["unknown", "10.0.0.1"],
    ["192.0.2.1, unknown", "10.0.0.1"],
    ["192.0.2.1, x, 10.0.0.2", "10.0.0.2"],
    ["192.0.2.1,", "10.0.0.1"],
  ])("by X-Forwarded-For: %p is %p", (forwarded, caller) => {
    const { address } = told(["10.0.0.0/8"], "10.0.0.1", { "x-forwarded-for": forwarded });
    expect(address).toBe(caller);
  });

  test("networks are met by addresses in them only, however they are written", () => {
    const proxies = new Proxies(["10.1.0.0/16", "fd00::/8", "192.0.2.7"]);
    for (const address of ["10.1.2.3", "::ffff:10.1.2.3", "fd12::1", "192.0.2.7", "fd00::1%eth0"])
      expect([address, proxies.trusts(address)]).toEqual([address, true]);
    for (const address of ["10.2.0.1", "192.0.2.8", "fe80::1", "", "x", undefined, "::1"])
      expect([address, proxies.trusts(address)]).toEqual([address, false]);
  });

  test("scheme and host are those that the last proxy tells", () => {
    const headers = {
      "x-forwarded-proto": "http, HTTPS",
      "x-forwarded-host": "evil.example, box.example",
    };
    expect(told(["::/0"], "::1", headers)).toMatchObject({ scheme: "https:", host: "box.example" });
    const schemes = ["gopher", "wss", "ws", "a, WSS"].map(
      (proto) => told(["::/0"], "::1", { "x-forwarded-proto": proto }).scheme,
    );
    expect(schemes).toEqual([undefined, "https:", "http:", "https:"]);
  });
});

/** Remembers who asked. */
class Seen extends TestRegistry {
  readonly peers: (string | undefined)[] = [];
  override call(request: Call) {
    this.peers.push(request.from?.peer);
    return super.call(request);
  }
}

async function server(trusted: string[]) {
  const registry = new Seen();
  const proxies = new Proxies(trusted);
  const running = await serve({ registry, proxies });
  return { running, registry };
}

const FORWARDED = {
  "x-forwarded-for": "203.0.113.5",
  "x-forwarded-proto": "https",
  "x-forwarded-host": "localhost",
};

describe("a server", () => {
  test("counts a call for the caller that a trusted proxy tells, and for nobody else", async () => {
    const { running, registry } = await server(["127.0.0.1"]);
    await using _ = running;
    await fetch(`${running.url}/api/t/ping`, { headers: FORWARDED });
    await fetch(`${running.url}/api/t/ping`);
    expect(registry.peers[0]).toBe("203.0.113.5");
    expect(registry.peers[1]).not.toBe("203.0.113.5");
  });

  test("[protection] takes nothing of that from anybody else", async () => {
    const { running, registry } = await server(["192.0.2.0/24"]);
    await using _ = running;
    await fetch(`${running.url}/api/t/ping`, { headers: FORWARDED });
    expect(registry.peers[0]).not.toBe("203.0.113.5");
    const origin = {
      ...FORWARDED,
      "x-forwarded-host": "evil.example",
      origin: "https://evil.example",
    };
    expect((await fetch(`${running.url}/api/t/ping`, { headers: origin })).status).toBe(403);
    const cookie = (await fetch(`${running.url}/api/t/ping`, { headers: FORWARDED })).headers;
    expect(cookie.get("set-cookie")).not.toContain("Secure");
  });

  test("is called as the proxy was: origins, names and cookies follow", async () => {
    const registry = new Seen();
    await using running = await serve({
      ...{ registry, proxies: new Proxies(["127.0.0.1"]), hosts: ["box.example"] },
    });
    const by = (headers: Record<string, string>) =>
      fetch(`${running.url}/api/t/ping`, { headers: { ...FORWARDED, ...headers } });
    const host = { "x-forwarded-host": "box.example" };
    const own = await by({ ...host, origin: "https://box.example" });
    expect([own.status, own.headers.get("set-cookie")?.includes("; Secure")]).toEqual([200, true]);
    expect((await by({ ...host, origin: "http://box.example" })).status).toBe(403);
    expect((await by({ ...host, origin: running.url })).status).toBe(403);
    // DNS rebinding through the proxy.
    expect((await by({ "x-forwarded-host": "evil.example" })).status).toBe(403);
    const socket = new WebSocket(`ws${running.url.slice(4)}/api`, {
      headers: { ...FORWARDED, ...host, origin: "https://box.example" },
    } as unknown as string[]);
    const opened = await new Promise((resolve) => {
      socket.onopen = () => resolve(true);
      socket.onerror = () => resolve(false);
    });
    expect(opened).toBe(true);
    socket.send(JSON.stringify([2, "1", "t/ping", null]));
    await new Promise((resolve) => (socket.onmessage = resolve));
    expect(registry.peers.at(-1)).toBe("203.0.113.5");
    socket.close();
  });

  test("gives WebSockets behind a proxy the places of their callers", async () => {
    await using running = await serve({
      ...{ connections: 8, proxies: new Proxies(["127.0.0.1"]) },
    });
    const open = (caller: string) =>
      Bun.connect({
        ...{ hostname: "127.0.0.1", port: running.port },
        socket: {
          open: (socket) => void socket.write(upgradeText({ "X-Forwarded-For": caller })),
          data: () => {},
        },
      });
    // Of one caller, more than there are places.
    const many = [];
    for (let i = 0; i < 12; i++) {
      many.push(await open("203.0.113.5"));
      await Bun.sleep(20);
    }
    const other = await new Promise<string>((resolve) => {
      void Bun.connect({
        ...{ hostname: "127.0.0.1", port: running.port },
        socket: {
          open: (socket) =>
            void socket.write(upgradeText({ "X-Forwarded-For": "203.0.113.6", Host: "localhost" })),
          data: (_, bytes) => resolve(bytes.toString().slice(0, 12)),
        },
      });
    });
    expect(other).toBe("HTTP/1.1 101");
    for (const socket of many) socket.end();
  });
});

test("a guest that moves has one place, and keeps it where there is no other", () => {
  const guests = new Guests(4, () => 10_000);
  const guest = () => ({ idleSince: undefined, unread: false, evict: () => {} });
  const [a, b, c, d] = [guest(), guest(), guest(), guest()];
  for (const one of [a, b, c]) expect(guests.admit("proxy", one)).toBe(true);
  expect(guests.move("proxy", "x", a)).toBe(true);
  expect(guests.admit("y", d)).toBe(true);
  expect(guests.admit("z", guest())).toBe(false);
  guests.leave("x", a);
  expect(guests.admit("z", guest())).toBe(true);
});

test("a page of the same name by the other scheme is foreign, where the scheme is known", () => {
  const check = (origin: string, policy: Partial<OriginPolicy>) => {
    const headers: Record<string, string> = { origin, host: "box:1234" };
    try {
      checkOrigin((name) => headers[name], { loopback: false, ...policy });
      return true;
    } catch {
      return false;
    }
  };
  expect(check("https://box:1234", {})).toBe(true);
  expect(check("http://box:1234", {})).toBe(true);
  expect(check("https://box:1234", { scheme: "https:" })).toBe(true);
  expect(check("http://box:1234", { scheme: "https:" })).toBe(false);
  expect(check("https://box:1234", { scheme: "http:" })).toBe(false);
});

test("[protection] only an address or a network can be trusted, and of addresses only those", () => {
  const wrong = [
    ...["", "/", "/8", "box", "10.0.0", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/8/8"],
    ...["10.0.0.0/ 8", " 10.0.0.1", "fd00::/129", "fd00::/1000", "1.2.3.4:80"],
  ];
  for (const text of wrong)
    expect(() => new Proxies([text])).toThrow(
      `--trust-proxy ${text}: expected an address, or a network such as 10.0.0.0/8`,
    );
  const all = new Proxies(["0.0.0.0/0", "::/0"]);
  for (const address of ["1.2.3.4", "::ffff:1.2.3.4", "fe80::1%eth0", "2001:db8::1"])
    expect([address, all.trusts(address)]).toEqual([address, true]);
  for (const address of [undefined, "", "box", "1.2.3", "unix", "1.2.3.4:80"])
    expect([address, all.trusts(address)]).toEqual([address, false]);
  for (const [text, inside, outside] of [
    ["10.0.0.1", "10.0.0.1", "10.0.0.0"],
    ["10.0.0.1/32", "10.0.0.1", "10.0.0.2"],
    ["10.0.0.0/31", "10.0.0.1", "10.0.0.2"],
    ["fd00::1", "fd00::1", "fd00::"],
    ["fd00::/127", "fd00::1", "fd00::2"],
    ["fd00::1/128", "fd00::1", "fd00::2"],
  ] as const) {
    const one = new Proxies([text]);
    expect([text, one.trusts(inside), one.trusts(outside)]).toEqual([text, true, false]);
  }
});
