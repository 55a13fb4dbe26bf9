/** A board with a few commands, and a browser that looks at its console. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { type Browser, openBrowser, PACKAGE, program } from "../afb/browser.ts";
import { type Served, serve, until } from "../served.ts";
import { Page } from "./page.ts";

const script = (text: string) => ({ cmdpath: "/bin/sh", args: ["-c", text] });
const config = {
  metadata: { uid: "board", api: "board", info: "a board with a few commands" },
  sandboxes: [
    {
      uid: "free",
      prefix: "",
      info: "nothing around it",
      acls: { user: "nobody" },
      commands: [
        {
          uid: "form",
          info: "one of each kind of argument",
          encoder: "sync",
          params: {
            mode: { enum: ["slow", "fast"] },
            level: { type: "integer", minimum: 1, maximum: 9 },
            force: { type: "boolean" },
            pin: { type: "string", writeOnly: true },
            name: { type: "string", pattern: "^[a-z]+$" },
            list: { type: "array", items: { type: "integer" } },
            text: { type: "string" },
          },
          sample: [
            { mode: "fast", level: 3, force: true, pin: "1", name: "x", list: [1], text: "t" },
          ],
          exec: {
            cmdpath: "/bin/echo",
            args: ["got", "%mode%", "%level%", "%force%", "%name%", "%list%", "%text%", "?pin?"],
          },
        },
        {
          uid: "many",
          info: "a hundred thousand lines",
          encoder: "line",
          exec: script("seq 1 100000; echo the end; exec sleep 1000"),
        },
        {
          uid: "slow",
          info: "a line now and then",
          encoder: "line",
          history: { ring: "256K" },
          exec: script("for i in $(seq 1000); do echo tick $i; sleep 0.1; done"),
        },
        {
          uid: "forgotten",
          info: "more than is kept of it",
          encoder: "line",
          history: { ring: "64K" },
          exec: script("seq 1 20000; exec sleep 1000"),
        },
        {
          uid: "watched",
          privilege: "urn:example:secret",
          info: "not for everybody, and long",
          encoder: "line",
          exec: script("for i in $(seq 1000); do echo tick $i; sleep 0.1; done"),
        },
        {
          uid: "colours",
          info: "as terminals show them",
          encoder: "line",
          exec: script(
            "printf '\\033[31mred\\033[0m \\033[1;32mgreen\\033[0m \\033[38;2;255;128;0morange\\033[0m\\n'; echo wrong >&2; printf '10%%%%\\r100%%%%\\n'",
          ),
        },
        {
          uid: "measure",
          info: "numbers as they come",
          encoder: "json",
          exec: script(
            'for i in 1 2 3 4 5; do echo "{\\"progress\\": $((i*20)), \\"temperature\\": $((20+i*i)), \\"door\\": \\"shut\\"}"; done; sleep 1',
          ),
        },
        {
          uid: "evil",
          info: "<img src=x onerror=alert(1)> in its help",
          encoder: "line",
          exec: {
            cmdpath: "/bin/sh",
            args: ["-c", "cat /tmp/none; printf '%%s\\n' \"$1\"", "sh", "%text%"],
          },
        },
        {
          uid: "reset",
          info: "not to be undone",
          encoder: "sync",
          confirm: true,
          params: { what: { type: "string" }, pin: { type: "string", writeOnly: true } },
          exec: { cmdpath: "/bin/echo", args: ["reset", "?what?", "?pin?"] },
        },
        {
          uid: "stubborn",
          info: "does not end when it is told to",
          encoder: "line",
          stop: { grace: 60 },
          exec: script("trap 'echo no' INT TERM; echo begun; while :; do sleep 0.1; done"),
        },
        {
          uid: "secret",
          privilege: "urn:example:secret",
          info: "not for everybody",
          encoder: "sync",
          exec: { cmdpath: "/bin/echo", args: ["42"] },
        },
      ],
    },
    {
      uid: "guarded",
      info: "tells what it denies",
      optional: true,
      acls: { user: "nobody" },
      exec: true,
      seccomp: {
        ...{ default: "SCMP_ACT_ALLOW", report: true },
        rules: [{ syscall: "mkdir", action: "SCMP_ACT_ERRNO(EPERM)" }],
      },
      commands: {
        uid: "mkdir",
        encoder: "sync",
        exec: { cmdpath: "/bin/mkdir", args: ["/tmp/x"] },
      },
    },
  ],
};
// In the config $ stands for the environment, as long as it is not doubled.
const text = JSON.stringify(config).replaceAll("$", "$$$$").replace("^[a-z]+$$", "^[a-z]+$");

export const boardConfig = (): unknown => JSON.parse(text);

/** What tests look at: there once they run. */
export interface Board {
  readonly served: Served;
  readonly browser: Browser;
  readonly page: Page;
  /** A view of the board's own page, and waits until there is something. */
  open(hash?: string): Promise<void>;
}

/** Tests in a browser: skipped where there is none, and failing there under CI. */
export function inBrowser(
  subject: string,
  tests: (board: Board) => void,
  start: () => Promise<Served> = () => serve(boardConfig()),
): void {
  if (program === null) {
    const missing = `${subject}: the package ${PACKAGE} is not installed`;
    if (process.env["CI"]) test(missing, () => expect(program).not.toBeNull());
    else test.skip(missing, () => undefined);
    console.error(missing);
    return;
  }
  describe(`in chromium: ${subject}`, () => {
    let made: { served: Served; browser: Browser; page: Page } | undefined;
    const there = () => made ?? expect.unreachable("only within a test");
    beforeAll(async () => {
      const served = await start();
      const browser = openBrowser();
      const page = new Page(browser.view());
      made = { served, browser, page };
      // The browser's first start may take long.
      await page.view.navigate("about:blank");
      await page.size(1100, 850);
      await page.scheme("light");
    }, 120_000);
    afterAll(async () => {
      made?.page.view.close();
      await made?.browser[Symbol.asyncDispose]();
      await made?.served[Symbol.asyncDispose]();
    });
    tests({
      get served() {
        return there().served;
      },
      get browser() {
        return there().browser;
      },
      get page() {
        return there().page;
      },
      open: async (hash = "") => {
        const { page, served } = there();
        await page.open(`${served.url}/${hash}`);
        await until("the page", async () => (await page.count("main h1, main .empty")) > 0);
      },
    });
  });
}
