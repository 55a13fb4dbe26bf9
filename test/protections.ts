/**
 * The table "which protection is proven by which test", made from the names of the tests that launch for real.
 *
 * A test of test/sandbox proves a protection when its name says so: `[protection] what holds`. Where a test runs over
 * several cases, what follows the last colon is the case and is left out.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";

const folder = join(import.meta.dir, "sandbox");
const NAME = /(["`])\[([a-z][a-z ]*)\] ([^"`\n]+)\1,/g;

export interface Proof {
  readonly protection: string;
  readonly claim: string;
  readonly file: string;
}

/** Every proof, by protection. */
export function proofs(): Proof[] {
  const files = [...new Bun.Glob("*.test.ts").scanSync({ cwd: folder })].toSorted();
  const found = files.flatMap((file) =>
    [...readFileSync(join(folder, file), "utf8").matchAll(NAME)].map(
      ([, , protection = "", name = ""]): Proof => ({
        protection,
        claim: name.replace(/:? %s$/, ""),
        file,
      }),
    ),
  );
  return found.toSorted((a, b) => a.protection.localeCompare(b.protection, "en"));
}

/** As a Markdown table; a protection is named in the first of its rows. */
export function protectionsMarkdown(): string {
  let last = "";
  const rows = proofs().map(({ protection, claim, file }) => {
    const first = protection === last ? "" : protection;
    last = protection;
    return `| ${first} | ${claim} | \`${file.replace(/\.test\.ts$/, "")}\` |`;
  });
  return [
    "| Protection | Proven by a test that | in test/sandbox |",
    "| --- | --- | --- |",
    ...rows,
  ].join("\n");
}
