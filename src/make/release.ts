/**
 * `npm run release`: makes dist/release from the commit. The executables and launchers are built from the source tarball and the
 * verified packages of the lockfile, so that what is shipped is what the tarballs build. The same commit and C compiler give the
 * same bytes.
 */
import {
  chmodSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { type Arch, hostArch } from "../../ffi/launcher/build.ts";
import {
  type Source,
  RUNTIMES,
  plainName,
  productionPackages,
  readLockfile,
  runtimes,
  sha512hex,
} from "./packages.ts";
import { commandLine } from "../command-line/usage.ts";
import { compress, pack, run } from "./archive.ts";
import { makeDebs } from "./deb.ts";
import { copyright } from "./licences.ts";
import { makeImage } from "./oci.ts";
import { cyclonedx } from "./sbom.ts";

const root = join(import.meta.dir, "../..");

const help = `usage: npm run release [-- OPTIONS]

Makes dist/release: executables, Debian packages, sources, checksums and SBOM, all from the commit.

  --dirty     from the working tree instead, for trials
  --no-deb    without packages of Debian, which need dpkg-deb
  --image     with images for containers (OCI archives), which need root, mmdebstrap and an archive of Debian
  -h, --help  this text`;

const options = commandLine({
  ...{ name: "npm run release", help },
  parse: (args) => {
    const { values } = parseArgs({
      args,
      allowNegative: true,
      options: {
        dirty: { type: "boolean", default: false },
        deb: { type: "boolean", default: true },
        image: { type: "boolean", default: false },
        help: { type: "boolean", short: "h" },
      },
    });
    return values.help ? undefined : values;
  },
});
const lock = await readLockfile();
const base = `${lock.name}-${lock.version}`;
const release = join(root, "dist", "release");

const changed = run(["git", "status", "--porcelain"], root);
if (changed && !options.dirty) {
  console.error(
    `release: there are changes that are not committed (--dirty takes them):\n${changed}`,
  );
  process.exit(1);
}
/** Everything that is packed carries the time of the commit. */
const epoch = Number(run(["git", "log", "-1", "--format=%ct"], root));

function packSource(): void {
  const tar = join(release, `${base}.tar`);
  if (!options.dirty) {
    run(["git", "archive", "--format=tar", `--prefix=${base}/`, "-o", tar, "HEAD"], root);
  } else {
    const list = join(scratch, "files");
    run(["sh", "-c", `git ls-files -co --exclude-standard >${list}`], root);
    pack(tar, root, ["-T", list], { epoch, options: [`--transform=s,^,${base}/,`] });
  }
  compress(tar);
}

/** Fetches the tarballs through npm, compares each with the lockfile, and unpacks them as node_modules. */
function unpackPackages(sources: Source[], modules: string): void {
  const cache = join(scratch, "packages");
  mkdirSync(cache);
  const names = sources.map((s) => `${s.name}@${s.version}`);
  run(
    ["npm", "pack", "--silent", "--prefer-offline", "--pack-destination", cache, ...names],
    scratch,
  );
  for (const source of sources) {
    const tarball = join(cache, `${plainName(source.name)}-${source.version}.tgz`);
    const found = new Bun.CryptoHasher("sha512").update(readFileSync(tarball)).digest("hex");
    if (found !== sha512hex(source.integrity)) {
      throw new Error(`${source.name}: not the file of package-lock.json: sha512 ${found}`);
    }
    const place = join(modules, source.name);
    mkdirSync(place, { recursive: true });
    run(["tar", "-xzf", tarball, "-C", place, "--strip-components=1", "--no-same-owner"], scratch);
  }
  for (const name of Object.values(RUNTIMES)) chmodSync(join(modules, name, "bin", "bun"), 0o755);
}

function packPackages(tree: string): void {
  const tar = join(release, `${base}-node_modules.tar`);
  pack(tar, tree, ["node_modules"], { epoch });
  compress(tar);
}

function build(arch: Arch, tree: string): void {
  const bun = (of: Arch) => join(tree, "node_modules", RUNTIMES[of], "bin", "bun");
  run([bun(hostArch), "src/make/build.ts", "--arch", arch, "--bun", bun(arch)], tree);
  const own = arch === hostArch;
  const ship = (from: string, name: string) => {
    const to = join(release, name);
    cpSync(join(tree, from), to);
    chmodSync(to, 0o755);
  };
  ship(own ? "dist/spawnbox" : `dist/spawnbox-linux-${arch}`, `${base}-linux-${arch}`);
  ship(`ffi/launcher/bin/launcher${own ? "" : `-${arch}`}`, `${base}-init-linux-${arch}`);
}

function sums(): string {
  const line = (file: string) => {
    const hash = new Bun.CryptoHasher("sha256").update(readFileSync(join(release, file)));
    return `${hash.digest("hex")}  ${file}\n`;
  };
  return readdirSync(release).sort().map(line).join("");
}

const scratch = mkdtempSync(join(tmpdir(), "spawnbox-release-"));
try {
  rmSync(release, { recursive: true, force: true });
  mkdirSync(release, { recursive: true });
  packSource();
  run(["tar", "-xzf", join(release, `${base}.tar.gz`), "-C", scratch], scratch);
  const tree = join(scratch, base);
  const bundled = productionPackages(lock);
  unpackPackages([...bundled, ...runtimes(lock)], join(tree, "node_modules"));
  packPackages(tree);
  const text = copyright(bundled, join(tree, "node_modules"), runtimes(lock)[0]?.version ?? "");
  const archs = ["x64", "arm64"] as const;
  for (const arch of archs) build(arch, tree);
  const shared = join(scratch, "share");
  const bun = join(tree, "node_modules", RUNTIMES[hostArch], "bin", "bun");
  run([bun, "src/make/manual.ts", shared], tree, { SOURCE_DATE_EPOCH: String(epoch) });
  for (const arch of archs) {
    const executable = join(release, `${base}-linux-${arch}`);
    const made = { arch, version: lock.version, epoch, tree, executable, copyright: text };
    const init = join(release, `${base}-init-linux-${arch}`);
    if (options.deb) makeDebs({ ...made, init, shared }, release);
    if (options.image) makeImage(made, join(release, `${base}-oci-${arch}.tar`));
  }
  const sbom = cyclonedx(lock, [...bundled, ...runtimes(lock)], epoch);
  await Bun.write(join(release, `${base}.cdx.json`), `${JSON.stringify(sbom, null, 2)}\n`);
  await Bun.write(join(release, "SHA256SUMS"), sums());
} finally {
  rmSync(scratch, { recursive: true });
}
console.log(readFileSync(join(release, "SHA256SUMS"), "utf8").trimEnd());
