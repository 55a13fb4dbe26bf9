/** A permission service that takes its time: what is called meanwhile waits for it, and what changes meanwhile counts. */
import { describe, expect, test } from "bun:test";
import { Admission } from "../../src/api/admission.ts";
import type { Request } from "../../src/api/client.ts";
import type { Answer, How, PermissionService, Question } from "../../src/api/permissions.ts";
import type { Granted } from "../../src/api/privileges.ts";
import { createRegistry } from "../../src/api/registry.ts";
import { until } from "../served.ts";
import {
  apiOf,
  connecting,
  granting,
  pidOf,
  shell,
  sleeper,
  spawnLaunch,
  TestClient,
} from "./harness.ts";

const connect = connecting();
const sync = { encoder: { name: "sync", opts: {} } };
const NO: Answer = { refused: "it says no" };

class Service implements PermissionService {
  readonly asked: (Question & How & { answer: (answer: Answer) => void })[] = [];
  /** Answered at once; others wait. */
  readonly known = new Map<string, Answer>();

  ask(question: Question, how: How): Answer | Promise<Answer> {
    const known = this.known.get(question.privilege);
    if (known) return known;
    const { promise, resolve } = Promise.withResolvers<Answer>();
    this.asked.push({ ...question, ...how, answer: resolve });
    return promise;
  }

  get privileges(): string[] {
    return this.asked.map(({ privilege }) => privilege);
  }

  /** The answer to the next question, once it is asked. */
  async next(answer: Answer): Promise<Question & How> {
    await until("it is asked", () => this.asked.length > 0);
    const question = this.asked.shift();
    if (!question) throw new Error("nothing is asked");
    question.answer(answer);
    return question;
  }
}

function make(plans: Parameters<typeof connect>[0], more: Parameters<typeof connect>[1] = {}) {
  const service = new Service();
  let launches = 0;
  const launch: typeof spawnLaunch = (...args) => {
    launches++;
    return spawnLaunch(...args);
  };
  const made = connect(plans, { launch, permissions: () => service, ...more });
  return { ...made, service, launched: () => launches };
}

