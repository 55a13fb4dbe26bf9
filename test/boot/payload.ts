/**
 * What is tried: the executable as it is built now, and the program that tries it, in a copy of the root image; and on a disk of
 * its own, the repository with its suites.
 */
import {
  copyFileSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { launcherFile } from "../../ffi/launcher/build.ts";
import { buildEmpty } from "../bench/empty.ts";
import { accessFile } from "./access.ts";
import type { Target } from "./arch.ts";
import type { Image } from "./image.ts";
import { initramfs } from "./initramfs.ts";
import { run } from "./run.ts";
import { tunnel } from "./tunnel.ts";

const repository = join(import.meta.dir, "../..");
const SAMPLES = ["factory-reset.json", "factory-reset.sh", "power.json"];
const sample = (name: string) => join(repository, "config", name);

/** Paths of the disks for one run. */
export interface Payload extends Disposable {
  readonly root: string;
  readonly suites: string;
  /** Makes one with spawnbox installed in it. */
  initramfs(): Promise<string>;
  /** The root, or a copy for one boot in which a file cannot be executed. */
  rootWithout(disabled: string | undefined): Promise<{ readonly path: string } & Disposable>;
}

export async function payload(target: Target, image: Image): Promise<Payload> {
  const scratch = mkdtempSync(join(tmpdir(), "spawnbox-boot-"));
  const dispose = () => rmSync(scratch, { recursive: true, force: true });
  try {
    const root = join(scratch, "root.img");
    const inside = join(scratch, "inside");
    await run([process.execPath, "src/make/build.ts", "--arch", target.arch], { cwd: repository });
    await run(
      [
        process.execPath,
        "build",
        "test/boot/inside/main.ts",
        "--compile",
        `--target=bun-linux-${target.arch}`,
        "--no-compile-autoload-dotenv",
        "--no-compile-autoload-bunfig",
        `--outfile=${inside}`,
      ],
      { cwd: repository },
    );
    const empty = join(scratch, "empty");
    await buildEmpty(empty, target.arch);
    copyFileSync(image.root, root);
    const ends = tunnel(scratch);
    const access = join(scratch, "access.json");
    writeFileSync(access, accessFile());
    const built = process.arch === target.arch ? "spawnbox" : `spawnbox-linux-${target.arch}`;
    const executable = join(repository, "dist", built);
    await put(root, scratch, {
      "/usr/bin/spawnbox": executable,
      "/usr/lib/spawnbox-test/inside": inside,
      "/usr/lib/spawnbox-test/empty": empty,
      // The launcher is also the init of early boot.
      "/usr/lib/spawnbox/init": launcherFile(target.arch),
      "/usr/lib/spawnbox-test/hang": join(import.meta.dir, "hang"),
      "/usr/lib/spawnbox-test/late": join(import.meta.dir, "late"),
      "/usr/lib/spawnbox-test/broken": join(import.meta.dir, "broken"),
      "/usr/lib/spawnbox-test/fill": join(import.meta.dir, "fill"),
      "/etc/spawnbox/early.json": join(import.meta.dir, "early.json"),
      "/etc/spawnbox/access.json": access,
      "/etc/spawnbox/early-vpn.json": sample("vpn-autostart.json"),
      "/etc/spawnbox/early-sensor.json": sample("plugins.json"),
      "/etc/spawnbox/plugins/sensor.ts": sample("plugins/sensor.ts"),
      "/etc/wireguard/wg0.conf": ends.here,
      "/usr/lib/spawnbox-test/peer.conf": ends.there,
      ...Object.fromEntries(SAMPLES.map((n) => [`/usr/lib/spawnbox-test/samples/${n}`, sample(n)])),
    });
    const suites = await suitesDisk(target, scratch);
    return {
      root,
      suites,
      initramfs: () => initramfs(image, executable, scratch),
      async rootWithout(disabled) {
        if (disabled === undefined) return { path: root, [Symbol.dispose]() {} };
        // Others are booted from the same root meanwhile.
        const path = join(scratch, "root-without.img");
        await run(["cp", "--sparse=always", root, path]);
        await run(["debugfs", "-w", "-R", `sif ${disabled} mode 0100644`, path]);
        return { path, [Symbol.dispose]: () => rmSync(path) };
      },
      [Symbol.dispose]: dispose,
    };
  } catch (error) {
    dispose();
    throw error;
  }
}

/** What the suites import, and no program: the executable can be Bun, too. */
async function suitesDisk(target: Target, scratch: string): Promise<string> {
  const tree = join(scratch, "tree");
  const disk = join(scratch, "suites.img");
  const copy = (path: string) => cpSync(join(repository, path), join(tree, path), COPY);
  for (const path of ["src", "test", "ffi", "config", "package.json", "bunfig.toml"]) copy(path);
  const modules = readdirSync(join(repository, "node_modules"));
  for (const name of modules) if (!NOT_IMPORTED.has(name)) copy(join("node_modules", name));
  mkdirSync(join(tree, "dist"));
  copyFileSync(launcherFile(target.arch), join(tree, "ffi/launcher/bin/launcher"));
  await run(["mke2fs", "-q", "-t", "ext4", "-E", "root_owner=0:0", "-d", tree, disk, "96M"]);
  return disk;
}
const COPY = { recursive: true, dereference: true };
const NOT_IMPORTED = new Set([".bin", "bun", "@oven", "typescript", "bun-types", "happy-dom"]);

const EXECUTABLE = "0100755";

/** The directories above a file that the image may lack. */
const parents = (place: string): string[] => [dirname(dirname(place)), dirname(place)];

/** Writes programs into a file system image; needs neither root nor a loop device. */
async function put(root: string, scratch: string, files: Record<string, string>): Promise<void> {
  const commands = join(scratch, "commands");
  const lines = Object.entries(files).flatMap(([place, source]) => [
    // Says so when it exists, and goes on.
    ...parents(place).map((dir) => `mkdir ${dir}`),
    `write ${source} ${place}`,
    // Keys are for nobody else to read.
    `sif ${place} mode ${place.endsWith(".conf") ? "0100600" : EXECUTABLE}`,
    `sif ${place} uid 0`,
    `sif ${place} gid 0`,
  ]);
  writeFileSync(commands, `${lines.join("\n")}\n`);
  await run(["debugfs", "-w", "-f", commands, root]);
}
