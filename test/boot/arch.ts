/** What differs between the architectures that are booted. */
export type Arch = "x64" | "arm64";

export interface Target {
  readonly arch: Arch;
  /** Debian's name of the architecture. */
  readonly debian: string;
  /** Debian's kernel package: ext4 and NVMe are built in, so no initramfs is needed. */
  readonly kernel: string;
  readonly qemu: string;
  /** Debian package of {@link qemu}. */
  readonly qemuPackage: string;
  readonly machine: readonly string[];
  readonly console: string;
}

export const TARGETS: Readonly<Record<Arch, Target>> = {
  x64: {
    arch: "x64",
    debian: "amd64",
    kernel: "linux-image-cloud-amd64",
    qemu: "qemu-system-x86_64",
    qemuPackage: "qemu-system-x86",
    machine: ["-M", "q35", "-cpu", "max"],
    console: "ttyS0",
  },
  arm64: {
    arch: "arm64",
    debian: "arm64",
    kernel: "linux-image-cloud-arm64",
    qemu: "qemu-system-aarch64",
    qemuPackage: "qemu-system-arm",
    // The core of R-Car M3 and H3.
    machine: ["-M", "virt", "-cpu", "cortex-a57"],
    console: "ttyAMA0",
  },
};
