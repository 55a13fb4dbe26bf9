/** The npm client of AFB, unchanged, in a page in a browser, both served by the executable; and pages that may not call. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { type Served, serve, until } from "../served.ts";
import { type Browser, openBrowser, PACKAGE, program } from "./browser.ts";

const PAGES = join(import.meta.dir, "page");
const CLIENT = join(import.meta.dir, "../../node_modules/@redpesk/afb-ws/src");
const script = (text: string) => ({ cmdpath: "/bin/sh", args: ["-c", text] });
const config = {
  metadata: { uid: "page", api: "page", info: "for a page in a browser", version: "1" },
  sandboxes: [
    {
      uid: "first",
      info: "with events",
      acls: { user: "nobody" },
      commands: [
        {
          uid: "count",
          info: "an event per line",
          encoder: "line",
          exec: script("echo one; echo twö; echo bad >&2"),
        },
        {
          uid: "forever",
          info: "until it is stopped",
          encoder: "line",
          exec: script("echo begun; exec sleep 1000"),
        },
      ],
    },
    {
      uid: "second",
      info: "with samples",
      acls: { user: "nobody" },
      commands: {
        uid: "hello",
        info: "greets",
        encoder: "sync",
        sample: [{ name: "world" }, { name: "<b>markup</b>" }],
        exec: { cmdpath: "/bin/echo", args: ["Hello %name%"] },
      },
    },
  ],
};

/** Its scripts print what json-c reads, and JSON.parse does not. */
const board = {
  metadata: { uid: "board", api: "board" },
  sandboxes: {
    uid: "recovery",
    prefix: "",
    acls: { user: "nobody" },
    commands: [
      {
        uid: "about",
        encoder: "json",
        exec: script(
          "echo \"{'board': 'r-car m3', 'serial': 9007199254740993, /* fused */ \"; echo '  \"secure\": True, temperature: NaN, }'",
        ),
      },
      {
        uid: "update",
        encoder: { output: "json", opts: { maxlen: 1024 } },
        exec: script(
          "echo \"// %image%\"; for n in 10 50 100; do echo \"{'progress': 0$$n, 'step': 'part $$n',}\"; done; echo '{progress: }'",
        ),
      },
    ],
  },
};

const pidOf = (reply: unknown): number => (reply as { response: { pid: number } }).response.pid;

if (program === null) {
  const missing = `pages in a browser: the package ${PACKAGE} is not installed`;
  if (process.env["CI"]) test(missing, () => expect(program).not.toBeNull());
  else test.skip(missing, () => undefined);
  console.error(missing);
} else {
  describe("in chromium", inBrowser);
}

