/** What an installation consists of. */
import { readFileSync } from "node:fs";
import boardConfig from "../../config/install/spawn-board.json" with { type: "text" };
import earlyConfig from "../../config/install/early.json" with { type: "text" };
import initramfsScript from "../../config/install/initramfs/initramfs-tools" with { type: "text" };
import unit from "../../config/install/spawnbox.service" with { type: "text" };
import { launcherAsset } from "../../ffi/launcher/binary.ts";

/** Bytes, or the path of a file that has them: one that may be as large as the memory that is free. */
export type Content = Uint8Array | { readonly file: string };

export interface InstalledFile {
  /** Absolute. */
  readonly path: string;
  readonly mode: number;
  readonly content: () => Content;
  /** A sample for the user to change: never overwritten, never removed. */
  readonly sample?: true;
}

export const CONFIG_DIR = "/etc/spawnbox";
export const PROGRAM = "/usr/bin/spawnbox";
export const INIT = "/usr/lib/spawnbox/init";
export const UNIT = "spawnbox.service";
export const UNIT_PATH = `/etc/systemd/system/${UNIT}`;

const text = (content: unknown) => () => Buffer.from(String(content));

export const SERVICE: readonly InstalledFile[] = [
  { path: PROGRAM, mode: 0o755, content: () => ({ file: "/proc/self/exe" }) },
  { path: UNIT_PATH, mode: 0o644, content: text(unit) },
  {
    path: `${CONFIG_DIR}/spawn-board.json`,
    mode: 0o644,
    content: text(boardConfig),
    sample: true,
  },
];

/** The launcher is also the init of early boot. */
export const EARLY: readonly InstalledFile[] = [
  { path: INIT, mode: 0o755, content: () => readFileSync(launcherAsset) },
  { path: `${CONFIG_DIR}/early.json`, mode: 0o644, content: text(earlyConfig), sample: true },
];

/** What starts that init where nobody changed the kernel command line: a script for initramfs-tools. */
export const INITRAMFS: InstalledFile = {
  path: "/etc/initramfs-tools/scripts/init-bottom/spawnbox",
  mode: 0o755,
  content: text(initramfsScript),
};
