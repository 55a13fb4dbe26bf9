/** The view of a fleet, on a server that is an operator of it: with a real broker and two boards, and one that says what it likes. */
import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { hashOf } from "../../src/access/token.ts";
import { type Broker, hasBroker, Raw, startBroker } from "../fleet/broker.ts";
import { type Served, serve, until } from "../served.ts";
import { inBrowser } from "./board.ts";

const TOKEN = "the-token-of-the-operator";
const EVIL = "<img src=x onerror=alert(1)>\u001b[31m\u202e";
const script = (text: string) => ({ cmdpath: "/bin/sh", args: ["-c", text] });
const boatConfig = {
  metadata: { uid: "boat", api: "boat" },
  sandboxes: {
    ...{ uid: "box", prefix: "", acls: { user: "nobody" } },
    commands: [
      {
        ...{ uid: "light", info: "switches a light", encoder: "line" },
        params: { colour: { enum: ["red", "green"] }, pin: { type: "string", writeOnly: true } },
        exec: { cmdpath: "/bin/echo", args: ["the light is", "%colour%", "?pin?"] },
      },
      { uid: "wait", encoder: "line", exec: script("echo waiting; exec sleep 1000") },
      { uid: "broken", encoder: "sync", exec: script("echo oh no >&2; exit 3") },
    ],
  },
};

const dir = mkdtempSync(join(tmpdir(), "spawnbox-console-fleet-"));
const put = (name: string, value: unknown): string => {
  writeFileSync(join(dir, name), JSON.stringify(value));
  return join(dir, name);
};
let broker: Broker | undefined;
const boats: Served[] = [];
let evil: Raw | undefined;

async function start(): Promise<Served> {
  const made = await startBroker({ tls: false });
  broker = made;
  const boat = (board: string): Promise<Served> => {
    const fleet = put(`${board}.json`, { broker: made.url, board, groups: ["dock"] });
    const access = put("boats.json", { grants: [{ mqtt: "op1", privileges: [] }] });
    return serve(boatConfig, { argv: ["--fleet", fleet, "--access", access] });
  };
  boats.push(...(await Promise.all([boat("boat-1"), boat("boat-2")])));
  const raw = await Raw.as(made, "boat-3");
  evil = raw;
  const about = { version: EVIL, groups: [EVIL], apis: [EVIL, "evil"] };
  const verbs = [
    {
      ...{ name: "do", info: EVIL },
      arguments: {
        properties: {
          [EVIL]: {},
          what: { description: EVIL, default: EVIL },
          which: { enum: [EVIL], pattern: EVIL },
        },
      },
    },
    { name: EVIL, arguments: true },
  ];
  const retained = (topic: string, text: string) =>
    raw.publish(`sb/v1/boat-3/${topic}`, text, {}, { retain: true });
  await retained("about", JSON.stringify(about));
  await retained("api/evil", JSON.stringify({ api: "evil", info: EVIL, verbs }));
  await retained("status", "online");
  await raw.subscribe("sb/v1/boat-3/call/#");
  raw.client.on("message", (topic, _payload, { properties }) => {
    const user = (kind: string, seq: number) => ({ userProperties: { kind, seq: `${seq}` } });
    const event = { event: EVIL, data: { type: "data", stdout: EVIL, [EVIL]: EVIL } };
    const request = topic.endsWith("/quiet") ? { status: EVIL } : { status: EVIL, info: EVIL };
    const to = properties?.responseTopic ?? "";
    void raw.publish(to, "{}", user("accepted", 0));
    void raw.publish(to, JSON.stringify(event), user("event", 1));
    void raw.publish(to, JSON.stringify({ request, response: { [EVIL]: EVIL } }), user("reply", 2));
  });
  const fleet = put("office.json", { broker: made.url, operator: "op1" });
  const privileges = ["urn:spawnbox:fleet", "urn:spawnbox:fleet:call"];
  const access = put("office-access.json", { grants: [{ token: hashOf(TOKEN), privileges }] });
  const config = {
    metadata: { uid: "office", api: "office" },
    sandboxes: { uid: "x", acls: { user: "nobody" }, commands: { uid: "x", exec: script("true") } },
  };
  return await serve(config, { argv: ["--fleet", fleet, "--access", access] });
}

