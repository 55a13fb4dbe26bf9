/** The examples of the README and the guides: every config is checked, and every command line runs, as a reader would do it. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { basename } from "node:path";
import { isObject } from "../../src/object.ts";
import { isRoot, type User, users } from "../served.ts";
import { answers, type Example, examplesOf, PAGES, typed } from "./examples.ts";
import { Room } from "./room.ts";

/** A part of a config, in one that is whole. */
function whole(place: string, part: object): object {
  const command = { uid: "command", exec: { cmdpath: "/bin/true" } };
  const sandbox = { uid: "sandbox", acls: { user: "nobody" }, commands: command };
  const metadata = { uid: "guide", api: "guide" };
  switch (place) {
    case "command":
      return { metadata, sandboxes: { ...sandbox, commands: { ...command, ...part } } };
    case "sandbox":
      return { metadata, sandboxes: { ...sandbox, ...part } };
    default:
      throw new Error(`a part of a config is marked as one of a command or a sandbox: ${place}`);
  }
}

async function tried(room: Room, { language, place, code, file, elsewhere }: Example) {
  if (file !== undefined) room.write(file, `${code}\n`);
  if (elsewhere) return;
  if (language === "json") {
    const parsed: unknown = JSON.parse(code);
    if (!isObject(parsed)) throw new Error("a config is an object");
    if ("grants" in parsed) {
      room.write("access.json", code);
      room.write("empty.json", JSON.stringify(whole("command", {})));
      expect(await room.run("spawnbox check --access access.json empty.json")).toMatchObject({
        code: 0,
      });
      return;
    }
    if ("mcpServers" in parsed || "servers" in parsed) {
      await tryClients(room, parsed["mcpServers"] ?? parsed["servers"]);
      return;
    }
    const name = file ?? "part.json";
    room.write(name, JSON.stringify("metadata" in parsed ? parsed : whole(place, parsed)));
    const { code: exit, output } = await room.run(`spawnbox check --config ${name}`);
    expect({ exit, output }).toEqual({ exit: 0, output: expect.stringMatching(/^OK: /m) });
  } else if (language === "sh") {
    const ran = await room.run(code);
    if (ran.code !== 0) throw new Error(`exit code ${ran.code}: ${ran.output}`);
  } else if (language === "console") {
    expect(typed(code).length).toBeGreaterThan(0);
    for (const { command, answer } of typed(code)) {
      const { output } = await room.run(command);
      if (!answers(answer, output))
        throw new Error(`$ ${command}\nanswers\n${output}\nand not\n${answer}`);
    }
  } else if (file === undefined && !["nginx"].includes(language)) {
    throw new Error(`nothing is known of a block of ${language}`);
  }
}

/** Settings of clients of tools: what they start answers, and where they go there is something. */
async function tryClients(room: Room, servers: unknown): Promise<void> {
  if (!isObject(servers)) throw new Error("settings name servers");
  const params = { protocolVersion: "2025-11-25", capabilities: {} };
  const clientInfo = { name: "a reader", version: "1" };
  const first = { jsonrpc: "2.0", id: 1, method: "initialize", params: { ...params, clientInfo } };
  const message = JSON.stringify(first);
  for (const server of Object.values(servers)) {
    if (!isObject(server)) throw new Error("a server is an object");
    const { command, args, url } = server;
    const types = ["application/json", "application/json, text/event-stream"];
    const [type, accept] = types;
    const line =
      typeof url === "string"
        ? `curl -s -m 5 -H 'Content-Type: ${type}' -H 'Accept: ${accept}' -d '${message}' ${url}`
        : `(echo '${message}'; sleep 2) | ${[command, ...(Array.isArray(args) ? args : [])].join(" ")}`;
    expect((await room.run(line)).output).toContain('"serverInfo"');
  }
}

/** Only who reads the README may not be root yet: guides are about machines of one's own. */
const readersOf = (page: string): readonly User[] => (page === "README.md" ? users : ["root"]);

// Only root can make a room.
describe.skipIf(!isRoot)("examples", () => {
  for (const page of PAGES) {
    const examples = examplesOf(page);
    if (examples.length === 0) continue;
    describe.each(readersOf(page))(`${basename(page)}, as %s`, (user) => {
      let room: Room;
      beforeAll(async () => {
        room = await Room.open(user);
      });
      afterAll(() => room[Symbol.asyncDispose]());
      for (const example of examples) test(example.name, () => tried(room, example), 90_000);
    });
  }
});

test("what cannot run here is known, and says what it needs", () => {
  const elsewhere = PAGES.flatMap(examplesOf)
    .filter((example) => example.elsewhere)
    .map(({ name, code }) => `${name.replace(/:\d+ .*/, "")}: ${code.split("\n")[1]}`);
  expect(elsewhere).toEqual([
    "README.md: npm run build -- --arch arm64",
    "boards.md: npm run build -- --arch arm64",
    "boards.md: spawnbox doctor --config /etc/spawnbox",
    "boards.md: npm run release",
    "early.md: spawnbox install --early",
    "early.md: spawnbox install --initramfs",
    "services.md: systemd-run --pipe --wait -p Delegate=yes /usr/bin/spawnbox check /etc/spawnbox",
    "services.md: spawnbox doctor --config /etc/spawnbox",
  ]);
});

test("an answer is one only where it is the same", () => {
  expect(answers("a…c\n…\nd", "a b c\nx\ny\nd\n")).toBe(true);
  expect(answers("a…c", "a b d")).toBe(false);
  expect(answers("a", "a\nb")).toBe(false);
});
