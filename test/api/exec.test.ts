import { describe, expect, test } from "bun:test";
import { createRegistry, type RegistryOptions } from "../../src/api/registry.ts";
import type { Plan } from "../../src/plan/plan.ts";
import type { Refusal } from "../../src/api/witness.ts";
import { apiOf, connecting, pidOf, shell, spawnLaunch, TestClient } from "./harness.ts";

const make = connecting();

const template = (sandbox: string, overrides: Partial<Plan> = {}): Plan =>
  shell("exec", "", { sandbox, argv: { elements: [], names: new Set() }, ...overrides });

function connect(options: Partial<RegistryOptions> = {}) {
  const sandboxes = [
    { uid: "open", plans: [], exec: template("open", { timeout: 500 }) },
    { uid: "shut", plans: [shell("hello", "echo hello")] },
    { uid: "guarded", plans: [], exec: template("guarded", { privileges: ["urn:x"] }) },
  ];
  return make([], { apis: [apiOf([], { sandboxes })], ...options }).client;
}

const exec = (cmdpath: string, ...args: unknown[]) => ({ cmdpath, args });
const refused = (id: string, info: string) =>
  `[4,"${id}",{"jtype":"afb-reply","request":{"status":"invalid-request","info":${JSON.stringify(info)},"code":-12}}]`;

test("runs a program, and tells of it as of a command", async () => {
  const client = connect();
  await client.call("exec", { sandbox: "open", exec: exec("/bin/echo", "a b") });
  await client.until("final-event");
  expect(client.wire).toEqual([
    '[3,"1",{"jtype":"afb-reply","request":{"status":"success","code":0},"response":{"api":"p","sandbox":"open","command":"echo","pid":PID}}]',
    '[5,"p/exec",{"jtype":"afb-event","event":"p/exec","data":{"type":"data","pid":PID,"stdout":["a b"]}}]',
    '[5,"p/exec",{"jtype":"afb-event","event":"p/exec","data":{"type":"final-event","pid":PID,"status":{"exit":0}}}]',
  ]);
});

test("arguments are literal: neither templates nor variables", async () => {
  const client = connect();
  const args = ["%s|", "%name%", "?x?", "%%", "$HOME", "-n", 1, true, { a: [1] }];
  await client.call("exec", {
    sandbox: "open",
    exec: exec("/usr/bin/printf", ...args),
    encoder: "raw",
    uid: "say",
  });
  expect(client.wire[1]).toContain('"command":"say"');
  expect(client.wire[1]).toContain(
    '"stdout":"%name%|?x?|%%|$HOME|-n|1|true|{\\"a\\":[1]}|","stderr":""',
  );
});

test("wrong queries are told, and start nothing", async () => {
  const client = connect();
  const fine = { sandbox: "open", exec: exec("/bin/true") };
  await client.call("exec");
  await client.call("exec", { ...fine, sandbox: "opne" });
  await client.call("exec", { ...fine, sandbox: "shut" });
  await client.call("exec", { ...fine, exec: exec("true") });
  await client.call("exec", { ...fine, exec: exec("/bin/true", "a\0b") });
  await client.call("exec", { ...fine, sandboxes: 1 });
  await client.call("exec", { ...fine, encoder: { output: "log", opts: { stdout: "/tmp/x" } } });
  await client.call("exec", { ...fine, encoder: { output: "text", opts: { maxlen: 1 } } });
  await client.call("exec", { ...fine, timeout: -1 });
  await client.call("exec", { ...fine, uid: "../x" });
  // Beyond what a timer counts it would be over at once.
  await client.call("exec", { ...fine, timeout: 2147484 });
  await client.call("exec", { ...fine, timeout: 1e300 });
  expect(client.wire).toEqual([
    refused("1", 'expects {"sandbox":"UID","exec":{"cmdpath":"/PATH","args":[…]}}'),
    refused("2", 'sandbox: none "opne" that allows exec; did you mean `open`? (open, guarded)'),
    refused("3", 'sandbox: none "shut" that allows exec (open, guarded)'),
    refused("4", "exec.cmdpath: expected an absolute path"),
    refused("5", "exec.args[0] contains a NUL character"),
    refused(
      "6",
      'unknown key "sandboxes"; did you mean `sandbox`? (sandbox, exec, uid, timeout, verbose, encoder)',
    ),
    refused("7", "encoder: log writes files with the rights of the server; choose another"),
    refused("8", "encoder.opts: maxlen: must be a whole number from 3 to 1048576, not 1"),
    refused("9", "timeout: expected seconds from 0 to 2147483, not -1"),
    refused("10", "uid: expected up to 64 letters, digits, _, . or -"),
    refused("11", "timeout: expected seconds from 0 to 2147483, not 2147484"),
    refused("12", "timeout: expected seconds from 0 to 2147483, not 1e+300"),
  ]);
});

describe("privileges", () => {
  test("are the sandbox's, for every action", async () => {
    const privileges = new Set(["urn:x"]);
    const client = connect({ granted: () => ({ privileges }) });
    const query = { sandbox: "guarded", exec: exec("/bin/sleep", "60") };
    const pid = pidOf(await client.call("exec", query));
    privileges.clear();
    await client.call("exec", query);
    await client.call("exec", { action: "stop", args: { pid } });
    const denied =
      '{"jtype":"afb-reply","request":{"status":"insufficient-scope","info":"p/exec needs the privilege urn:x","code":-9}}]';
    expect(client.wire.slice(1)).toEqual([`[4,"2",${denied}`, `[4,"3",${denied}`]);
    expect((await client.call("exec", { action: "stop" })).response).toEqual([]);
    privileges.add("urn:x");
    expect((await client.call("exec", { action: "stop" })).response).toEqual([
      `guarded/sleep@${pid}`,
    ]);
    await client.until("final-event");
  });

  test("a caller may ask for less time, not for more", async () => {
    const client = connect();
    const run = (timeout: number) =>
      client.call("exec", {
        sandbox: "open",
        exec: exec("/bin/sleep", "60"),
        encoder: "sync",
        timeout,
      });
    const [long, short] = await Promise.all([run(100), run(0.05)]);
    for (const reply of [long, short]) {
      expect(JSON.stringify(reply)).toContain('"status":{"signal":"Killed","info":"timeout"');
    }
  });
});

test("is no verb where no sandbox allows it", async () => {
  const registry = createRegistry({ apis: [apiOf([])], launch: spawnLaunch });
  const client = new TestClient(registry);
  expect((await client.call("exec", {})).request.status).toBe("unknown-verb");
});

test("of a stop that is refused nothing is told as if it had been a start", async () => {
  const refusals: Refusal[] = [];
  const client = connect({ witnesses: [{ refused: (one) => void refusals.push(one) }] });
  await client.call("exec", { action: "stop", args: { sandbox: "open", pid: "SECRET" } });
  expect(refusals).toMatchObject([{ verb: "exec", action: "stop", status: "invalid-request" }]);
  for (const key of ["args", "argv", "hidden"]) expect(refusals[0]).not.toHaveProperty(key);
  await client.call("exec", { sandbox: "open", exec: exec("true") });
  expect(refusals[1]).toMatchObject({ action: "start", sandbox: "open" });
});
