/** The look-ups a compile needs, handed in: what this machine is, and who we are on it. */
import {
  accessSync,
  constants,
  existsSync,
  mkdirSync,
  readFileSync,
  realpathSync,
  statSync,
} from "node:fs";
import { hostname } from "node:os";
import { landlockAbi } from "../../ffi/landlock.ts";
import { capFromName } from "../../ffi/libcap.ts";
import { compileFilter, resolveSyscall, type Rule } from "../../ffi/libseccomp.ts";
import { groupByName, type User, userById, userByName } from "../../ffi/users.ts";

export interface Machine {
  readonly uid: number;
  readonly gid: number;
  /** The server may switch users and set capabilities: it runs as root. */
  readonly privileged: boolean;
  readonly pid: number;
  readonly hostname: string;
  /** The working directory: AFB_ROOTDIR of the configs. */
  readonly rootdir: string;
  now(): Date;
  uuid(): string;
  /** The server's own environment. */
  readonly env: Readonly<Record<string, string | undefined>>;
  user(nameOrUid: string): User | undefined;
  group(name: string): number | undefined;
  /** Number of a capability; undefined when unknown. */
  cap(name: string): number | undefined;
  /** Number of a syscall here; negative when only other architectures have it; undefined when unknown. */
  syscall(name: string): number | undefined;
  compileFilter(defaultAction: number, rules: readonly Rule[]): Uint8Array;
  /** Version of Landlock, 0 for none. */
  landlockAbi(): number;
  exists(path: string): boolean;
  /** Standard output of a shell command; throws when it fails. */
  output(command: string): Uint8Array;
  /** The path without any symbolic link; throws with an errno name when it is missing. */
  realpath(path: string): string;
  isExecutable(path: string): boolean;
  mkdir(path: string): void;
  readFile(path: string): Uint8Array;
}

export function thisMachine(): Machine {
  const uid = process.geteuid?.() ?? -1;
  return {
    uid,
    gid: process.getegid?.() ?? -1,
    privileged: uid === 0,
    pid: process.pid,
    hostname: hostname(),
    rootdir: process.cwd(),
    now: () => new Date(),
    uuid: () => crypto.randomUUID(),
    env: process.env,
    user: (name) => (/^\d+$/.test(name) ? userById(Number(name)) : userByName(name)),
    group: groupByName,
    cap: capFromName,
    syscall: resolveSyscall,
    compileFilter,
    landlockAbi,
    exists: existsSync,
    output: (command) => {
      const { exitCode, stdout, stderr } = Bun.spawnSync(["/bin/sh", "-c", command], {
        stdin: "ignore",
      });
      if (exitCode === 0) return stdout;
      throw new Error(`${command}: exit code ${exitCode}: ${stderr.toString().trim()}`);
    },
    realpath: (path) => realpathSync(path),
    isExecutable: (path) => {
      try {
        accessSync(path, constants.X_OK);
        return statSync(path).isFile();
      } catch {
        return false;
      }
    },
    mkdir: (path) => void mkdirSync(path, { recursive: true, mode: 0o755 }),
    readFile: (path) => readFileSync(path),
  };
}
