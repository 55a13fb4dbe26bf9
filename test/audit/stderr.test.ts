/** Lines among what the server says, to a reader who does not read: on a standard error of another process, since it is one's own. */
import { afterAll, expect, test } from "bun:test";
import {
  closeSync,
  constants,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { until } from "../served.ts";
import { readNow } from "./pipe.ts";

const MODULE = JSON.stringify(join(import.meta.dir, "../../src/audit/stderr.ts"));
const dir = mkdtempSync(join(tmpdir(), "spawnbox-stderr-"));
afterAll(() => rmSync(dir, { recursive: true }));

// The first is longer than what a pipe holds: no page of it has anything else in it.
const texts = [
  "x".repeat(200_000),
  "second",
  ...Array.from({ length: 5000 }, (_, i) => `{"n":${i}}`),
];
const all = texts.map((text) => `${text}\n`).join("");
const given = join(dir, "texts");
writeFileSync(given, JSON.stringify(texts));
/** Says each answer. */
const SCRIPT = `
  const { StderrSink } = await import(${MODULE});
  const sink = new StderrSink();
  const lines = (await Bun.file(${JSON.stringify(given)}).json()).map((text) => ({ text }));
  for (let done = 0; done < lines.length;) {
    const taken = await sink.take(lines.slice(done));
    done += taken.lines;
    console.log(JSON.stringify(taken));
    if (taken.why !== undefined) await Bun.sleep(1);
  }`;

test("a pipe that is full keeps nobody waiting, and gets whole lines in the end", async () => {
  const path = join(dir, "pipe");
  Bun.spawnSync(["mkfifo", path]);
  const reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  const writer = openSync(path, constants.O_WRONLY);
  const child = Bun.spawn([process.execPath, "-e", SCRIPT], {
    stdio: ["ignore", "pipe", writer],
  });
  closeSync(writer);
  let said = "";
  const hearing = (async () => {
    for await (const chunk of child.stdout) said += Buffer.from(chunk).toString();
  })();
  try {
    await until("it has answered twice", () => said.split("\n").length > 2);
    const slow = { lines: 0, why: "EAGAIN" };
    expect(
      said
        .split("\n")
        .slice(0, 2)
        .map((line) => JSON.parse(line) as unknown),
    ).toEqual([...[slow, slow]]);
    let got = "";
    const buffer = Buffer.alloc(7001);
    await until("all is there", () => {
      got += readNow(reader, buffer);
      return got.length >= all.length;
    });
    expect(got === all).toBe(true);
    expect(await child.exited).toBe(0);
  } finally {
    child.kill();
    closeSync(reader);
    await hearing;
  }
});

test("a file gets them at once", () => {
  const path = join(dir, "file");
  const { stdout } = Bun.spawnSync([process.execPath, "-e", SCRIPT], {
    stdio: ["ignore", "pipe", Bun.file(path)],
  });
  expect(JSON.parse(stdout.toString())).toEqual({ lines: texts.length });
  expect(readFileSync(path, "utf8") === all).toBe(true);
});

test("a full disk is told, with what was written before", () => {
  const { stdout } = Bun.spawnSync(
    [process.execPath, "-e", SCRIPT.replace("await Bun.sleep(1)", "break")],
    { stdio: ["ignore", "pipe", Bun.file("/dev/full")] },
  );
  expect(JSON.parse(stdout.toString())).toEqual({ lines: 0, why: "ENOSPC" });
});
