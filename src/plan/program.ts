/** Checks that a program can be executed inside a sandbox: itself, its `#!` interpreter, its ELF loader. See execve(2), elf(5). */
import type { View } from "./view.ts";

/** The kernel follows scripts of scripts this deep. */
const MOST_INTERPRETERS = 4;
const HEAD = 4096;
const PT_INTERP = 3;

/**
 * Throws telling what is missing and who needs it.
 * @param mayExecute whether Landlock lets a path without links be executed
 */
export function checkProgram(
  view: View,
  path: string,
  mayExecute: (path: string) => boolean = () => true,
  neededBy = "",
  depth = 0,
): void {
  const needed = neededBy === "" ? "" : `, which ${neededBy} needs`;
  let found: ReturnType<View["resolve"]>;
  try {
    found = view.resolve(path);
  } catch (error) {
    throw new Error(`${error instanceof Error ? error.message : String(error)}${needed}`, {
      cause: error,
    });
  }
  if (!mayExecute(found.path))
    throw new Error(
      `${path} may not be executed${needed}: add it, or a directory above it, to landlock.exec`,
    );
  // Made at boot by execfd: its content is the config's business.
  if (found.host === undefined) return;
  const file = view.files.lookup(found.host);
  if (file?.kind !== "file" || !file.executable)
    throw new Error(`${path} is not an executable file${needed}`);
  if (found.noexec)
    throw new Error(`${path} lies on a noexec mount${needed}: set "exec": true on it`);
  const interpreter = interpreterOf(view.files.head(found.host, HEAD));
  if (interpreter === undefined) return;
  if (depth >= MOST_INTERPRETERS)
    throw new Error(`${path}: interpreters of interpreters, too deep${needed}`);
  checkProgram(view, interpreter, mayExecute, path, depth + 1);
}

/** What the kernel executes to run this file: of a script its interpreter, of a dynamic ELF file its loader. */
export function interpreterOf(head: Uint8Array): string | undefined {
  const text = new TextDecoder("latin1").decode(head);
  if (text.startsWith("#!")) {
    const name = /^#![ \t]*([^ \t\n]+)/.exec(text)?.[1];
    return name?.startsWith("/") ? name : undefined;
  }
  // 64-bit, little-endian: what runs on the architectures that spawnbox runs on.
  if (!text.startsWith("\x7fELF\x02\x01") || head.length < 64) return undefined;
  const view = new DataView(head.buffer, head.byteOffset, head.length);
  const offset = Number(view.getBigUint64(32, true));
  const size = view.getUint16(54, true);
  const count = view.getUint16(56, true);
  for (let i = 0; i < count; i++) {
    const at = offset + i * size;
    if (at + 40 > head.length) return undefined;
    if (view.getUint32(at, true) !== PT_INTERP) continue;
    const start = Number(view.getBigUint64(at + 8, true));
    const length = Number(view.getBigUint64(at + 32, true));
    return start + length <= head.length ? text.slice(start, start + length - 1) : undefined;
  }
  return undefined;
}
