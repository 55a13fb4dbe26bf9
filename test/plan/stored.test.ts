/** Plan files on disk: whole or not there, read where nobody else could have written, and for here alone. */
import { afterAll, beforeEach, describe, expect, test } from "bun:test";
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdtempSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ConfigError } from "../../src/config/problem.ts";
import { encodePlans } from "../../src/plan/file.ts";
import { thisMachine } from "../../src/plan/machine.ts";
import { readPlanFile, writePlanFile } from "../../src/plan/stored.ts";
import { mayTrace } from "../strace.ts";
import { compiled } from "./compiling.ts";

const all = mkdtempSync(join(realpathSync(tmpdir()), "spawnbox-stored-"));
afterAll(() => rmSync(all, { recursive: true }));
let dir: string;
let n = 0;
beforeEach(() => {
  dir = join(all, `${n++}`);
  mkdirSync(dir);
});
const isRoot = process.geteuid?.() === 0;
const machine = thisMachine();
const plans = (sandbox: object = {}) =>
  encodePlans([compiled({ ...(isRoot && { acls: { user: "nobody" } }), ...sandbox }, {})], machine);
const refused = (path: string): string => {
  try {
    readPlanFile(path);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    expect(error.problems.map(({ file, path: at }) => [file, at])).toEqual([[path, ""]]);
    return error.problems[0]?.message ?? "";
  }
  return "it was read";
};

test("is written whole, for others to read, in the place of what was there", () => {
  const path = join(dir, "plans");
  const before = process.umask(0o022);
  try {
    writeFileSync(path, "before");
    writePlanFile(path, "text");
  } finally {
    process.umask(before);
  }
  expect([readFileSync(path, "utf8"), readdirSync(dir)]).toEqual(["text", ["plans"]]);
  expect(statSync(path).mode & 0o777).toBe(0o644);
});

test.skipIf(!mayTrace())("is on the disk before it has its name", () => {
  const [path, trace] = [join(dir, "plans"), join(dir, "trace")];
  const script = `import { writePlanFile } from ${JSON.stringify(join(import.meta.dir, "../../src/plan/stored.ts"))};
    writePlanFile(${JSON.stringify(path)}, "text");`;
  Bun.spawnSync([
    ...["strace", "-f", "-qq", "-o", trace, "-e", "trace=fsync,fdatasync,renameat,renameat2"],
    ...[process.execPath, "-e", script],
  ]);
  const calls = readFileSync(trace, "utf8").matchAll(/ (f\w*sync|renameat)2?\(/g);
  expect([...calls].map(([, call]) => call)).toEqual(["fsync", "renameat"]);
});

test("nothing but a file is replaced", () => {
  const paths = ["null", "pipe"].map((name) => join(dir, name));
  const [device = "", pipe = ""] = paths;
  symlinkSync("/dev/null", device);
  Bun.spawnSync(["mkfifo", pipe]);
  for (const path of paths)
    expect(() => writePlanFile(path, "text")).toThrow(`${path} is no regular file`);
  expect(readdirSync(dir).toSorted()).toEqual(["null", "pipe"]);
  expect([readlinkSync(device), statSync(pipe).isFIFO()]).toEqual(["/dev/null", true]);
});

test("what cannot be written leaves nothing", () => {
  mkdirSync(join(dir, "plans"));
  expect(() => writePlanFile(join(dir, "plans"), "text")).toThrow();
  expect(readdirSync(dir)).toEqual(["plans"]);
  const temporary = `other.${process.pid}.tmp`;
  writeFileSync(join(dir, temporary), "of somebody");
  expect(() => writePlanFile(join(dir, "other"), "text")).toThrow(
    `(${join(dir, "other")}): EEXIST`,
  );
  expect(readFileSync(join(dir, temporary), "utf8")).toBe("of somebody");
});

describe("is read", () => {
  test("as it was written", () => {
    const path = join(dir, "plans");
    writePlanFile(path, plans());
    expect(readPlanFile(path)).toMatchObject([{ api: "t", sandboxes: [{ uid: "s" }] }]);
  });

  test("not where it is missing, or none", () => {
    expect(refused(join(dir, "plans"))).toContain("ENOENT");
    writeFileSync(join(dir, "plans"), "{}");
    expect(refused(join(dir, "plans"))).not.toBe("it was read");
    expect(refused(dir)).toContain("not a regular file");
  });

  test.if(isRoot)("not where others could have written it", () => {
    const path = join(dir, "plans");
    writePlanFile(path, plans());
    chmodSync(path, 0o666);
    expect(refused(path)).toContain("can be written by others");
    chmodSync(path, 0o644);
    chownSync(path, 4102, 4102);
    expect(refused(path)).toContain("belongs to uid 4102");
  });

  test("and what its sources want made is made", () => {
    const path = join(dir, "plans");
    const [made, other] = [join(dir, "made/deep"), join(dir, "other")];
    mkdirSync(other);
    const mount = (source: string) => ({ source, target: `/x${source}`, mode: "rw" });
    writePlanFile(
      path,
      plans({
        profile: "minimal",
        namespace: { opts: { autocreate: true }, mounts: [made, other].map(mount) },
      }),
    );
    rmSync(join(dir, "made"), { recursive: true });
    readPlanFile(path);
    expect(existsSync(made)).toBe(true);
  });
});
