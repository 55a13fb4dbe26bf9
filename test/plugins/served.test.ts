import { expect, test } from "bun:test";
import { mkdirSync, readFileSync } from "node:fs";
import { MONITOR_VERBS } from "../../src/plugins/names.ts";
import { Modules } from "./modules.ts";

const executable = `${import.meta.dir}/../../dist/spawnbox`;

/** The plugin has no project around it, and is newer than the executable. */
const PLUGIN = `
import { readFileSync } from "node:fs";
import type { Plugin } from "spawnbox";
export const functions: Plugin["functions"] = {
  version: () => readFileSync("/proc/version", "utf8").split(" ")[0],
  loop() { for (;;) Bun.sleepSync(1); },
  stray(_args, context) {
    // Not a text, as happens in a catch block.
    context.log("error", new Error("handed over") as never);
    setTimeout(() => { throw new Error("late"); }, 1);
    void Promise.reject(new Error("forgotten"));
    void Promise.reject("no error at all");
    return "soon";
  },
};
export const encoders: Plugin["encoders"] = {
  size: {
    synchronous: true,
    begin() {
      let size: number = 0;
      return { stdout: (c: Uint8Array) => void (size += c.length), stderr() {}, end: () => ({ size }) };
    },
  },
};
`;

const config = {
  metadata: { uid: "t", api: "t" },
  plugins: { uid: "plug", libs: "plug.ts" },
  sandboxes: {
    uid: "s",
    acls: { user: "root" },
    commands: {
      uid: "c",
      encoder: { plugin: "plug", output: "size" },
      exec: { cmdpath: "/bin/echo", args: "%text%" },
    },
  },
  extra: [
    { uid: "version", action: "plugin://plug#version" },
    { uid: "loop", action: "plugin://plug#loop" },
    { uid: "stray", action: "plugin://plug#stray" },
  ],
};

async function line(stream: ReadableStream<Uint8Array>, sought: RegExp): Promise<string> {
  let text = "";
  for await (const chunk of stream.values({ preventCancel: true })) {
    text += new TextDecoder().decode(chunk);
    const match = sought.exec(text);
    if (match) return match[1] ?? match[0];
  }
  throw new Error(`not told: ${text}`);
}

test("the executable loads a plugin from disk, and outlives what strays from it", async () => {
  using modules = new Modules();
  modules.write("plug.ts", PLUGIN);
  const file = modules.write("config.json", JSON.stringify(config));
  const args = ["serve", "--config", file, "--port", "0"];
  const server = Bun.spawn([executable, ...args], { cwd: "/", stdio: ["ignore", "pipe", "pipe"] });
  try {
    const url = await line(server.stdout, /serves on (\S+)/);
    const call = async (verb: string) => (await fetch(`${url}/api/t/${verb}`)).text();
    const response = (text: string) =>
      `{"jtype":"afb-reply","request":{"status":"success","code":0},"response":${text}}`;
    // Every verb that the server has can be named by an action.
    const there = (await (await fetch(`${url}/api`)).json()) as {
      response: { apis: { monitor: string[] } };
    };
    expect(there.response.apis.monitor).toEqual([...MONITOR_VERBS]);
    expect(await call("c?text=abc")).toContain('"size":4}');
    expect(await call("version")).toBe(response('"Linux"'));
    expect(await call("stray")).toBe(response('"soon"'));
    // Both in one, since they may come in one chunk.
    await line(
      server.stderr,
      /Error: handed over[^]*plugin plug: an error that it did not catch: Error: late/,
    );
    expect(await call("version")).toBe(response('"Linux"'));
    const loop = call("loop");
    expect(await call("ping")).toContain('"success"');
    expect(await call("c?text=abc")).toContain('"size":4}');
    expect(await loop).toContain("the plugin plug took more than 5 s without a pause");
    expect(await call("version")).toBe(response('"Linux"'));
  } finally {
    server.kill();
    await server.exited;
  }
});

