/**
 * Builds the executable: `bun src/build.ts [--arch x64|arm64] [--bun FILE]` → dist/spawnbox for this machine,
 * dist/spawnbox-linux-ARCH for the other. The launcher is built and embedded; the runtime of another architecture is
 * downloaded, unless --bun names the target's: distributions build without network.
 */
import { mkdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { type Arch, buildLauncher, hostArch, launcherFile } from "../ffi/launcher/build.ts";

const root = join(import.meta.dir, "..");

function requested(): { arch: Arch; bun?: string } {
  const { values } = parseArgs({
    options: { arch: { type: "string", default: hostArch }, bun: { type: "string" } },
  });
  const bun = values.bun === undefined ? {} : { bun: values.bun };
  if (values.arch === "x64" || values.arch === "arm64") return { arch: values.arch, ...bun };
  console.error(`unknown architecture ${values.arch}; one of x64, arm64`);
  process.exit(2);
}

const { arch, bun } = requested();
await buildLauncher(arch);
mkdirSync(join(root, "dist"), { recursive: true });
const outfile = join(root, "dist", arch === hostArch ? "spawnbox" : `spawnbox-linux-${arch}`);
const result = await Bun.build({
  // The second is what the threads of plugins run; beside the first, where it looks for it.
  entrypoints: [join(root, "src", "main.ts"), join(root, "src", "plugins", "worker.ts")],
  naming: { entry: "[name].[ext]" },
  // Each subcommand loads only what it needs: `call` and `check` nothing of the server.
  splitting: true,
  minify: true,
  bytecode: true,
  format: "esm",
  compile: {
    target: `bun-linux-${arch}`,
    outfile,
    ...(bun === undefined ? {} : { executablePath: bun }),
    // What lies in the current directory must not change what runs as root: no .env, no bunfig.toml.
    autoloadDotenv: false,
    autoloadBunfig: false,
    // Packages that plugins import say in theirs which file is meant.
    autoloadPackageJson: true,
  },
  plugins: [
    {
      name: "launcher of the target",
      setup: (build) => {
        build.onResolve({ filter: /\/bin\/launcher$/ }, () => ({ path: launcherFile(arch) }));
      },
    },
  ],
});
if (!result.success) {
  for (const log of result.logs) console.error(log);
  process.exit(1);
}
console.log(`${outfile.slice(root.length + 1)} (${Math.round(statSync(outfile).size / 1e6)} MB)`);