describe("a call", () => {
  test("launches once everything is given, and asks one after the other", async () => {
    const plan = shell("a", "echo a", { ...sync, privileges: ["x", "y", "z"] });
    const { client, service, launched } = make([plan], { granted: granting("y") });
    const reply = client.call("a");
    const caller = { session: "test-session", label: "NoLabel", uid: 99, from: "", patient: false };
    expect(await service.next("yes")).toMatchObject({ ...caller, privilege: "x" });
    await until("the next is asked", () => service.asked.length > 0);
    expect([service.privileges, launched()]).toEqual([["z"], 0]);
    await service.next("yes");
    expect((await reply).response).toMatchObject({ stdout: ["a"] });
    expect(launched()).toBe(1);
    const refused = client.call("a", null, {
      caller: { token: "T", user: { uid: 7, gids: [], confined: false, label: "L" } },
    });
    expect(await service.next(NO)).toMatchObject({ session: "T", uid: 7, label: "L" });
    expect((await refused).request).toEqual({
      status: "insufficient-scope",
      info: "p/a needs the privilege x; it says no",
      code: -9,
    });
    expect([service.asked.length, launched()]).toEqual([0, 1]);
  });

  test("is asked about once, also by a verb that stands for another", async () => {
    const plan = shell("a", "echo a", { ...sync, privileges: ["x"] });
    const via = {
      uid: "via",
      action: "api://p#a",
      target: { kind: "api", api: "p", verb: "a" },
      privileges: ["w"],
      required: false,
    } as const;
    const actions = { onload: [], onstart: [], events: [], extra: [via] };
    const { client, service } = make([], { apis: [apiOf([plan], { actions })] });
    const reply = client.call("via");
    expect((await service.next("yes")).privilege).toBe("w");
    expect((await service.next("yes")).privilege).toBe("x");
    expect((await reply).request.code).toBe(0);
    expect(service.asked).toEqual([]);
  });

  test("what a reload makes it need meanwhile is asked about too, and what it takes away", async () => {
    let granted: Granted = granting("y");
    const plan = (...privileges: string[]) => shell("a", "echo a", { ...sync, privileges });
    const { client, service, registry, launched } = make([plan("x", "y")], {
      granted: (caller) => granted(caller),
    });
    const reply = client.call("a");
    await until("it is asked", () => service.asked.length > 0);
    registry.replace([apiOf([plan("x", "y", "z")])]);
    granted = granting();
    expect((await service.next("yes")).privilege).toBe("x");
    expect((await service.next("yes")).privilege).toBe("y");
    expect((await service.next(NO)).privilege).toBe("z");
    expect((await reply).request.info).toBe("p/a needs the privilege z; it says no");
    const gone = client.call("a");
    await until("it is asked", () => service.asked.length > 0);
    registry.replace([apiOf([])]);
    await service.next("yes");
    expect((await gone).request.status).toBe("unknown-verb");
    expect(launched()).toBe(0);
  });

  test("of exec: by the sandbox, also where that needs more by then", async () => {
    const template = (...privileges: string[]) =>
      shell("exec", "", { privileges, argv: { elements: [], names: new Set() }, ...sync });
    const api = (...privileges: string[]) => [
      apiOf([], {
        sandboxes: [
          { uid: "free", plans: [], exec: template() },
          { uid: "s", plans: [], exec: template(...privileges) },
        ],
      }),
    ];
    const { client, service, registry, launched } = make([], { apis: api("x") });
    const exec = { sandbox: "s", exec: { cmdpath: "/bin/true" } };
    const reply = client.call("exec", exec);
    await until("it is asked", () => service.asked.length > 0);
    registry.replace(api("x", "z"));
    await service.next("yes");
    expect((await service.next(NO)).privilege).toBe("z");
    expect((await reply).request.code).toBe(-9);
    expect(launched()).toBe(0);
    // To stop all, each of the tasks is asked about.
    for (const [sandbox, privilege] of [
      ["s", "x"],
      ["free", ""],
    ]) {
      if (privilege) service.known.set("x", "yes").set("z", "yes");
      await client.call("exec", {
        sandbox,
        encoder: "line",
        exec: { cmdpath: "/bin/sleep", args: ["60"] },
      });
    }
    service.known.clear();
    const stop = client.call("exec", { action: "stop" });
    await service.next(NO);
    expect((await stop).response).toEqual([expect.stringMatching(/^sb\/sleep@/)]);
  });

  test("of exec: a stop of one whose turn has not come is asked about, and told of by then", async () => {
    const template = (...privileges: string[]) =>
      shell("exec", "", { privileges, argv: { elements: [], names: new Set() } });
    const sandboxes = [
      { uid: "free", plans: [sleeper("full")], exec: template() },
      { uid: "s", plans: [], exec: template("x") },
    ];
    const apis = [apiOf([], { sandboxes })];
    const admission = new Admission({ tasks: 1 });
    const { client, service, launched } = make([], { apis, admission });
    await client.call("full");
    service.known.set("x", "yes");
    const waiting = client.call("exec", { sandbox: "s", exec: { cmdpath: "/bin/true" } });
    await until("it waits", () => admission.load.waiting === 1);
    service.known.clear();
    for (const answer of [NO, "yes"] as const) {
      let isTold = false;
      const stop = client.call("exec", { action: "stop" }).then((reply) => {
        isTold = true;
        return reply;
      });
      await until("it is asked", () => service.asked.length > 0);
      await new Promise((resolve) => setImmediate(resolve));
      expect([isTold, admission.load.waiting]).toEqual([false, 1]);
      await service.next(answer);
      expect((await stop).response).toEqual([]);
      expect(admission.load.waiting).toBe(answer === "yes" ? 0 : 1);
    }
    expect((await waiting).request.info).toBe("it was stopped before its turn came");
    expect(launched()).toBe(1);
  });

  test("without a service, or of the server itself, nobody is asked", async () => {
    const plan = shell("a", "echo a", { ...sync, privileges: ["x"] });
    const { client, service } = make([plan], { granted: granting("x") });
    expect((await client.call("a")).request.code).toBe(0);
    const run = {
      uid: "first",
      action: "api://p#a",
      target: { kind: "api", api: "p", verb: "a" },
      required: true,
    } as const;
    const actions = { onload: [run], onstart: [], events: [], extra: [] };
    const registry = createRegistry({
      apis: [apiOf([plan], { actions })],
      launch: spawnLaunch,
      permissions: () => service,
    });
    await registry.start();
    await registry.close();
    expect(service.asked).toEqual([]);
  });
});

