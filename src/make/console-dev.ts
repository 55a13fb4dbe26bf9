/**
 * `npm run console`: the console as it is in the source, made anew with each change, before a server that runs already, whose API it
 * hands on. Its policy is not that of the executable: it reloads by itself.
 */
import { watch } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { commandLine } from "../command-line/usage.ts";
import type { ConsolePage } from "./console.ts";

const help = `usage: npm run console [-- --server URL] [--port N]

Serves src/console as it is now, and again after each change, to a browser on this machine.

  --server URL  whose verbs it shows (default http://localhost:1234, where npm start serves)
  --port N      where (default 1235)
  -h, --help    this text`;

function parse(args: string[]) {
  const { values } = parseArgs({
    args,
    options: {
      server: { type: "string", default: "http://localhost:1234" },
      port: { type: "string", default: "1235" },
      help: { type: "boolean", short: "h" },
    },
  });
  return values.help ? undefined : values;
}

/** What a page asks for until it has changed. */
const RELOAD = "/console/changed";
const reloader = `<script>fetch(${JSON.stringify(RELOAD)}).then(() => location.reload())</script>`;

const { server, port } = commandLine({ name: "npm run console", help, parse });
const { host, origin } = new URL(server);
type Built = Pick<ConsolePage, "html" | "more">;

/** What is wrong with the source is printed. */
async function bundle(): Promise<Built> {
  const printer = join(import.meta.dir, "console-print.ts");
  const child = Bun.spawn([process.execPath, printer], { stdout: "pipe", stderr: "inherit" });
  const text = await child.stdout.text();
  if ((await child.exited) !== 0) throw new Error("the console is not made");
  return JSON.parse(text) as Built;
}

let built = bundle();
let changed = Promise.withResolvers<void>();
let soon: ReturnType<typeof setTimeout> | undefined;
let newest = 0;
watch(join(import.meta.dir, "../console"), () => {
  // Editors write a file in several steps.
  clearTimeout(soon);
  soon = setTimeout(make, 50);
});

function make(): void {
  const number = ++newest;
  const next = bundle();
  next.then(
    () => {
      if (number !== newest) return;
      built = next;
      changed.resolve();
      changed = Promise.withResolvers();
    },
    // The page before stays, until this is mended.
    ({ message }: Error) => console.error(message),
  );
}

/** What is called here is called there in the name of its own page: that is for pages of this server only. */
function isOwn({ headers }: Request): boolean {
  const name = headers.get("host") ?? "";
  const origin = headers.get("origin") ?? `http://${name}`;
  const site = headers.get("sec-fetch-site") ?? "none";
  return (
    /^(localhost|127\.0\.0\.1):\d+$/.test(name) &&
    origin === `http://${name}` &&
    ["none", "same-origin"].includes(site)
  );
}

interface Passed {
  /** To the server. */
  readonly there: WebSocket;
  readonly early: (string | Buffer)[];
}

const here = Bun.serve<Passed>({
  hostname: "127.0.0.1",
  port: Number(port),
  idleTimeout: 0,
  async fetch(request, own) {
    const { pathname, search } = new URL(request.url);
    if (!isOwn(request)) return new Response("only for its own pages", { status: 403 });
    if (request.headers.get("upgrade") === "websocket") {
      const there = new WebSocket(`ws://${host}${pathname}${search}`, "x-afb-ws-json1");
      const headers = { "sec-websocket-protocol": "x-afb-ws-json1" };
      if (own.upgrade(request, { data: { there, early: [] }, headers })) return undefined;
    }
    if (pathname === RELOAD) {
      await changed.promise;
      return new Response("changed");
    }
    const { html, more } = await built;
    const part = Object.entries(more).find(([name]) => pathname === `/console/${name}`)?.[1];
    if (part !== undefined) return new Response(part);
    const isPage = request.headers.get("accept")?.includes("text/html");
    if (isPage && ["/", "/console/"].includes(pathname))
      return new Response(
        html.replace("</body>", () => `${reloader}</body>`),
        {
          headers: { "content-type": "text/html; charset=utf-8" },
        },
      );
    const { method, body } = request;
    const headers = new Headers(request.headers);
    // There it is a call of the server's own page.
    if (headers.has("origin")) headers.set("origin", origin);
    headers.set("host", host);
    headers.delete("referer");
    return fetch(origin + pathname + search, { method, headers, body, redirect: "manual" });
  },
  websocket: {
    open: (socket) => {
      const { there, early } = socket.data;
      there.onopen = () => early.splice(0).forEach((one) => there.send(one));
      there.onmessage = ({ data }) => void socket.send(data);
      there.onclose = () => socket.close();
    },
    message: ({ data: { there, early } }, message) => {
      if (there.readyState === WebSocket.OPEN) there.send(message);
      else early.push(message);
    },
    close: ({ data: { there } }) => there.close(),
  },
});
console.log(`the console, with the verbs of ${origin}: ${here.url}`);
