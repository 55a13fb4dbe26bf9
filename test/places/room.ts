/** A directory that every user of every place can read: the executable, what leads into places, and a config. */
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PROFILES } from "./profiles.ts";
import lookSource from "./look.sh" with { type: "text" };
import { filterSource, numbered, type Rule } from "./rules.ts";
import { makeTree } from "./tree.ts";
import usernsSource from "./userns.py" with { type: "text" };

/** The same sandbox by the name of each of these profiles, one behind the other. */
const config = (profiles: readonly string[]) => ({
  metadata: { uid: "c", api: "c" },
  sandboxes: profiles.map((profile) => ({
    uid: profile,
    prefix: profile,
    profile,
    acls: { user: "nobody" },
    commands: [{ uid: "x", encoder: "sync", exec: { cmdpath: "/bin/echo", args: ["ok"] } }],
  })),
});
/** By the names of their files; a launch needs no other profile than its own. */
const CONFIGS = { all: PROFILES, ...Object.fromEntries(PROFILES.map((name) => [name, [name]])) };

/** The system's own, which starts in a tenth of the time of one that a developer has put before it; without packages, in half of that. */
const PYTHON = ["/usr/bin/python3", "-ES"];

const EXECUTABLE = join(import.meta.dir, "../../dist/spawnbox");

export class Room implements Disposable {
  readonly #bare: boolean;
  readonly path: string;
  readonly program: string;
  readonly look: string;

  /** @param bare only paths: nothing is there, and nothing can be executed */
  constructor(name: string, { bare = false, executable = EXECUTABLE } = {}) {
    this.#bare = bare;
    this.path = bare ? join(tmpdir(), name) : mkdtempSync(join(tmpdir(), `spawnbox-${name}-`));
    this.program = join(this.path, "spawnbox");
    this.look = join(this.path, "look.sh");
    if (bare) return;
    chmodSync(this.path, 0o755);
    copyFileSync(executable, this.program);
    chmodSync(this.program, 0o755);
    for (const [file, source] of [
      ["look.sh", lookSource],
      ["filter.py", filterSource],
      ["userns.py", usernsSource],
    ] as const)
      writeFileSync(join(this.path, file), source);
    mkdirSync(join(this.path, "configs"));
    for (const [name, profiles] of Object.entries(CONFIGS))
      writeFileSync(join(this.path, `configs/${name}.json`), JSON.stringify(config(profiles)));
  }

  /** A command that executes another under a filter. */
  filter(rules: readonly Rule[]): string[] {
    return [...PYTHON, join(this.path, "filter.py"), JSON.stringify(numbered(rules))];
  }

  /** Under one that answers these calls with an errno. */
  without(errno: number, ...calls: readonly string[]): string[] {
    return this.filter(calls.map((call) => ({ call, errno })));
  }

  /**
   * A command that executes another as root of a user namespace.
   * @param map lines of uid_map, see user_namespaces(7)
   * @param more see userns.py
   */
  userns(
    map: string,
    { rules, ...more }: { script?: string; root?: string; rules?: readonly Rule[] } = {},
  ): string[] {
    const options = {
      map,
      ...more,
      ...(rules && { rules: numbered(rules) }),
    };
    return [...PYTHON, join(this.path, "userns.py"), JSON.stringify(options)];
  }

  /** A small root with all of this in it, in /look, that belongs to this user. */
  tree(owner: number): string {
    const root = join(this.path, `tree-${owner}`);
    if (this.#bare || existsSync(root)) return root;
    makeTree(root, this.program, {
      "look/spawnbox": this.program,
      "look/look.sh": this.look,
      "look/configs": join(this.path, "configs"),
    });
    const owned = Bun.spawnSync(["chown", "-hR", `${owner}:${owner}`, root]);
    if (!owned.success) throw new Error(owned.stderr.toString());
    return root;
  }

  /** What a subcommand says of a config, through other programs. */
  spawnbox(
    through: readonly string[],
    content: object,
    subcommand: string,
    words: (config: string) => readonly string[],
  ): { pid: number; code: number; out: string; err: string } {
    const file = join(this.path, "config.json");
    writeFileSync(file, JSON.stringify(content));
    const { pid, exitCode, stdout, stderr } = Bun.spawnSync(
      [...through, this.program, subcommand, ...words(file)],
      { cwd: this.path, env: { PATH: process.env["PATH"] ?? "/usr/bin:/bin" } },
    );
    return { pid, code: exitCode, out: stdout.toString(), err: stderr.toString() };
  }

  [Symbol.dispose](): void {
    if (this.#bare) return;
    rmSync(this.path, { recursive: true, force: true });
  }
}
