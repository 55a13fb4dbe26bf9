/** A root of its own, as small as one can be: a shell, a few programs, the libraries that these and the executable load. */
import { cpSync, existsSync, mkdirSync, readlinkSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

const PROGRAMS = [
  ...["/bin/sh", "/bin/echo", "/bin/cat", "/bin/ls", "/bin/sleep"],
  ...["/usr/bin/id", "/usr/bin/setpriv", "/usr/bin/env", "/usr/bin/true"],
];
const LIBRARIES = ["libseccomp.so.2", "libcap.so.2"];

const output = (...command: string[]): string => Bun.spawnSync(command).stdout.toString();

/** Paths of the libraries that programs load, and of those that the executable opens by name. */
function libraries(programs: readonly string[]): string[] {
  const loaded = programs.flatMap((program) => output("ldd", program).match(/\/\S+/g) ?? []);
  const cached = output("/sbin/ldconfig", "-p");
  const named = LIBRARIES.flatMap((name) =>
    (
      cached.match(new RegExp(`^\\s*${name.replaceAll(".", "\\.")} .*=> (/\\S+)$`, "m")) ?? []
    ).slice(1),
  );
  return [...new Set([...loaded, ...named])].filter((path) => !path.startsWith("/tmp/"));
}

/** @param files of the host, by their paths in the tree */
export function makeTree(
  root: string,
  program: string,
  files: Readonly<Record<string, string>>,
): void {
  for (const dir of [
    "dev",
    "etc",
    "proc",
    "run",
    "sys",
    "tmp",
    "usr/bin",
    "usr/sbin",
    "var/tmp",
    "root",
    "home",
    "look",
  ])
    mkdirSync(join(root, dir), { recursive: true });
  // As the machine has them: links into /usr, or directories.
  for (const path of ["bin", "sbin", "lib", "lib32", "lib64", "libx32"]) {
    const target = linkOf(`/${path}`);
    if (target === undefined) mkdirSync(join(root, path), { recursive: true });
    else {
      mkdirSync(join(root, "usr", path), { recursive: true });
      symlinkSync(target, join(root, path));
    }
  }
  for (const path of [...PROGRAMS, ...libraries([...PROGRAMS, program])]) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    cpSync(path, join(root, path), { dereference: true });
  }
  writeFileSync(
    join(root, "etc/passwd"),
    "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n",
  );
  writeFileSync(join(root, "etc/group"), "root:x:0:\nnogroup:x:65534:\n");
  for (const [path, source] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    cpSync(source, join(root, path), { recursive: true });
  }
}

function linkOf(path: string): string | undefined {
  if (!existsSync(path)) return undefined;
  try {
    return readlinkSync(path);
  } catch (error) {
    // a directory
    if (error instanceof Error && "code" in error && error.code === "EINVAL") return undefined;
    throw error;
  }
}
