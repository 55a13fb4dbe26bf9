/** What is known of suites, from one run to the next: as long as neither the code nor what it is tested by has changed. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { linesOf, type Suite } from "./lines.ts";

const root = join(import.meta.dir, "../..");
const place = join(root, "dist/mutate");

interface Written {
  readonly key: string;
  readonly seconds: number;
  readonly longest: number;
  readonly isOutside: boolean;
  readonly isElsewhere: boolean;
  /** In the format of lcov. */
  readonly report: string;
}

/** Of the code, and of all tests that are no suites. */
function hashOfCode(): string {
  const hash = new Bun.CryptoHasher("sha256");
  for (const pattern of ["src/**/*", "ffi/**/*.{ts,c,h,S}", "test/**/*.{ts,py,sh,json}"])
    for (const file of [...new Bun.Glob(pattern).scanSync({ cwd: root })].toSorted())
      if (!file.endsWith(".test.ts") && !file.startsWith("test/mutate/"))
        hash.update(`${file}\0`).update(readFileSync(join(root, file)));
  return hash.digest("hex");
}

let code: string | undefined;
const keyOf = (file: string): string =>
  new Bun.CryptoHasher("sha256")
    .update((code ??= hashOfCode()))
    .update(readFileSync(join(root, file)))
    .digest("hex");

const nameOf = (file: string): string => join(place, `${file.replaceAll("/", "-")}.json`);

/** undefined where it is not known, or not any more. */
export function remembered(file: string): Suite | undefined {
  let text: string;
  try {
    text = readFileSync(nameOf(file), "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    return undefined;
  }
  const { key, report, ...rest } = JSON.parse(text) as Written;
  // Of before there were all of these.
  if (!Number.isFinite(rest.longest)) return undefined;
  return key === keyOf(file) ? { file, ...rest, lines: linesOf(report) } : undefined;
}

export function remember({ file, lines: _, ...rest }: Suite, report: string): void {
  mkdirSync(place, { recursive: true });
  const written: Written = { key: keyOf(file), report, ...rest };
  writeFileSync(nameOf(file), JSON.stringify(written));
}
