/** `spawnbox help` and `spawnbox completion` of the executable, on a terminal and without. */
import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { SUBJECTS } from "../../src/guide/guides.ts";

const program = join(import.meta.dir, "../../dist/spawnbox");

function spawnbox(args: string[], env: Record<string, string> = {}) {
  const { exitCode, stdout, stderr } = Bun.spawnSync([program, ...args], {
    env: { PATH: "/usr/bin:/bin", ...env },
  });
  return { code: exitCode, out: stdout.toString(), err: stderr.toString() };
}

/** What a terminal of 80 columns shows. */
function onTerminal(args: string, env: Record<string, string>): string {
  const { stdout } = Bun.spawnSync(
    ["script", "-qefc", `stty cols 80; ${program} ${args}`, "/dev/null"],
    { env: { PATH: "/usr/bin:/bin", TERM: "xterm", ...env }, stdin: "ignore" },
  );
  return stdout.toString().replaceAll("\r\n", "\n");
}

const ESCAPE = "\x1b[";

describe("help", () => {
  test("lists the guides, and shows each as text", () => {
    const { code, out } = spawnbox(["help"]);
    expect(code).toBe(0);
    for (const subject of SUBJECTS) {
      expect(out).toContain(`  ${subject} `);
      const guide = spawnbox(["help", subject]);
      expect({ subject, code: guide.code, err: guide.err }).toEqual({ subject, code: 0, err: "" });
      expect(guide.out.length).toBeGreaterThan(500);
      expect(guide.out).not.toContain(ESCAPE);
    }
    expect(spawnbox(["help", "config.md"]).out).toBe(spawnbox(["help", "config"]).out);
  });

  test("the options of a subcommand too", () => {
    expect(spawnbox(["help", "check"]).out).toBe(spawnbox(["check", "--help"]).out);
  });

  test("what is not there is told with what may be meant", () => {
    const { code, out, err } = spawnbox(["help", "sandbox\x1b[31m"]);
    expect([code, out]).toEqual([2, ""]);
    expect(err).not.toContain("\x1b");
    expect(spawnbox(["help", "sandboxin"]).err).toContain("perhaps spawnbox help sandboxing");
    expect(spawnbox(["help", "__proto__"]).code).toBe(2);
    expect(spawnbox(["help", "a", "b"]).code).toBe(2);
  });

  test.if(Bun.which("script") !== null)("on a terminal by the pager, with escapes", () => {
    const paged = onTerminal("help access", { PAGER: "sed s/^/page:/" });
    expect(paged).toContain(`page:${ESCAPE}`);
    const none = onTerminal("help access", { PAGER: "cat" });
    expect(none).toStartWith(ESCAPE);
    expect(none).not.toContain("page:");
    expect(onTerminal("help access", { PAGER: "/nowhere/pager" })).toContain(
      "SAY WHO MAY CALL WHAT",
    );
    for (const env of [{ TERM: "dumb" }, { NO_COLOR: "1" }])
      expect(onTerminal("help access", { PAGER: "cat", ...env })).not.toContain(ESCAPE);
  });

  test.if(Bun.which("script") !== null)("a pager that is left early is no error", () => {
    expect(onTerminal("help reference; echo code $?", { PAGER: "head -1" })).toContain("code 0");
  });
});

describe("completion", () => {
  test("for each shell, and for no other", () => {
    for (const shell of ["bash", "zsh", "fish"])
      expect(spawnbox(["completion", shell]).out).toContain("roothttp");
    const { code, err } = spawnbox(["completion", "bsh"]);
    expect(code).toBe(2);
    expect(err).toContain("did you mean `bash`?");
    expect(spawnbox(["completion"]).code).toBe(2);
  });
});
