/** A page in a browser that believes the certificate of `spawnbox cert`: over TLS it calls, follows, uploads, and comes back. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createHash, X509Certificate } from "node:crypto";
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { programIn, serve, type Served } from "../served.ts";
import { type Browser, openBrowser, PACKAGE, program } from "./browser.ts";

const script = (text: string) => ({ cmdpath: "/bin/sh", args: ["-c", text] });
const config = {
  metadata: { uid: "page", api: "page" },
  sandboxes: {
    uid: "box",
    prefix: "",
    acls: { user: "nobody" },
    commands: [
      { uid: "hello", encoder: "sync", exec: { cmdpath: "/bin/echo", args: ["hello", "%name%"] } },
      { uid: "count", encoder: "line", exec: script("for n in 1 2 3; do echo $$n; done") },
      {
        uid: "slow",
        encoder: "line",
        exec: script("for n in 1 2 3 4 5 6; do echo $$n; sleep 0.2; done"),
      },
      {
        uid: "sum",
        encoder: "sync",
        stdin: "body",
        maxinput: "64M",
        exec: { cmdpath: "/usr/bin/sha256sum" },
      },
      {
        uid: "small",
        encoder: "sync",
        stdin: "body",
        maxinput: "1M",
        exec: { cmdpath: "/usr/bin/sha256sum" },
      },
    ],
  },
};

if (program === null) test.skip(`a page over TLS: ${PACKAGE} is not installed`, () => undefined);
else describe("in chromium", inBrowser);

function inBrowser(): void {
  const dir = mkdtempSync(join(tmpdir(), "spawnbox-browser-tls-"));
  chmodSync(dir, 0o755);
  let served: Served;
  let browser: Browser;
  let view: Bun.WebView;
  let url: string;
  beforeAll(async () => {
    const tls = join(dir, "tls");
    const made = Bun.spawnSync([programIn(dir), "cert", tls, "--name", "device.test"]);
    if (made.exitCode !== 0) throw new Error(made.stderr.toString());
    const [cert, key] = [join(tls, "server.pem"), join(tls, "server.key")];
    writeFileSync(join(dir, "index.html"), "<!doctype html><title>page</title>");
    const ca = readFileSync(join(tls, "ca.pem"), "utf8");
    const argv = ["--tls-cert", cert, "--tls-key", key, "--roothttp", dir, "--name", "device.test"];
    served = await serve(config, { argv, tls: { ca } });
    const { publicKey } = new X509Certificate(readFileSync(cert));
    const spki = publicKey.export({ type: "spki", format: "der" });
    const hash = createHash("sha256").update(spki).digest("base64");
    browser = openBrowser([`--ignore-certificate-errors-spki-list=${hash}`]);
    view = browser.view();
    url = `https://device.test:${new URL(served.url).port}`;
    await view.navigate(`${url}/index.html`);
  }, 120_000);
  afterAll(async () => {
    view?.close();
    await browser?.[Symbol.asyncDispose]();
    await served?.[Symbol.asyncDispose]();
    rmSync(dir, { recursive: true });
  });

  /** What a script in the page comes to. */
  const inPage = async (body: string): Promise<unknown> => {
    const text = (await view.evaluate(
      `(async () => { ${body} })().then((it) => JSON.stringify({ it }), (error) => JSON.stringify({ error: String(error) }))`,
    )) as string;
    return JSON.parse(text) as unknown;
  };

  test("it is a secure context, and the session is a cookie that scripts do not see", async () => {
    expect(
      await inPage(`
        const reply = await (await fetch("/api/page/hello?name=world")).json();
        return [isSecureContext, document.cookie, reply.response.stdout];`),
    ).toEqual({ it: [true, "", ["hello world"]] });
  });

  test("a WebSocket: a call, and the events of a task", async () => {
    expect(
      await inPage(`
        const socket = new WebSocket("wss://" + location.host + "/api", "x-afb-ws-json1");
        await new Promise((go, no) => { socket.onopen = go; socket.onerror = () => no("refused"); });
        socket.send(JSON.stringify([2, "1", "page/count", null]));
        const lines = [];
        await new Promise((go) => {
          socket.onmessage = ({ data }) => {
            const [, , { data: event } = {}] = JSON.parse(data);
            if (event?.stdout !== undefined) lines.push(event.stdout);
            if (event?.type === "final-event") go();
          };
        });
        socket.close();
        return lines;`),
    ).toEqual({ it: ["1", "2", "3"] });
  });

  test("events over HTTP, to their end", async () => {
    expect(
      await inPage(`
        const source = new EventSource("/api/page/slow/events");
        const seen = [];
        source.addEventListener("data", ({ data, lastEventId }) => seen.push([JSON.parse(data).data.stdout, lastEventId !== ""]));
        await new Promise((go) => source.addEventListener("final-event", go));
        source.close();
        return seen;`),
    ).toEqual({ it: ["1", "2", "3", "4", "5", "6"].map((line) => [line, true]) });
  });

  test("an upload of 20 MiB arrives whole; one that is too large is told so", async () => {
    const all = Buffer.alloc(20 << 20, 7);
    const sum = createHash("sha256").update(all).digest("hex");
    const post = (verb: string) => `
      const body = new Blob([new Uint8Array(20 << 20).fill(7)]);
      const response = await fetch("/api/page/${verb}", { method: "POST", body });
      const { request, response: reply } = await response.json();
      return [response.status, reply?.stdout ?? request.info];`;
    expect(await inPage(post("sum"))).toEqual({ it: [200, [`${sum}  -`]] });
    expect(await inPage(post("small"))).toEqual({
      it: [413, expect.stringContaining("at most 1048576")],
    });
  }, 60_000);
}