describe("who follows", () => {
  const plan = sleeper("s", { privileges: ["x"], encoder: { name: "line", opts: {} } });

  /** Starts a task, and lets others follow. */
  async function following(count: number) {
    const made = make([plan]);
    made.service.known.set("x", "yes");
    const pid = pidOf(await made.client.call("s"));
    const clients = Array.from({ length: count }, () => new TestClient(made.registry));
    for (const client of clients) await client.call("s", { action: "subscribe", args: { pid } });
    made.service.known.clear();
    return { ...made, pid, clients };
  }

  const lost = (client: TestClient): boolean =>
    client.wire.some((one) => one.includes("unsubscribed"));

  test("is asked about after a change, patiently, and loses it by a no", async () => {
    const { registry, client, clients, service } = await following(1);
    registry.recheck();
    expect(service.asked.map(({ patient }) => patient)).toEqual([true, true]);
    await service.next(NO);
    await service.next("yes");
    await client.until("unsubscribed");
    expect(clients.map(lost)).toEqual([false]);
  });

  test("is asked about once more for all that has changed meanwhile, unless it has lost it by then", async () => {
    const { registry, client, service } = await following(0);
    for (let i = 0; i < 100; i++) registry.recheck();
    expect(service.asked.length).toBe(1);
    await service.next("yes");
    await until("it is asked again", () => service.asked.length > 0);
    expect(service.asked.length).toBe(1);
    registry.recheck();
    await service.next(NO);
    await client.until("unsubscribed");
    expect(service.asked).toEqual([]);
  });

  test("is asked about no more once it has all of an output that it takes as it is", async () => {
    const encoder = { name: "file", opts: { type: "text/plain" } };
    const { registry, service } = make([shell("f", "echo x", { privileges: ["x"], encoder })]);
    service.known.set("x", "yes");
    const bytes = async () => ({ write: () => {}, drop: () => {} });
    const made = { ...{ api: "p", verb: "f", args: undefined }, session: { uuid: "s" }, bytes };
    expect((await registry.call(made)).request.status).toBe("success");
    service.known.clear();
    registry.recheck();
    expect(service.asked).toEqual([]);
  });

  test("keeps it where it has subscribed anew meanwhile", async () => {
    const {
      registry,
      clients: [client],
      service,
      pid,
    } = await following(1);
    if (!client) throw new Error("nobody follows");
    registry.recheck();
    service.known.set("x", "yes");
    await client.call("s", { action: "subscribe", args: { pid } });
    service.known.clear();
    for (const { answer } of service.asked.splice(0)) answer(NO);
    await Bun.sleep(1);
    expect(lost(client)).toBe(false);
  });

  test("by an answer from before a change is asked about again", async () => {
    const { registry, client, service, launched } = make([plan]);
    const reply = client.call("s");
    await until("it is asked", () => service.asked.length > 0);
    // Both in one turn, as in one piece of a stream.
    const [first] = service.asked.splice(0);
    first?.answer("yes");
    registry.recheck();
    expect((await reply).request.code).toBe(0);
    expect(launched()).toBe(1);
    expect((await service.next(NO)).privilege).toBe("x");
    await client.until("unsubscribed");
  });

  test("the monitor is asked about too", async () => {
    const { registry, client, service } = make([plan]);
    const verb = (name: string, args: unknown): Partial<Request> => ({
      api: "monitor",
      verb: name,
      args,
    });
    const privilege = (name: string) => `urn:AGL:permission:monitor:public:${name}`;
    for (const name of ["trace", "subscribe"]) service.known.set(privilege(name), "yes");
    const watcher = new TestClient(registry);
    await watcher.call("trace", { add: { api: "p" } }, verb("trace", { add: { api: "p" } }));
    await watcher.call("subscribe", "disconnected", verb("subscribe", "disconnected"));
    service.known.clear();
    registry.recheck();
    expect(service.privileges).toEqual([privilege("trace"), privilege("subscribe")]);
    for (const { answer } of service.asked.splice(0)) answer(NO);
    await Bun.sleep(1);
    const { length } = watcher.frames;
    const other = new TestClient(registry);
    await other.call("ping");
    other.disconnect();
    await client.call("ping");
    expect(watcher.frames.length).toBe(length);
  });
});
