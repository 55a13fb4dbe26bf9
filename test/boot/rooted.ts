/** A small machine in namespaces: a root and /proc/cmdline of its own, with files as /dev/kmsg and /dev/null. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { launcherAsset } from "../../ffi/launcher/binary.ts";

const executable = join(import.meta.dir, "../../dist/spawnbox");

export interface Machine {
  /** The kernel command line. */
  readonly cmdline?: string;
  /** The built executable is /spawnbox there. */
  readonly hasProgram?: boolean;
  /** Executable files below the root, by path. */
  readonly files: Readonly<Record<string, string>>;
  /** For the shell that is PID 1, in the root of the machine, where the launcher is /launcher. */
  readonly script: string;
}

/** The root is made in memory; what was in /tmp is still open. Of the host it has the programs, and no init. */
const MAKE = `exec 8<"$PROGRAM" 9<"$LAUNCHER"
root=/tmp
mount -t tmpfs root $root
mkdir $root/host $root/proc $root/dev
mount --rbind / $root/host
ln -s host/bin host/lib host/lib64 $root
mount -t proc proc $root/proc
mount -t tmpfs dev $root/dev
touch $root/dev/kmsg $root/dev/null
cat <&9 >$root/launcher
chmod 755 $root/launcher
touch $root/spawnbox
mount --no-canonicalize --bind /proc/self/fd/8 $root/spawnbox
exec 8<&- 9<&-
printf '%s\\n' "$CMDLINE" >$root/cmdline
mount --bind $root/cmdline $root/proc/cmdline
while [ $# -gt 1 ]; do
  mkdir -p "$root\${1%/*}"
  printf '%s' "$2" >"$root$1"
  chmod 755 "$root$1"
  shift 2
done
exec env -i PATH=/sbin:/bin:/host/sbin chroot $root /bin/sh -c "$1"`;

/** What the script, and whatever it becomes, have printed. */
export function runMachine({ cmdline = "", hasProgram = false, files, script }: Machine): string {
  if (hasProgram && !existsSync(executable)) throw new Error("build first: npm run build");
  const namespaces = ["--user", "--map-root-user", "--mount", "--pid", "--kill-child", "--net"];
  const { stdout, stderr, exitCode } = Bun.spawnSync(
    [
      ...["unshare", ...namespaces, "/bin/sh", "-ec", MAKE, "sh"],
      ...Object.entries(files).flat(),
      script,
    ],
    {
      timeout: 20_000,
      killSignal: "SIGKILL",
      env: {
        PATH: process.env["PATH"],
        ...{ LAUNCHER: launcherAsset, CMDLINE: cmdline },
        PROGRAM: hasProgram ? executable : "/dev/null",
      },
    },
  );
  if (exitCode !== 0) throw new Error(`exit code ${exitCode}: ${stderr.toString()}`);
  return stdout.toString();
}
