/** Other binders: whom this server calls, and by which sockets they come in. */
import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseClient, parseServer } from "../../src/config/binder-uri.ts";
import { Dialling, Mesh, sorted } from "../../src/serve/mesh.ts";
import { apiOf, granting, registryOf, shell } from "../api/harness.ts";
import { turn } from "../api/listener.ts";
import { compiled } from "../plan/compiling.ts";
import { DatagramSocket } from "../server/datagrams.ts";

const dir = mkdtempSync(join(tmpdir(), "spawnbox-mesh-"));
const at = (name: string): string => join(dir, name);
afterAll(() => rmSync(dir, { recursive: true }));

describe("other binders", () => {
  const exported = (uri: string) => parseServer(uri, "rpc");

  test("have the sockets that they name, and HTTP the others", () => {
    const sockets = ["x", "unknown", "y"].map((name, i) => ({ fd: 3 + i, name }));
    const exports = [exported("sd:y?as-api=a"), exported("unix:/x?as-api=b")];
    expect(sorted(sockets, exports)).toEqual({ http: [3, 4], named: [{ fd: 5, name: "y" }] });
    expect(sorted(sockets, [])).toEqual({ http: [3, 4, 5], named: [] });
  });

  test("are not even loaded where none is called", async () => {
    const dialling = new Dialling();
    const prepared = await dialling.prepare([apiOf([])], { imports: [], exports: [] });
    expect(prepared.foreign).toEqual([]);
    await prepared.reach();
    prepared.use();
    prepared.drop();
    const registry = registryOf([shell("v", "")]);
    await dialling.serve({ registry } as never, { imports: [] });
    const server = exported(`unix:${at("in.sock")}?import=far`);
    expect(dialling.slotOf(server)).toBeUndefined();
    const called = await dialling.prepare([apiOf([])], { imports: [], exports: [server] });
    expect(called.foreign.map(({ name }) => name)).toEqual(["far"]);
    called.use();
    expect(dialling.slotOf(server)).toBeDefined();
    // Where none is called any more, those that were are let go.
    (await dialling.prepare([apiOf([])], { imports: [], exports: [] })).use();
    expect(dialling.slotOf(server)).toBeUndefined();
    const importing = compiled({ acls: { user: "nobody" } }, undefined, {
      imports: [{ uri: `unix:${at("far.sock")}`, privilege: "urn:x" }],
    });
    const third = new Dialling();
    const config = await third.prepare([apiOf([]), importing], { imports: [], exports: [] });
    expect(config.foreign.map(({ name }) => name)).toEqual(["far.sock"]);
    third.close();
    const dialled = parseClient(`public:unix:${at("out.sock")}?import=far`, "rpc");
    const one = new Dialling();
    const imports = [dialled];
    expect((await one.prepare([], { imports, exports: [] })).foreign).toHaveLength(1);
    for (const each of [dialling, one]) each.close();
    await registry.close();
  });

  test("come in where they are let, each place once, until that is taken back", async () => {
    const registry = registryOf([shell("v", "")]);
    const mesh = new Mesh({
      ...{ registry, granted: granting(), connections: 4, slotOf: () => undefined },
    });
    const options = (...names: string[]) => ({
      ...{ mode: 0o600, insecure: false },
      exports: names.map((name) => exported(`unix:${at(name)}?as-api=p`)),
    });
    const isOpen = async (name: string) => {
      try {
        (await Bun.connect({ unix: at(name), socket: { data() {} } })).end();
        return true;
      } catch {
        return false;
      }
    };
    const close = await mesh.open(options("a.sock"), []);
    expect([mesh.places.length, await isOpen("a.sock")]).toEqual([1, true]);
    const more = await mesh.open(options("a.sock", "b.sock"), []);
    expect([mesh.places.length, await isOpen("b.sock")]).toEqual([2, true]);
    const nothing = await mesh.open(options("a.sock", "b.sock"), []);
    nothing();
    expect([mesh.places.length, await isOpen("a.sock")]).toEqual([2, true]);
    more();
    while (await isOpen("b.sock")) await turn();
    expect([mesh.places.length, await isOpen("a.sock")]).toEqual([1, true]);
    const again = await mesh.open(options("b.sock"), []);
    expect(await isOpen("b.sock")).toBe(true);
    expect(
      mesh.open({ ...options(), exports: [exported("sd:x?as-api=p")] }, [{ fd: 99, name: "y" }]),
    ).rejects.toThrow(
      "sd:x: the service manager has handed over no such socket: FileDescriptorName=x in its .socket unit",
    );
    void [close, again];
    await mesh.close();
    expect([await isOpen("a.sock"), await isOpen("b.sock")]).toEqual([false, false]);
    await registry.close();
  });
});

test("other binders come in by the sockets of the service manager, each by its name", async () => {
  const registry = registryOf([shell("v", "")]);
  const mesh = new Mesh({
    ...{ registry, granted: granting(), connections: 4, slotOf: () => undefined },
  });
  const names = ["y", "x", "z"];
  const sockets = names.map((name) => ({ name, ...DatagramSocket.listenStream(at(`sd-${name}`)) }));
  const exports = ["x", "y", "z"].map((name) => parseServer(`sd:${name}?as-api=p`, "rpc"));
  try {
    await mesh.open({ mode: 0o600, insecure: false, exports }, sockets);
    expect(mesh.places).toHaveLength(3);
  } finally {
    await mesh.close();
    await registry.close();
  }
});