afterAll(async () => {
  await evil?.[Symbol.asyncDispose]();
  for (const one of boats) await one[Symbol.asyncDispose]();
  await broker?.[Symbol.asyncDispose]();
  rmSync(dir, { recursive: true, force: true });
});

if (hasBroker)
  inBrowser(
    "fleet",
    (board) => {
      const rows = (): Promise<number> => board.page.count(".board-row");
      const running = async (): Promise<number> => {
        const all = await Promise.all(
          boats.map((one) => one.call("monitor/tasks", { state: "running" })),
        );
        return all.flatMap(({ response }) => response as unknown[]).length;
      };

      test("[protection] who has no privilege for it sees no board, and is told which it takes", async () => {
        await board.open("#/f");
        await board.page.see("urn:spawnbox:fleet", ".fault");
        expect(await rows()).toBe(0);
        expect(await board.page.barriers()).toEqual([]);
        await board.page.evaluate(`sessionStorage.setItem("spawnbox:token", "${TOKEN}")`);
      }, 60_000);

      test("boards are listed, found, and come and go", async () => {
        await board.page.evaluate("location.reload()");
        await board.page.see("Online: 3 of 3 boards, called as op1.");
        await until("three", async () => (await rows()) === 3);
        await board.page.screenshot("fleet");
        expect(await board.page.barriers()).toEqual([]);
        await board.page.evaluate("document.activeElement.blur()");
        await board.page.view.press("/");
        await board.page.view.type("boat-2");
        await until("one", async () => (await rows()) === 1);
        for (const _ of "boat-2") await board.page.view.press("Backspace");
        await until("three", async () => (await rows()) === 3);
        const say = (text: string) =>
          evil?.publish("sb/v1/boat-4/status", text, {}, { retain: true });
        await say("offline");
        await board.page.see("Online: 3 of 4 boards");
        await board.page.see("boat-4", "main");
        await say("");
        await board.page.see("Online: 3 of 3 boards");
        await until("three", async () => (await rows()) === 3);
      }, 60_000);

      test("a verb is called on one board by its form, and what it prints is shown", async () => {
        await board.page.go("#/f/boat-1");
        await board.page.see("online", ".lead");
        await until("its verbs", async () => (await board.page.count("datalist option")) > 3);
        await board.page.evaluate("document.getElementById('method').focus()");
        await board.page.view.type("boat/light");
        await board.page.see("switches a light");
        await board.page.fill("field-colour", "green");
        await board.page.fill("field-pin", "4711");
        await board.page.screenshot("fleet-form");
        expect(await board.page.barriers()).toEqual([]);
        await board.page.press("Run");
        await board.page.see("the light is green 4711", ".results");
        await board.page.see("succeeded: 1", ".counts");
        expect(await board.page.evaluate("JSON.stringify({ ...localStorage })")).not.toContain(
          "4711",
        );
      }, 60_000);

      test("of a group, results come one by one after a question, and Stop ends what runs", async () => {
        await board.page.go("#/f/@dock");
        await board.page.see("Online: 2 of 2 boards");
        await board.page.fill("method", "boat/wait");
        await board.page.evaluate("document.getElementById('method').focus()");
        await board.page.view.press("Enter");
        await board.page.see("Really start boat/wait → @dock (2)?", "dialog");
        await board.page.screenshot("fleet-question");
        await board.page.view.press("Escape");
        await until("no question", async () => (await board.page.count("dialog")) === 0);
        expect(await board.page.count(".results")).toBe(0);
        await board.page.press("Run on @dock (2)");
        await board.page.evaluate("document.querySelector('dialog .danger').click()");
        await board.page.see("running: 2", ".counts");
        await until("both wait", async () => (await running()) === 2);
        await until(
          "both are seen",
          async () => (await board.page.count(".results details")) === 2,
        );
        await board.page.screenshot("fleet-running");
        // It goes on while others are looked at.
        await board.page.go("#/a");
        await board.page.see("Activity", "h1");
        await board.page.go("#/f/@dock");
        await board.page.see("running: 2", ".counts");
        await board.page.press("Stop");
        await board.page.see("failed: 2", ".counts");
        await board.page.see("stopped", "[role=status]");
        await until("nothing runs", async () => (await running()) === 0);
        expect(await board.page.barriers()).toEqual([]);
      }, 60_000);

      test("a board that is gone is offline, and others fail for reasons", async () => {
        await boats[1]?.crash();
        await board.page.go("#/f");
        await board.page.see("Online: 2 of 3 boards");
        await board.page.go("#/f/@dock");
        await board.page.see("Online: 1 of 2 boards");
        await board.page.fill("method", "boat/broken");
        await board.page.press("Run on @dock (1)");
        await board.page.evaluate("document.querySelector('dialog .danger').click()");
        await board.page.see("offline: 1", ".counts");
        await board.page.see("failed: 1", ".counts");
        await board.page.see("It ended with exit code 3.", ".results");
        await board.page.screenshot("fleet-failed");
      }, 60_000);

      test("[protection] what a board sends is text", async () => {
        await board.page.go("#/f/boat-3");
        await board.page.see("online", ".lead");
        await until("its verbs", async () => (await board.page.count("datalist option")) > 0);
        await board.page.fill("method", "evil/do");
        await board.page.see("<img src=x onerror=alert(1)>", "form");
        expect(await board.page.barriers()).toEqual([]);
        await board.page.press("Run");
        await board.page.see("<img src=x onerror=alert(1)>", ".results");
        await until("it is over", async () => (await board.page.count(".chip.running")) === 0);
        await board.page.screenshot("fleet-evil");
        expect(await board.page.count("main img")).toBe(0);
        expect(await board.page.text("main")).not.toMatch(/[\u001b\u202e]/);
        await board.page.fill("method", "evil/quiet");
        await board.page.press("Run");
        await board.page.see('{"<img', ".results");
        await until("it is over", async () => (await board.page.count(".chip.running")) === 0);
        const shown = await board.page.text("main");
        expect(shown).not.toMatch(/[\u001b\u202e]/);
      }, 60_000);

      test("on a phone, in the dark, in other languages", async () => {
        await board.page.scheme("dark");
        await board.page.size(360, 740);
        const speak = (language: string) =>
          board.page.evaluate(
            `(() => { const one = document.querySelector('header select'); one.value = '${language}'; one.dispatchEvent(new Event('change', { bubbles: true })); })()`,
          );
        try {
          for (const [language, online, seen, counted] of [
            ["de", "Online: 2 von 3 Geräten", "Auf @dock starten (1)", "gescheitert: 1"],
            ["fr", "En ligne : 2 sur 3", "Lancer sur @dock (1)", "échoué : 1"],
          ] as const) {
            await speak(language);
            await board.page.go("#/f");
            await board.page.see(online);
            expect(await board.page.overflow()).toBe(0);
            expect(await board.page.barriers()).toEqual([]);
            await board.page.screenshot(`phone-fleet-${language}`);
            await board.page.go("#/f/@dock");
            await board.page.see(seen);
            await board.page.fill("method", "boat/broken");
            await board.page.press(seen);
            await board.page.screenshot(`phone-fleet-question-${language}`);
            await board.page.evaluate("document.querySelector('dialog .danger').click()");
            await until("a result", async () => (await board.page.count(".results li")) === 2);
            await board.page.see(counted, ".counts");
            expect(await board.page.overflow()).toBe(0);
            expect(await board.page.barriers()).toEqual([]);
            await board.page.screenshot(`phone-fleet-results-${language}`);
          }
        } finally {
          await board.page.evaluate("localStorage.clear()");
          await board.page.size(1100, 850);
          await board.page.scheme("light");
        }
      }, 60_000);
    },
    start,
  );
else test.skip("the view of a fleet: mosquitto is not installed", () => undefined);
