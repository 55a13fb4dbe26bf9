/** Who dials may export: a hub calls those that come to it, and a second that gives the same is refused. */
import { afterAll, expect, test } from "bun:test";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ORDINARY } from "../accounts.ts";
import { isRoot, serve, until } from "../served.ts";
import { certificatesIn } from "./certificates.ts";

const dir = mkdtempSync(join(tmpdir(), "spawnbox-hub-"));
chmodSync(dir, 0o755);
afterAll(() => rmSync(dir, { recursive: true }));
const { trust, server: shown, client: mine } = certificatesIn(dir);
let places = 0;

const config = (api: string, word = api) => ({
  metadata: { uid: api, api, version: "1" },
  sandboxes: [
    {
      uid: "s",
      acls: { user: isRoot ? "nobody" : process.geteuid?.() },
      commands: [
        { uid: "hi", encoder: "sync", exec: { cmdpath: "/bin/echo", args: [word] } },
        { uid: "count", encoder: "line", exec: { cmdpath: "/usr/bin/seq", args: ["3"] } },
      ],
    },
  ],
});

const stdoutOf = ({ response }: { response?: unknown }) =>
  (response as { stdout?: string[] } | undefined)?.stdout;

const hubConfig = config("hub");
const argv = (...options: readonly string[]) => ({ argv: ["--access", "none", ...options] });

test.each([
  [
    "a path",
    () => {
      const at = `unix:${join(dir, `${++places}`)}`;
      return [`${at}?import=demo`, `${at}?export=demo`] as const;
    },
  ],
  [
    "TLS of both",
    () => {
      const at = `mtls+tcp:127.0.0.1:${11_000 + (process.pid % 1000)}?trust=${trust}`;
      return [
        `${at}&cert=${shown.cert}&key=${shown.key}&import=demo`,
        `${at}&cert=${mine.cert}&key=${mine.key}&export=demo`,
      ] as const;
    },
  ],
])(
  "over %s: the first gives its API until it goes, a second is refused",
  async (_, place) => {
    const [here, there] = place();
    await using hub = await serve(hubConfig, argv("--rpc-server", here));
    expect((await hub.call("demo/hi")).request.status).toBe("not-available");
    const first = await serve(config("demo", "first"), argv("--rpc-client", there));
    await until(
      "it has come",
      async () => (await hub.call("demo/hi")).request.status === "success",
    );
    const seen: { type?: string }[] = [];
    hub.client.on(
      "event",
      (name, data) => void (name === "demo/count" && seen.push(data as object)),
    );
    await hub.call("demo/count");
    await until("the last event", () => seen.some(({ type }) => type === "final-event"));
    await using second = await serve(config("demo", "second"), argv("--rpc-client", there));
    expect((await second.call("demo/hi")).request.status).toBe("success");
    for (let i = 0; i < 20; i++) {
      expect(stdoutOf(await hub.call("demo/hi"))).toEqual(["first"]);
      await Bun.sleep(20);
    }
    await first.crash();
    await first[Symbol.asyncDispose]();
    await until(
      "the second has its place",
      async () => stdoutOf(await hub.call("demo/hi"))?.[0] === "second",
    );
  },
  60_000,
);

test("a connection that gives takes, too, and both call each other", async () => {
  const path = join(dir, `${++places}`);
  await using hub = await serve(
    hubConfig,
    argv("--rpc-server", `unix:${path}?export=hub&import=demo`),
  );
  await using leaf = await serve(
    config("demo"),
    argv("--rpc-client", `public:unix:${path}?import=hub&export=demo`),
  );
  expect(stdoutOf(await leaf.call("hub/hi"))).toEqual(["hub"]);
  await until("it has come", async () => (await hub.call("demo/hi")).request.status === "success");
  // A second one may still call, though it gives nothing.
  await using other = await serve(
    config("demo"),
    argv("--rpc-client", `public:unix:${path}?import=hub&export=demo`),
  );
  expect(stdoutOf(await other.call("hub/hi"))).toEqual(["hub"]);
});

test.skipIf(!isRoot)(
  "[access] who may not give APIs does not get to be called",
  async () => {
    const path = join(dir, `${++places}`);
    const access = join(dir, "access.json");
    const grant = (privileges: string[]) =>
      writeFileSync(
        access,
        JSON.stringify({
          grants: [
            { user: `${ORDINARY}`, privileges },
            { anyone: true, privileges: ["urn:spawnbox:reload"] },
          ],
        }),
      );
    grant(["urn:other"]);
    await using hub = await serve(hubConfig, {
      argv: ["--access", access, "--unix-mode", "0666", "--rpc-server", `unix:${path}?import=demo`],
    });
    const stranger = config("demo", "stranger");
    for (const { acls } of stranger.sandboxes) Object.assign(acls, { user: ORDINARY });
    await using _leaf = await serve(stranger, {
      user: "ordinary user",
      argv: ["--rpc-client", `unix:${path}?export=demo`],
    });
    for (let i = 0; i < 20; i++) {
      expect((await hub.call("demo/hi")).request.status).toBe("not-available");
      await Bun.sleep(20);
    }
    grant(["urn:spawnbox:provide"]);
    expect((await hub.call("monitor/reload")).request.status).toBe("success");
    await until("it may now", async () => stdoutOf(await hub.call("demo/hi"))?.[0] === "stranger");
  },
  60_000,
);
