/**
 * The machine that is booted: kernels and a root file system, from Debian's packages alone. Made once, and kept under a name that
 * is the hash of how it is made. The virtual machine never writes to it.
 */
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import type { Target } from "./arch.ts";
import { type Kernel, KERNELS, unpackKernel } from "./kernel.ts";
import { run } from "./run.ts";
import { debianSources } from "../../src/make/debian-sources.ts";

export interface Image {
  kernel(name: Kernel): string;
  readonly root: string;
  /** For the host's architecture: a root in which initramfs-tools make an initramfs of {@link INITRAMFS_KERNEL}, as tar. */
  readonly initramfsTools: string;
}

export const INITRAMFS_KERNEL: Kernel = "6.1";

const RELEASE = KERNELS["6.1"];
const KERNEL_NAMES = Object.keys(KERNELS) as Kernel[];
/** Room for the programs that are copied in later, and for what tests write. */
const SIZE = "1600M";

const PACKAGES = [
  "systemd",
  "systemd-sysv",
  // Without it, boot waits 90 s for the device of the console.
  "udev",
  "dbus",
  "iproute2",
  "iputils-ping",
  "wireguard-tools",
  "bash",
  "e2fsprogs",
  "libseccomp2",
  "libcap2",
  "apparmor",
  "kmod",
  "util-linux",
  "procps",
  "initramfs-tools",
  // Attacks are written in it.
  "python3",
];

/** Starts the tests once everything else has been started, in a group of its own to divide. */
const SERVICE = `[Unit]
Description=spawnbox tests
After=multi-user.target

[Service]
ExecStart=/usr/lib/spawnbox-test/inside
Delegate=yes
StandardOutput=journal+console
`;

export function cacheDir(): string {
  return join(process.env["XDG_CACHE_HOME"] || join(homedir(), ".cache"), "spawnbox-boot");
}

export async function image(target: Target): Promise<Image> {
  const recipes = [import.meta.path, join(import.meta.dir, "kernel.ts")];
  const recipe =
    recipes.map((file) => readFileSync(file, "utf8")).join("") + JSON.stringify(target);
  const hash = new Bun.CryptoHasher("sha256").update(recipe).digest("hex").slice(0, 16);
  const dir = join(cacheDir(), `${target.arch}-${hash}`);
  const made: Image = {
    kernel: (name) => join(dir, `vmlinuz-${name}`),
    root: join(dir, "root.img"),
    initramfsTools: join(dir, "initramfs-tools.tar"),
  };
  if (existsSync(dir)) return made;
  if (process.geteuid?.() !== 0)
    throw new Error(
      "making the root image needs root once; after that any user can run these tests",
    );
  console.log(`making the root image of ${target.arch} (once: ${dir})`);
  mkdirSync(cacheDir(), { recursive: true });
  const scratch = mkdtempSync(join(cacheDir(), "making-"));
  try {
    await make(target, scratch);
    // Complete or not there at all.
    renameSync(join(scratch, "made"), dir);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
  return made;
}

async function make(target: Target, scratch: string): Promise<void> {
  const foreign = process.arch !== target.arch;
  const root = join(scratch, "root");
  const sources = join(scratch, "debian.sources");
  mkdirSync(join(scratch, "made"));
  writeFileSync(sources, debianSources(RELEASE, true));
  await run([
    "mmdebstrap",
    // Another architecture's packages are only unpacked: configuring them in emulation would take minutes.
    ...(foreign
      ? ["--variant=extract", "--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr"]
      : ["--variant=minbase"]),
    `--architectures=${target.debian}`,
    `--include=${[...PACKAGES, ...(foreign ? ESSENTIAL : [])].join(",")}`,
    RELEASE,
    root,
    sources,
  ]);
  const sh = (script: string) => run(["/bin/sh", "-ec", script], { cwd: scratch });
  for (const kernel of KERNEL_NAMES) {
    const work = join(scratch, kernel);
    const image = join(scratch, "made", `vmlinuz-${kernel}`);
    mkdirSync(work);
    await unpackKernel(target, kernel, { scratch: work, image, root });
  }
  await sh(
    "cd root/usr/share; rm -rf doc locale man; cd ../../var; rm -rf lib/apt/lists/* cache/apt",
  );
  if (foreign) await sh(FIX_UP);
  furnish(root);
  if (!foreign) await sh(FIRST_INITRAMFS);
  await sh(`mke2fs -q -t ext4 -d root made/root.img ${SIZE}`);
}

/** What minbase has by itself and a mere extraction must name. */
const ESSENTIAL = [
  "base-passwd",
  "base-files",
  "dash",
  "coreutils",
  "findutils",
  "grep",
  "hostname",
  "sed",
  "perl-base",
];

/** What the packages' scripts would have made, as far as a boot needs it. */
const FIX_UP = `cd root
cp usr/share/base-passwd/passwd.master etc/passwd
cp usr/share/base-passwd/group.master etc/group
test -e bin/sh || ln -s dash usr/bin/sh
`;

/** What a machine has once it is installed, and update-initramfs -u makes anew. NVMe and ext4 need no modules. */
const FIRST_INITRAMFS = `printf '%s\\n' MODULES=list COMPRESS=gzip COMPRESSLEVEL=1 >root/etc/initramfs-tools/conf.d/tests
version=$(basename root/usr/lib/modules/${INITRAMFS_KERNEL}.*)
ln -s boot/initrd.img-$version root/initrd.img
unshare --mount sh -ec 'mount -t proc proc root/proc
  mount --rbind /dev root/dev
  chroot root update-initramfs -c -k "$1"' sh $version
tar -cf made/initramfs-tools.tar -C root --exclude="*.ko" --exclude="./dev/*" --exclude="./usr/lib/python3*" .
rm root/initrd.img root/boot/initrd.img-$version
`;

function furnish(root: string): void {
  const units = join(root, "etc/systemd/system");
  const link = (unit: string, to: string) => {
    mkdirSync(dirname(join(units, unit)), { recursive: true });
    symlinkSync(to, join(units, unit));
  };
  // The console belongs to the tests.
  for (const unit of ["getty@.service", "serial-getty@.service"]) link(unit, "/dev/null");
  // Without an id systemd asks who sits there.
  writeFileSync(join(root, "etc/machine-id"), `${"b0".repeat(16)}\n`);
  writeFileSync(join(root, "etc/hostname"), "spawnbox-vm\n");
  writeFileSync(join(units, "spawnbox-test.service"), SERVICE);
  link("multi-user.target.wants/spawnbox-test.service", "../spawnbox-test.service");
  mkdirSync(join(root, "usr/lib/spawnbox-test"));
}
