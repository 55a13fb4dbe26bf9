/**
 * An image for containers, as an archive that podman, docker, skopeo and containerd load: made without a daemon, of packages of
 * Debian (mmdebstrap) and the executable. See the OCI image specification, image-layout.md, manifest.md and config.md.
 */
import {
  chmodSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Arch } from "../../ffi/launcher/build.ts";
import { compress, pack, run } from "./archive.ts";
import { DEBIAN_ARCH } from "./deb.ts";
import { debianSources } from "./debian-sources.ts";
import { HOMEPAGE } from "./project.ts";

const RELEASE = "bookworm";
/** A shell and the usual programs for commands, and what the executable opens at run time. Unpacked, with what they depend on. */
const PACKAGES = [
  ...["base-files", "base-passwd", "dash", "bash", "coreutils", "findutils", "grep", "sed"],
  ...["mount", "procps", "util-linux", "iproute2", "libcap2", "libseccomp2", "ca-certificates"],
];
/** What their scripts would have made. Everybody must be able to read it. */
const SETTLE = `cp usr/share/base-passwd/passwd.master etc/passwd
cp usr/share/base-passwd/group.master etc/group
test -e bin/sh || ln -s dash usr/bin/sh
rm -rf usr/share/doc usr/share/locale usr/share/man usr/share/info var/lib/apt var/lib/dpkg var/cache var/log/*
rm -rf dev/* etc/apt
mkdir -p etc/spawnbox run tmp`;
const PORT = "1234/tcp";

export interface ImageInput {
  readonly arch: Arch;
  readonly version: string;
  /** Seconds since 1970, of everything in it. */
  readonly epoch: number;
  /** The sources, with config/demo.json, which the image serves until something is mounted over /etc/spawnbox. */
  readonly tree: string;
  readonly executable: string;
  readonly copyright: string;
}

interface Blob {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
}

const sha256 = (bytes: Uint8Array | string): string =>
  `sha256:${new Bun.CryptoHasher("sha256").update(bytes).digest("hex")}`;

function rootOf({ arch, tree, executable, copyright }: ImageInput, scratch: string): string {
  const root = join(scratch, "root");
  const sources = join(scratch, "debian.sources");
  writeFileSync(sources, debianSources(RELEASE, true));
  run(
    [
      ...["mmdebstrap", "--quiet", "--variant=extract"],
      "--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr",
      `--architectures=${DEBIAN_ARCH[arch]}`,
      `--include=${PACKAGES.join(",")}`,
      ...[RELEASE, root, sources],
    ],
    scratch,
  );
  run(["/bin/sh", "-ec", SETTLE], root);
  chmodSync(join(root, "tmp"), 0o1777);
  const put = (from: string, to: string, mode: number) => {
    cpSync(from, join(root, to));
    chmodSync(join(root, to), mode);
  };
  put(executable, "usr/bin/spawnbox", 0o755);
  put(join(tree, "config/demo.json"), "etc/spawnbox/spawn-demo.json", 0o644);
  mkdirSync(join(root, "usr/share/doc/spawnbox"), { recursive: true });
  writeFileSync(join(root, "usr/share/doc/spawnbox/copyright"), copyright);
  return root;
}

/** Writes `file`. @throws Error when mmdebstrap, or an archive of Debian, cannot be had, or the caller is not root */
export function makeImage(input: ImageInput, file: string): void {
  if (!Bun.which("mmdebstrap"))
    throw new Error("no mmdebstrap for the container image: install it, or leave out --image");
  const scratch = mkdtempSync(join(tmpdir(), "spawnbox-image-"));
  try {
    packImage(input, rootOf(input, scratch), file);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

/** The archive of an image with this root file system, which has the executable in /usr/bin. */
export function packImage(
  { arch, version, epoch }: Pick<ImageInput, "arch" | "version" | "epoch">,
  root: string,
  file: string,
): void {
  const scratch = mkdtempSync(join(tmpdir(), "spawnbox-image-"));
  try {
    const layout = join(scratch, "layout");
    const blobs = join(layout, "blobs/sha256");
    mkdirSync(blobs, { recursive: true });
    const blob = (mediaType: string, bytes: Uint8Array | string): Blob => {
      const digest = sha256(bytes);
      writeFileSync(join(blobs, digest.slice("sha256:".length)), bytes);
      return { mediaType, digest, size: Buffer.byteLength(bytes) };
    };
    const tar = join(scratch, "layer.tar");
    pack(tar, root, ["."], { epoch });
    const unpacked = sha256(readFileSync(tar));
    compress(tar);
    const type = (name: string) => `application/vnd.oci.image.${name}`;
    const layer = blob(type("layer.v1.tar+gzip"), readFileSync(`${tar}.gz`));
    const created = new Date(epoch * 1000).toISOString();
    const labels = {
      "org.opencontainers.image.title": "spawnbox",
      "org.opencontainers.image.version": version,
      "org.opencontainers.image.url": HOMEPAGE,
      "org.opencontainers.image.licenses": "Apache-2.0",
    };
    const config = {
      created,
      architecture: DEBIAN_ARCH[arch],
      os: "linux",
      config: {
        Env: ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
        Entrypoint: ["/usr/bin/spawnbox"],
        // The container's own network: who reaches it is what -p says.
        Cmd: [
          "serve",
          "--config",
          "/etc/spawnbox",
          "--host",
          "0.0.0.0",
          "--port",
          "1234",
          "--insecure",
        ],
        ExposedPorts: { [PORT]: {} },
        WorkingDir: "/",
        StopSignal: "SIGTERM",
        Labels: labels,
      },
      rootfs: { type: "layers", diff_ids: [unpacked] },
      history: [{ created, created_by: "npm run release -- --image" }],
    };
    const manifest = blob(
      type("manifest.v1+json"),
      JSON.stringify({
        schemaVersion: 2,
        mediaType: type("manifest.v1+json"),
        config: blob(type("config.v1+json"), JSON.stringify(config)),
        layers: [layer],
      }),
    );
    const named = {
      ...manifest,
      platform: { architecture: DEBIAN_ARCH[arch], os: "linux" },
      annotations: {
        "org.opencontainers.image.ref.name": version,
        // By which docker load and containerd name it.
        "io.containerd.image.name": `docker.io/library/spawnbox:${version}`,
      },
    };
    const index = { schemaVersion: 2, mediaType: type("index.v1+json"), manifests: [named] };
    writeFileSync(join(layout, "index.json"), JSON.stringify(index));
    writeFileSync(join(layout, "oci-layout"), JSON.stringify({ imageLayoutVersion: "1.0.0" }));
    pack(file, layout, ["oci-layout", "index.json", "blobs"], { epoch });
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}
