/** The conformance suite of the protocol, against a server whose tools are what the suite calls. */
import { expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { serve } from "../served.ts";

const root = join(import.meta.dir, "../..");
const suite = join(root, "node_modules/@modelcontextprotocol/conformance/dist/index.js");
const PICTURE =
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg==";

const sh = (script: string) => ({
  cmdpath: "/bin/sh",
  args: ["-c", script.replaceAll("$", () => "$$")],
});
const file = (type: string) => ({ output: "file", opts: { type } });

/** `test` and the name of the verb are the names of its tools. */
const config = {
  metadata: { uid: "conformance", api: "test" },
  sandboxes: {
    uid: "s",
    prefix: "",
    profile: "minimal",
    commands: [
      {
        uid: "simple_text",
        exec: { cmdpath: "/bin/echo", args: "This is a simple text response for testing." },
      },
      {
        ...{ uid: "image_content", encoder: file("image/png") },
        exec: sh(`echo ${PICTURE} | base64 -d`),
      },
      { uid: "audio_content", encoder: file("audio/wav"), exec: sh("printf RIFF") },
      { uid: "embedded_resource", encoder: file("text/plain"), exec: sh("echo a text") },
      { uid: "error_handling", exec: sh("echo This tool intentionally returns an error; exit 1") },
      {
        ...{ uid: "tool_with_progress", encoder: "json" },
        exec: sh(`for n in 0 50 100; do echo '{"progress":'$n',"total":100}'; done`),
      },
      {
        ...{ uid: "elicitation", confirm: true },
        exec: { cmdpath: "/bin/echo", args: "%message%" },
      },
    ],
  },
};

test("it passes all but what this server does not have, and that is listed", async () => {
  const dir = mkdtempSync(join(tmpdir(), "spawnbox-conformance-"));
  try {
    await using served = await serve(config, { argv: ["--mcp"] });
    const known = join(import.meta.dir, "conformance.yml");
    const argv = ["server", "--url", `${served.url}/mcp`, "--expected-failures", known, "-o", dir];
    const child = Bun.spawn([process.execPath, suite, ...argv], {
      cwd: dir,
      stdio: ["ignore", "pipe", "pipe"],
    });
    const said = await child.stdout.text();
    const why = await child.stderr.text();
    expect([await child.exited, said.slice(-3000) + why.slice(-2000)]).toEqual([
      0,
      expect.stringContaining("tools-call-simple-text: 1 passed"),
    ]);
  } finally {
    rmSync(dir, { recursive: true });
  }
});
