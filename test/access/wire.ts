/** A server with an access file and a unix socket that everybody may connect to, and callers of every kind. */
import { chmodSync, chownSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Reply } from "../../src/api/reply.ts";
import { ORDINARY } from "../accounts.ts";
import { isRoot, type Served, serve, type User } from "../served.ts";

export interface Wire extends Served {
  readonly socket: string;
  readonly dir: string;
  /** Writes another access file, whole or not at all. */
  grant(grants: unknown): void;
  /** Over the unix socket as another user, or as this one. */
  callAs(who: Who | undefined, method: string, env?: Record<string, string>): Promise<Reply>;
}

export interface Who {
  readonly uid: number;
  readonly gid?: number;
  readonly groups?: readonly number[];
  /** Run under no_new_privs. */
  readonly confined?: boolean;
}

/** An ordinary user that is neither root nor the server's. */
export const STRANGER: Who = { uid: 4321 };

/** @param grants Of the access file; undefined: there is none. @param more of the command line */
export async function wire(
  config: unknown,
  user: User,
  grants?: unknown,
  options: readonly string[] = [],
): Promise<Wire> {
  const dir = mkdtempSync(join(tmpdir(), "spawnbox-access-"));
  chmodSync(dir, 0o755);
  // The server's user makes its socket there.
  const sockets = mkdtempSync(join(tmpdir(), "spawnbox-sockets-"));
  if (isRoot && user === "ordinary user") chownSync(sockets, ORDINARY, ORDINARY);
  chmodSync(sockets, 0o755);
  const socket = join(sockets, "s");
  const file = join(dir, "access.json");
  const grant = (list: unknown): void => {
    writeFileSync(
      `${file}.new`,
      typeof list === "string" ? list : JSON.stringify({ grants: list }),
    );
    renameSync(`${file}.new`, file);
  };
  if (grants !== undefined) grant(grants);
  const access = ["--access", grants === undefined ? "none" : file];
  const more = ["--unix", socket, "--unix-mode", "666", ...access, ...options];
  const served = await serve(config, { user, argv: more });
  return {
    ...served,
    socket,
    dir,
    grant,
    async callAs(who, method, env = {}) {
      const command = [served.program, "call", "--url", `unix:${socket}`, "--raw", method];
      const caller = Bun.spawn([...(who ? become(who) : []), ...command], {
        cwd: dir,
        env: { PATH: process.env["PATH"] ?? "/usr/bin:/bin", HOME: dir, ...env },
        stdio: ["ignore", "pipe", "inherit"],
      });
      // Of a synchronous encoder, an event comes first.
      const lines = (await caller.stdout.text()).trim().split("\n");
      return JSON.parse(lines.find((line) => line.includes('"afb-reply"')) ?? "null") as Reply;
    },
    async [Symbol.asyncDispose]() {
      await served[Symbol.asyncDispose]();
      rmSync(dir, { recursive: true });
      rmSync(sockets, { recursive: true });
    },
  };
}

function become({ uid, gid = uid, groups = [], confined }: Who): string[] {
  const supplementary = groups.length > 0 ? `--groups=${groups.join(",")}` : "--clear-groups";
  const nnp = confined ? ["--no-new-privs"] : [];
  return ["setpriv", `--reuid=${uid}`, `--regid=${gid}`, supplementary, ...nnp, "--"];
}
