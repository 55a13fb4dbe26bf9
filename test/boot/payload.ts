/** What is tried: the executable as it is built now, and the program that tries it, in a copy of the root image. */
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { launcherFile } from "../../ffi/launcher/build.ts";
import type { Target } from "./arch.ts";
import type { Image } from "./image.ts";
import { run } from "./run.ts";

const repository = join(import.meta.dir, "../..");

/** Path of the root image for one run. */
export interface Payload extends Disposable {
  readonly root: string;
}

export async function payload(target: Target, image: Image): Promise<Payload> {
  const scratch = mkdtempSync(join(tmpdir(), "spawnbox-boot-"));
  const dispose = () => rmSync(scratch, { recursive: true, force: true });
  try {
    const root = join(scratch, "root.img");
    const inside = join(scratch, "inside");
    await run([process.execPath, "src/build.ts", "--arch", target.arch], { cwd: repository });
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
    copyFileSync(image.root, root);
    const built = process.arch === target.arch ? "spawnbox" : `spawnbox-linux-${target.arch}`;
    await put(root, scratch, {
      "/usr/bin/spawnbox": join(repository, "dist", built),
      "/usr/lib/spawnbox-test/inside": inside,
      // The launcher is also the init of early boot.
      "/usr/lib/spawnbox/init": launcherFile(target.arch),
      "/usr/lib/spawnbox-test/hang": join(import.meta.dir, "hang"),
      "/etc/spawnbox/early.json": join(import.meta.dir, "early.json"),
    });
    return { root, [Symbol.dispose]: dispose };
  } catch (error) {
    dispose();
    throw error;
  }
}

/** Writes programs into a file system image; needs neither root nor a loop device. */
async function put(root: string, scratch: string, files: Record<string, string>): Promise<void> {
  const commands = join(scratch, "commands");
  const lines = Object.entries(files).flatMap(([place, source]) => [
    // Says so when it exists, and goes on.
    `mkdir ${dirname(place)}`,
    `write ${source} ${place}`,
    `sif ${place} mode 0100755`,
    `sif ${place} uid 0`,
    `sif ${place} gid 0`,
  ]);
  writeFileSync(commands, `${lines.join("\n")}\n`);
  await run(["debugfs", "-w", "-f", commands, root]);
}
