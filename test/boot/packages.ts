/** The programs of the host, by Debian package. */
import type { Target } from "./arch.ts";
import { run } from "./run.ts";

/** Installs what is missing, as root; otherwise throws with what to install. */
export async function needPrograms(target: Target): Promise<void> {
  const packages = {
    [target.qemu]: target.qemuPackage,
    mmdebstrap: "mmdebstrap",
    debugfs: "e2fsprogs",
    depmod: "kmod",
  };
  // An ordinary user's PATH may lack the directories of mke2fs and debugfs.
  process.env["PATH"] = `${process.env["PATH"] ?? ""}:/usr/sbin:/sbin`;
  const missing = Object.entries(packages).flatMap(([program, name]) =>
    Bun.which(program) === null ? [name] : [],
  );
  if (missing.length === 0) return;
  if (process.geteuid?.() !== 0 || Bun.which("apt-get") === null)
    throw new Error(`install these Debian packages first: ${missing.join(" ")}`);
  console.log(`installing ${missing.join(" ")}`);
  const options = { env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" } };
  // Another installation may be under way.
  const wait = ["-o", "DPkg::Lock::Timeout=300"];
  await run(["apt-get", ...wait, "update", "-qq"], options);
  await run(
    ["apt-get", ...wait, "install", "-y", "-qq", "--no-install-recommends", ...missing],
    options,
  );
}
