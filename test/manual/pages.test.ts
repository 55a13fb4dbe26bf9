/** The pages of the manual: complete, and taken without a warning by what shows them. */
import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { keyRows } from "../../src/config/reference.ts";
import { configPage, programPage } from "../../src/manual/pages.ts";
import { commandsOf, optionsOf } from "../../src/manual/program.ts";
import { paragraphs } from "../../src/manual/troff.ts";
import { SUBCOMMANDS } from "../../src/subcommands.ts";

const DATE = "2026-01-02";
const commands = await commandsOf(SUBCOMMANDS);
const pages = { "spawnbox.1": programPage(commands, DATE), "spawnbox.json.5": configPage(DATE) };
const dir = mkdtempSync(join(tmpdir(), "spawnbox-pages-"));
afterAll(() => rmSync(dir, { recursive: true }));

function run(command: string[]): { code: number; out: string; err: string } {
  const env = { PATH: "/usr/bin:/bin", LC_ALL: "C.UTF-8", MANWIDTH: "200" };
  const { exitCode, stdout, stderr } = Bun.spawnSync(command, { cwd: dir, env });
  return { code: exitCode, out: stdout.toString(), err: stderr.toString() };
}

describe.each(Object.entries(pages))("%s", (file, page) => {
  const path = join(dir, file);
  writeFileSync(path, page);

  test.if(Bun.which("groff") !== null)("groff and man have no warning", () => {
    const formatted = run(["groff", "-man", "-ww", "-Kutf8", "-Tutf8", path]);
    expect([formatted.code, formatted.err]).toEqual([0, ""]);
    if (Bun.which("man") === null) return;
    const { code, err, out } = run(["man", "--warnings", "-P", "cat", "-l", path]);
    expect([code, err]).toEqual([0, ""]);
    expect(out).toContain("NAME");
  });

  test.if(Bun.which("mandoc") !== null)("mandoc has no warning", () => {
    expect(run(["mandoc", "-T", "lint", "-W", "style", path]).out).toBe("");
  });
});

/** As it stands in a page. */
const marked = (text: string) => paragraphs(text).slice(".PP\n".length);

test("spawnbox(1) has every subcommand with all of its options, and every line of its text", () => {
  const page = pages["spawnbox.1"];
  for (const { name, manual } of commands) {
    expect(page).toContain(`.SS "${name}: `);
    for (const [option, { text }] of Object.entries(manual.options)) {
      expect(page).toContain(`\\-\\-${option.replaceAll("-", "\\-")}`);
      expect(page).toContain(marked(text));
    }
  }
  expect(optionsOf(commands[1] as (typeof commands)[number], commands).length).toBeGreaterThan(10);
});

test("spawnbox.json(5) has every key", () => {
  const rows = keyRows();
  expect(rows.length).toBeGreaterThan(100);
  for (const { path } of rows)
    expect(pages["spawnbox.json.5"]).toContain(`\n.B ${path.replaceAll("-", "\\-")}\n`);
});

test("what troff would obey is text", () => {
  expect(paragraphs(".so /etc/passwd\n\n'br \\n -x")).toBe(
    ".PP\n\\&.so /etc/passwd\n.PP\n\\(aqbr \\en \\-x",
  );
});
