/** The built executable, serving with an audit, whose directory and output are looked at. */
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isRoot, programIn, system, until, type User } from "../served.ts";
import { ORDINARY } from "../accounts.ts";

/** A line of an audit, as far as it can be read without knowing which it is. */
export interface Told {
  readonly time: string;
  readonly event: string;
  readonly id?: string;
  readonly verb?: string;
  readonly argv?: readonly string[];
  readonly caller?: Readonly<Record<string, unknown>>;
  readonly status?: string;
  readonly signal?: string;
  readonly outcome?: Readonly<Record<string, unknown>>;
  readonly duration?: number;
  readonly lost?: number;
  readonly [key: string]: unknown;
}

/** All lines of a text, each of which must be one. */
export const toldIn = (text: string): Told[] =>
  text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as Told);

/** A place for a server of this user, and what is to be beside its config. Removed at the end of its block. */
export class Place implements Disposable {
  readonly dir = mkdtempSync(join(tmpdir(), "spawnbox-audited-"));
  readonly program: string;
  readonly data: string;
  #servers = 0;

  constructor(
    readonly user: User,
    config: unknown = commands(),
  ) {
    chmodSync(this.dir, 0o755);
    this.program = programIn(this.dir);
    this.data = join(this.dir, "data");
    mkdirSync(this.data);
    if (isRoot && user === "ordinary user") Bun.spawnSync(["chown", `${ORDINARY}`, this.data]);
    writeFileSync(join(this.dir, "config.json"), JSON.stringify(config));
  }

  path(name: string): string {
    return join(this.data, name);
  }

  get log(): string {
    return this.path("audit.log");
  }

  read(name = "audit.log"): string {
    return readFileSync(this.path(name), "utf8");
  }

  told(name?: string): Told[] {
    return toldIn(this.read(name));
  }

  /** Serves; resolves once it does. @param first a command that executes it, as root */
  async serve(argv: readonly string[], first: readonly string[] = []): Promise<Audited> {
    const drop =
      isRoot && this.user === "ordinary user"
        ? ["setpriv", `--reuid=${ORDINARY}`, `--regid=${ORDINARY}`, "--clear-groups"]
        : [];
    // Several may serve at a time.
    const number = this.#servers++;
    const files = ["stdout", "stderr"].map((name) => join(this.dir, `${name}-${number}`));
    for (const file of files) writeFileSync(file, "");
    const [stdout = "", stderr = ""] = files;
    const serve = [this.program, "serve", "--config", join(this.dir, "config.json")];
    const child = Bun.spawn([...first, ...drop, ...serve, "--port", "0", ...argv], {
      cwd: this.data,
      env: { PATH: process.env["PATH"] ?? "/usr/bin:/bin", HOME: this.dir },
      stdio: ["ignore", Bun.file(stdout), Bun.file(stderr)],
    });
    const said = () => readFileSync(stdout, "utf8");
    const urlIn = () => /serves on (\S+)/.exec(said())?.[1];
    await until("it serves", () => urlIn() !== undefined || child.exitCode !== null);
    const url = urlIn();
    const wrong = () => readFileSync(stderr, "utf8");
    if (url === undefined) throw new Error(wrong());
    return new Audited(url, child, said, wrong);
  }

  [Symbol.dispose](): void {
    rmSync(this.dir, { recursive: true });
  }
}

export class Audited implements AsyncDisposable {
  constructor(
    readonly url: string,
    readonly child: Bun.Subprocess,
    readonly stdout: () => string,
    readonly stderr: () => string,
  ) {}

  async call(path: string, init?: RequestInit): Promise<Reply> {
    const response = await fetch(`${this.url}/api/a/${path}`, init);
    return (await response.json()) as Reply;
  }

  async get(path: string, init?: RequestInit): Promise<string> {
    return (await fetch(this.url + path, init)).text();
  }

  async end(signal: NodeJS.Signals = "SIGTERM"): Promise<number> {
    this.child.kill(signal);
    return this.child.exited;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.end();
  }
}

export interface Reply {
  readonly request: { readonly status: string; readonly info?: string };
  readonly response?: { readonly pid?: number; readonly stdout?: readonly string[] };
}

const command = (uid: string, cmdpath: string, args: readonly string[], more = {}) => ({
  ...{ uid, encoder: "sync", exec: { cmdpath, args }, ...more },
});

/** One API `a`, of these and more. */
export const commands = (...more: readonly object[]) => ({
  metadata: { uid: "a", api: "a" },
  sandboxes: {
    uid: "box",
    acls: { user: isRoot ? ORDINARY : process.geteuid?.() },
    namespace: { mounts: system },
    commands: [
      command("echo", "/bin/echo", ["?text?"]),
      command("secret", "/bin/echo", ["%word%"], {
        params: { word: { type: "string", writeOnly: true } },
      }),
      command("hidden", "/bin/echo", ["%word%"], { audit: { args: false } }),
      command("must", "/bin/echo", ["done"], { audit: { required: true } }),
      command("guarded", "/bin/true", [], { privilege: "urn:x" }),
      command("sleep", "/bin/sleep", ["1000"], { encoder: "text" }),
      ...more,
    ],
  },
});