function inBrowser(): void {
  let served: Served;
  let browser: Browser;
  let view: Bun.WebView;
  beforeAll(async () => {
    const argv = ["--roothttp", PAGES, "--alias", `/modules/afb-ws:${CLIENT}`];
    argv.push("--name", "device.test");
    served = await serve(config, { argv });
    browser = openBrowser();
    view = browser.view();
    // The browser's first start may take long.
    await view.navigate("about:blank");
  }, 120_000);
  afterAll(async () => {
    view?.close();
    await browser?.[Symbol.asyncDispose]();
    await served?.[Symbol.asyncDispose]();
  });

  const texts = async (selector: string): Promise<string[]> => {
    const found = await view.evaluate(
      `[...document.querySelectorAll(${JSON.stringify(selector)})].map((it) => it.textContent)`,
    );
    return found as string[];
  };
  /** The JSON in each item of a list, once there are `count`. */
  const items = async (id: string, count: number): Promise<unknown[]> => {
    await until(`${count} ${id}`, async () => (await texts(`#${id} li`)).length >= count);
    return (await texts(`#${id} li`)).map((text): unknown => JSON.parse(text));
  };

  test("a page for a board: what it is, and the progress of its update", async () => {
    // Its traces need a privilege.
    const argv = ["--roothttp", PAGES, "--access", "open"];
    await using recovery = await serve(board, { argv });
    await view.navigate(`${recovery.url}/board.html`);
    await until("the board is shown", async () => {
      const [state = ""] = await texts("#state");
      if (/failed|closed/.test(state)) throw new Error(state);
      return state === "ready" && (await texts("dd")).length >= 4;
    });
    expect(await texts("dt")).toEqual(["board", "serial", "secure", "temperature"]);
    expect(await texts("dd")).toEqual(['"r-car m3"', "9007199254740992", "true", '"NaN"']);
    await view.click("#update");
    await until("the update is done", async () => (await texts("#end"))[0] !== "");
    expect(await texts("#steps li")).toEqual([
      "10 part 10",
      "50 part 50",
      "100 part 100",
      "not read: unexpected bracket: {progress: }",
    ]);
    expect(JSON.parse((await texts("#end"))[0] ?? "")).toMatchObject({ exit: 0 });
    expect(await view.evaluate("document.getElementById('bar').value")).toBe(100);
    expect(await texts("#traced li")).toEqual([
      'about begin "start"',
      "about reply 0",
      'update begin {"args":{"image":"full"}}',
      "update reply 0",
    ]);
  }, 120_000);

  test("the devtools page's start, verbs with events, stop", async () => {
    await view.navigate(`${served.url}/`);
    await until("the page is ready", async () => {
      const [state = ""] = await texts("#state");
      if (/failed|aborted/.test(state)) throw new Error(state);
      return state === "ready";
    });
    expect(await texts("h2")).toEqual(["page: for a page in a browser", "Replies", "Events"]);
    expect(await texts("h3")).toEqual(["first: with events", "second: with samples"]);
    expect(await texts(".verb")).toEqual([
      "first/count (an event per line) {}stop",
      "first/forever (until it is stopped) {}stop",
      'second/hello (greets) {"name":"world"}{"name":"<b>markup</b>"}stop',
    ]);
    expect(await texts("#page")).toEqual([
      "described: /first/count /first/forever /info /ping /second/hello",
    ]);

    await view.click("#count-0");
    const [started] = await items("replies", 1);
    const pid = pidOf(started);
    expect(started).toEqual({
      jtype: "afb-reply",
      request: { status: "success", code: 0 },
      response: { api: "page", sandbox: "first", command: "count", pid },
    });
    const event = (data: object) => ({
      jtype: "afb-event",
      event: "page/first/count",
      data: { ...data, pid },
    });
    const events = await items("events", 4);
    expect(events.at(-1)).toMatchObject(event({ type: "final-event", status: { exit: 0 } }));
    expect(events).toContainEqual(event({ type: "data", stderr: "bad" }));
    expect(events.filter((it) => JSON.stringify(it).includes("stdout"))).toEqual([
      event({ type: "data", stdout: "one" }),
      event({ type: "data", stdout: "twö" }),
    ]);

    // A synchronous encoder: an event first, the output in the reply.
    await view.click("#hello-1");
    expect((await items("replies", 2))[1]).toMatchObject({
      response: { stdout: ["Hello <b>markup</b>"], status: { exit: 0 } },
    });
    expect((await items("events", 5))[4]).toMatchObject({ data: { type: "initial-event" } });

    await view.click("#forever-0");
    const [, , running] = await items("replies", 3);
    const task = pidOf(running);
    expect((await items("events", 6))[5]).toMatchObject({ data: { pid: task, stdout: "begun" } });
    await view.click("#forever-stop");
    expect((await items("replies", 4))[3]).toMatchObject({
      response: [`first/forever@${task}`],
    });
    expect((await items("events", 7))[6]).toMatchObject({
      event: "page/first/forever",
      data: { type: "final-event", pid: task, status: { signal: "Interrupt" } },
    });
    const keep = process.env["SPAWNBOX_SCREENSHOT"];
    if (keep) await Bun.write(keep, await view.screenshot());
  }, 120_000);

  /** What the page of that origin made of each means to call `target`, and how many calls reached the verb. */
  const attack = async (
    origin: string,
    target: string,
  ): Promise<[Record<string, string>, number]> => {
    const count = async (): Promise<number> =>
      Number(/\d+$/.exec(String((await served.call("page/ping")).response))?.[0]);
    const before = await count();
    await view.navigate(`${origin}/attack.html?${encodeURIComponent(target)}`);
    const means = (await view.evaluate("window.result")) as Record<string, string>;
    return [means, (await count()) - before - 1];
  };
  const device = () => `http://device.test:${new URL(served.url).port}`;

  test("a page of our own reaches the verb by every means; so they would work", async () => {
    const [means, calls] = await attack(served.url, served.url);
    expect(means).toMatchObject({ "GET cors": "basic 200", events: "reply" });
    expect(means["socket"]).toContain("pong");
    expect(calls).toBe(Object.keys(means).length);
  }, 60_000);

  test("on a network, where the browser tells less, it does so unless it hides where it comes from", async () => {
    const [means, calls] = await attack(device(), device());
    expect(means).toMatchObject({ "GET cors": "basic 200", "GET without referrer": "basic 403" });
    expect(means["socket"]).toContain("pong");
    expect(calls).toBe(Object.keys(means).length - 1);
  }, 60_000);

  test("a page of another port, or under another name, reaches it by none", async () => {
    using foreign = Bun.serve({
      port: 0,
      hostname: "127.0.0.1",
      fetch: () => new Response(Bun.file(join(PAGES, "attack.html"))),
    });
    for (const [name, target] of [
      ["127.0.0.1", served.url],
      ["localhost", served.url],
      ["evil.test", device()],
      ["device.test", device()],
    ] as const) {
      const [means, calls] = await attack(`http://${name}:${foreign.port}`, target);
      expect(Object.keys(means).length).toBeGreaterThan(10);
      expect(means).toMatchObject({ "GET cors": "error", socket: "error", events: "error" });
      expect([name, calls]).toEqual([name, 0]);
    }
  }, 60_000);

  test("a name of the attacker's that leads here (DNS rebinding) has no page", async () => {
    const rebound = `http://evil.test:${new URL(served.url).port}`;
    await view.navigate(`${rebound}/attack.html?${encodeURIComponent(rebound)}`);
    expect(await view.evaluate("document.body.textContent")).toContain("not called");
    expect(await view.evaluate("window.result")).toBeUndefined();
  }, 60_000);
}
