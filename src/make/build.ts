/** `npm run build`: the executable, with the launcher in it. */
import { mkdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { putEntry } from "../../ffi/entry/patch.ts";
import { type Arch, buildLauncher, hostArch, launcherFile } from "../../ffi/launcher/build.ts";
import { commandLine, UsageError } from "../command-line/usage.ts";
import { WHILE_STARTING } from "../jit.ts";
import { buildConsole } from "./console.ts";

const root = join(import.meta.dir, "../..");

const help = `usage: npm run build [-- OPTIONS]

Makes dist/spawnbox for this machine, dist/spawnbox-linux-ARCH for another.

  --arch ARCH   x64 or arm64 (default ${hostArch})
  --bun FILE    the runtime of the target, which is downloaded otherwise: distributions build without network
  --quick       larger and slower to start, made in a second: to try a change
  --cc COMMAND  the C compiler of the target, with its flags; otherwise $CC, cc, or a cross gcc
  -h, --help    this text`;

interface Options {
  readonly arch: Arch;
  readonly bun: string | undefined;
  readonly cc: string | undefined;
  readonly quick: boolean;
}

function parse(args: string[]): Options | undefined {
  const { values } = parseArgs({
    args,
    options: {
      arch: { type: "string", default: hostArch },
      bun: { type: "string" },
      cc: { type: "string" },
      quick: { type: "boolean", default: false },
      help: { type: "boolean", short: "h" },
    },
  });
  if (values.help) return undefined;
  const { arch, bun, cc, quick } = values;
  if (arch === "x64" || arch === "arm64") return { arch, bun, cc, quick };
  throw new UsageError(`--arch ${arch}: expected x64 or arm64`);
}

const { arch, bun, cc, quick } = commandLine({ name: "npm run build", help, parse });
await buildLauncher(arch, cc);
const consoleSize = await buildConsole();
mkdirSync(join(root, "dist"), { recursive: true });
const outfile = join(root, "dist", arch === hostArch ? "spawnbox" : `spawnbox-linux-${arch}`);
const result = await Bun.build({
  // The second is what the threads of plugins run; beside the first, where it looks for it.
  entrypoints: [join(root, "src", "main.ts"), join(root, "src", "plugins", "worker.ts")],
  naming: { entry: "[name].[ext]" },
  // Each subcommand loads only what it needs: `call` and `check` nothing of the server.
  splitting: true,
  minify: !quick,
  bytecode: !quick,
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
    jitPolicy: WHILE_STARTING,
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
putEntry(outfile, arch, cc);
const megabytes = Math.round(statSync(outfile).size / 1e6);
console.log(`${outfile.slice(root.length + 1)} (${megabytes} MB; its console ${consoleSize})`);