test("what it prints is on standard error, wherever else it would go: programs read the output of `run`", async () => {
  using modules = new Modules();
  const says = [
    ...["console.log('log')", "console.table([1])", "console.group('group')", "console.dir({})"],
    ...["console.count()", "console.timeEnd(console.time())", "console.trace()"],
    ...["console.write('written')", "process.stdout.write('stream')", "imported.write('imported')"],
    ...["also.info('info')", "also.table([2])"],
    ...["void Bun.write(Bun.stdout, 'of the runtime')", "void Bun.write(file, 'its file')"],
  ];
  modules.write(
    "plug.ts",
    `import { stdout as imported } from "node:process";
    import also from "node:console";
    import { stdout as file } from "bun";
    const say = () => { ${says.join("; ")} };
    say();
    export const functions = { version() {}, loop() {}, stray() {} };
    export const encoders = { size: { begin() { say(); return { stdout: say, stderr() {}, end() { say(); return {}; } }; } } };`,
  );
  const file = modules.write("config.json", JSON.stringify(config));
  const done = Bun.spawnSync([executable, "run", "t/c", '{"text":"x"}', "--config", file]);
  const lines = done.stdout.toString().trimEnd().split("\n");
  expect(lines.map((text) => Object.keys(JSON.parse(text) as object)[0])).toEqual([
    "jtype",
    "type",
  ]);
  const words = ["log", "group", "written", "stream", "imported", "info", "default: 1"];
  for (const word of [...words, "of the runtime", "its file"])
    expect(done.stderr.toString()).toContain(word);
});

test("packages of a plugin, and an end that does not wait for a loop", async () => {
  using modules = new Modules();
  mkdirSync(`${modules.dir}/node_modules/dep/lib`, { recursive: true });
  modules.write("node_modules/dep/package.json", '{"name": "dep", "main": "lib/main.js"}');
  modules.write("node_modules/dep/lib/main.js", "module.exports = 'main of dep';");
  modules.write(
    "plug.ts",
    `import dep from "dep";
    export const functions = { version: () => dep, loop() {}, stray() {} };
    export const encoders = { size: { begin: () => ({ stdout() { for (;;); }, stderr() {}, end: () => ({}) }) } };`,
  );
  const file = modules.write("config.json", JSON.stringify(config));
  const args = ["serve", "--config", file, "--port", "0"];
  const server = Bun.spawn([executable, ...args], {
    cwd: "/",
    stdio: ["ignore", "pipe", "inherit"],
  });
  const url = await line(server.stdout, /serves on (\S+)/);
  expect(await (await fetch(`${url}/api/t/version`)).text()).toContain('"response":"main of dep"');
  expect(await (await fetch(`${url}/api/t/c?text=abc`)).text()).toContain('"success"');
  const begin = performance.now();
  server.kill();
  expect(await server.exited).toBe(0);
  // A hook has 10 s otherwise.
  expect(performance.now() - begin).toBeLessThan(8000);
});

test("a required action that fails stops the start, and what was started before", async () => {
  using modules = new Modules();
  modules.write("plug.ts", PLUGIN);
  const onload = { uid: "o", action: "api://t#c", required: true };
  const file = modules.write("config.json", JSON.stringify({ ...config, onload }));
  const args = ["serve", "--config", file, "--port", "0"];
  const server = Bun.spawn([executable, ...args], { stdio: ["ignore", "pipe", "pipe"] });
  const told = await new Response(server.stderr).text();
  expect(await server.exited).toBe(1);
  expect(told).toEndWith(
    "spawnbox serve: t: onload o: required, and failed: argument `text` is missing\n",
  );
});

test("check tells of a plugin that others can write", async () => {
  using modules = new Modules();
  modules.write("plug.ts", PLUGIN, 0o666);
  const file = modules.write("config.json", JSON.stringify(config));
  const check = Bun.spawn([executable, "check", file], { stdio: ["ignore", "pipe", "pipe"] });
  expect(await new Response(check.stdout).text()).toContain(
    `plugins[0].libs: ${modules.dir}/plug.ts can be written by others than its owner: chmod go-w`,
  );
  expect(await check.exited).toBe(1);
});

test("the sample config", async () => {
  using modules = new Modules();
  const samples = `${import.meta.dir}/../../config`;
  // Copied, since the sources may belong to somebody else than who runs the tests.
  modules.write("sensor.ts", readFileSync(`${samples}/plugins/sensor.ts`, "utf8"));
  const text = readFileSync(`${samples}/plugins.json`, "utf8");
  const sample = modules.write("plugins.json", text.replace('"spath": "plugins"', '"spath": "."'));
  const args = ["run", "sensor/count", '{"text":"one two"}', "--config", sample];
  const run = Bun.spawn([executable, ...args], { stdio: ["ignore", "pipe", "inherit"] });
  expect(await new Response(run.stdout).text()).toContain('"words":2}');
});
