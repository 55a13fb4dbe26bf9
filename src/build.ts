/**
 * Builds the executable: `bun src/build.ts [--arch x64|arm64]` → dist/spawnbox for this machine, dist/spawnbox-linux-ARCH for
 * the other. The launcher is built and embedded; the runtime of another architecture comes from the npm registry.
 */
import { mkdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { type Arch, buildLauncher, hostArch, launcherFile } from "../ffi/launcher/build.ts";

const root = join(import.meta.dir, "..");

function requestedArch(): Arch {
  const { values } = parseArgs({ options: { arch: { type: "string", default: hostArch } } });
  if (values.arch === "x64" || values.arch === "arm64") return values.arch;
  console.error(`unknown architecture ${values.arch}; one of x64, arm64`);
  process.exit(2);
}

const arch = requestedArch();
await buildLauncher(arch);
mkdirSync(join(root, "dist"), { recursive: true });
const outfile = join(root, "dist", arch === hostArch ? "spawnbox" : `spawnbox-linux-${arch}`);
const result = await Bun.build({
  entrypoints: [join(root, "src", "main.ts")],
  // Splitting keeps `schema` and `call` from loading the server.
  minify: true,
  bytecode: true,
  format: "esm",
  compile: {
    target: `bun-linux-${arch}`,
    outfile,
    // What lies in the current directory must not change what runs as root: no .env, no bunfig.toml.
    autoloadDotenv: false,
    autoloadBunfig: false,
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
