/**
 * Debian packages of an executable: `spawnbox` with the unit, `spawnbox-early` with the init of early boot, `spawnbox-initramfs`
 * that lets initramfs-tools start it. See deb-control(5), deb-systemd-helper(1p), deb-triggers(5).
 */
import {
  chmodSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { Arch } from "../../ffi/launcher/build.ts";
import { compress, run } from "./archive.ts";
import { HOMEPAGE, MAINTAINER } from "./project.ts";

export const DEBIAN_ARCH: Readonly<Record<Arch, string>> = { x64: "amd64", arm64: "arm64" };

export interface DebianInput {
  readonly arch: Arch;
  readonly version: string;
  /** Seconds since 1970, of everything in the packages. */
  readonly epoch: number;
  /** The sources, with config/install. */
  readonly tree: string;
  readonly executable: string;
  readonly init: string;
  /** Whose work is in them, under which licences: debian's copyright file. */
  readonly copyright: string;
  /** A folder with what belongs below /usr/share: pages of the manual, completions. */
  readonly shared?: string;
  /** Of dpkg-deb -Z; default xz. */
  readonly compression?: "none" | "xz";
}

interface DebianPackage {
  readonly name: string;
  readonly summary: string;
  /** Each line of it is one of the description. */
  readonly description: readonly string[];
  readonly depends: string;
  /** From where to where. */
  readonly files: readonly { readonly from: string; readonly to: string; readonly mode: number }[];
  readonly scripts?: Readonly<Record<string, string>>;
  readonly triggers?: string;
  /** What lintian says and is meant so, each with the reason. */
  readonly overrides?: readonly string[];
}

const UNIT = "spawnbox.service";
const whenBooted = (...lines: string[]) =>
  ["if [ -d /run/systemd/system ]; then", ...lines.map((line) => `\t${line}`), "fi"].join("\n");
const script = (...lines: string[]) => `#!/bin/sh\nset -e\n${lines.join("\n")}\n`;

/** As for every service of Debian: enabled and started at first, later what the administrator made of it, and restarted. */
const SERVICE = {
  postinst: script(
    'if [ "$1" = configure ]; then',
    `deb-systemd-helper unmask ${UNIT} >/dev/null || true`,
    `if deb-systemd-helper --quiet was-enabled ${UNIT}; then`,
    `\tdeb-systemd-helper enable ${UNIT} >/dev/null || true`,
    "else",
    `\tdeb-systemd-helper update-state ${UNIT} >/dev/null || true`,
    "fi",
    whenBooted(
      "systemctl --system daemon-reload >/dev/null || true",
      `if [ -n "$2" ]; then action=restart; else action=start; fi`,
      `deb-systemd-invoke "$action" ${UNIT} >/dev/null || true`,
    ),
    "fi",
  ),
  prerm: script(
    'if [ "$1" = remove ]; then',
    whenBooted(`deb-systemd-invoke stop ${UNIT} >/dev/null || true`),
    "fi",
  ),
  postrm: script(
    'if [ "$1" = remove ]; then',
    whenBooted("systemctl --system daemon-reload >/dev/null || true"),
    "fi",
    'if [ "$1" = purge ] && command -v deb-systemd-helper >/dev/null; then',
    `\tdeb-systemd-helper purge ${UNIT} >/dev/null || true`,
    `\tdeb-systemd-helper unmask ${UNIT} >/dev/null || true`,
    "fi",
  ),
};

const INIT = "/usr/lib/spawnbox/init";
/** As `spawnbox install --uninstall`: without what the kernel is told to start, it panics. */
const EARLY_SCRIPTS = {
  prerm: script(
    'if [ "$1" = remove ]; then',
    `case " $(cat /proc/cmdline) $(readlink -f /sbin/init) " in *" init=${INIT} "* | *" ${INIT} "*)`,
    `\techo "${INIT} is what the kernel starts: without it this machine would not boot. Take it off the kernel command line, and any link to it away from /sbin/init" >&2`,
    "\texit 1 ;;",
    "esac",
    "fi",
  ),
};

const RUNTIME =
  "# The executable is the runtime as its project builds and links it, with the program behind its sections.";
const FREESTANDING = "# PID 1 of early boot, before there are libraries: it has none.";

function packages({ version, tree, executable, init, shared }: DebianInput): DebianPackage[] {
  const install = (name: string) => join(tree, "config/install", name);
  const pages =
    shared === undefined
      ? []
      : [...new Bun.Glob("**/*").scanSync(shared)].toSorted().map((path) => {
          // Debian's zsh does not look where that of others does.
          const place = path.replace("zsh/site-functions", "zsh/vendor-completions");
          return { from: join(shared, path), to: `/usr/share/${place}`, mode: 0o644 };
        });
  return [
    {
      name: "spawnbox",
      summary: "Commands as REST and WebSocket verbs, each launched in a sandbox",
      description: [
        "Turns the commands named in a config into verbs of redpesk's AFB protocol",
        "and launches each with exactly the user, capabilities, system calls,",
        "namespaces and files that the config gives it.",
      ],
      depends: "libc6 (>= 2.17), libcap2, libseccomp2",
      files: [
        { from: executable, to: "/usr/bin/spawnbox", mode: 0o755 },
        { from: install(UNIT), to: `/lib/systemd/system/${UNIT}`, mode: 0o644 },
        { from: install("spawn-board.json"), to: "/etc/spawnbox/spawn-board.json", mode: 0o644 },
        ...pages,
      ],
      scripts: SERVICE,
      overrides: [
        RUNTIME,
        ...["unstripped-binary-or-object", "hardening-no-pie", "hardening-no-relro"].map(
          (tag) => `spawnbox: ${tag} [usr/bin/spawnbox]`,
        ),
        "spawnbox: embedded-library libjpeg [usr/bin/spawnbox]",
      ],
    },
    {
      name: "spawnbox-early",
      summary: "Runs the tasks of /etc/spawnbox/early.json before systemd",
      description: [
        "The init of early boot: add init=/usr/lib/spawnbox/init to the kernel's",
        "command line, or install spawnbox-initramfs.",
      ],
      depends: `spawnbox (= ${version})`,
      files: [
        { from: init, to: INIT, mode: 0o755 },
        { from: install("early.json"), to: "/etc/spawnbox/early.json", mode: 0o644 },
      ],
      scripts: EARLY_SCRIPTS,
      overrides: [FREESTANDING, "spawnbox-early: statically-linked-binary [usr/lib/spawnbox/init]"],
    },
    {
      name: "spawnbox-initramfs",
      summary: "Lets the initramfs start the init of spawnbox-early",
      description: [
        "For initramfs-tools: every boot starts the tasks of early boot, unless the",
        "kernel's command line says spawnbox.early=off. No boot loader is touched.",
      ],
      depends: `spawnbox-early (= ${version}), initramfs-tools`,
      files: [
        {
          from: install("initramfs/initramfs-tools"),
          to: "/usr/share/initramfs-tools/scripts/init-bottom/spawnbox",
          mode: 0o755,
        },
      ],
      triggers: "activate-noawait update-initramfs\n",
    },
  ];
}

/** `Installed-Size`, in KiB. */
function size(folder: string): number {
  let bytes = 0;
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true }))
    bytes += entry.isFile() ? statSync(join(entry.parentPath, entry.name)).size : 4096;
  return Math.ceil(bytes / 1024);
}

function build(one: DebianPackage, input: DebianInput, outDir: string): void {
  const { arch, version, epoch, copyright, compression = "xz" } = input;
  const root = mkdtempSync(join(tmpdir(), "spawnbox-deb-"));
  const put = (path: string, content: string, mode = 0o644) => {
    const file = join(root, path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, content);
    chmodSync(file, mode);
  };
  try {
    chmodSync(root, 0o755);
    for (const { from, to, mode } of one.files) {
      mkdirSync(dirname(join(root, to)), { recursive: true });
      cpSync(from, join(root, to));
      chmodSync(join(root, to), mode);
      if (to.startsWith("/usr/share/man/")) compress(join(root, to));
    }
    const docs = `/usr/share/doc/${one.name}`;
    const date = new Date(epoch * 1000).toUTCString().replace("GMT", "+0000");
    put(`${docs}/copyright`, copyright);
    put(
      `${docs}/changelog`,
      `spawnbox (${version}) unstable; urgency=medium\n\n  * Release ${version}.\n\n -- ${MAINTAINER}  ${date}\n`,
    );
    compress(join(root, docs, "changelog"));
    if (one.overrides)
      put(`/usr/share/lintian/overrides/${one.name}`, `${one.overrides.join("\n")}\n`);
    const installed = size(root);
    put(
      "DEBIAN/control",
      [
        `Package: ${one.name}`,
        `Version: ${version}`,
        `Architecture: ${DEBIAN_ARCH[arch]}`,
        `Maintainer: ${MAINTAINER}`,
        `Installed-Size: ${installed}`,
        `Depends: ${one.depends}`,
        "Section: admin",
        "Priority: optional",
        `Homepage: ${HOMEPAGE}`,
        `Description: ${one.summary}`,
        ...one.description.map((line) => ` ${line}`),
        "",
      ].join("\n"),
    );
    const kept = one.files.map(({ to }) => to).filter((path) => path.startsWith("/etc/"));
    if (kept.length > 0) put("DEBIAN/conffiles", `${kept.join("\n")}\n`);
    if (one.triggers) put("DEBIAN/triggers", one.triggers);
    for (const [name, text] of Object.entries(one.scripts ?? {}))
      put(`DEBIAN/${name}`, text, 0o755);
    const sums = readdirSync(root, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name).slice(root.length + 1))
      .filter((path) => !path.startsWith("DEBIAN/") && !path.startsWith("etc/"))
      .sort()
      .map((path) => `${md5(join(root, path))}  ${path}\n`);
    put("DEBIAN/md5sums", sums.join(""));
    const file = join(outDir, `${one.name}_${version}_${DEBIAN_ARCH[arch]}.deb`);
    run(
      ["dpkg-deb", "--root-owner-group", `-Z${compression}`, "--build", root, file],
      outDir,
      // No file of the package is younger.
      { SOURCE_DATE_EPOCH: String(epoch) },
    );
  } finally {
    rmSync(root, { recursive: true });
  }
}

const md5 = (file: string): string =>
  new Bun.CryptoHasher("md5").update(readFileSync(file)).digest("hex");

/** Writes the packages of one architecture to `outDir`. @throws Error when dpkg-deb is missing or fails */
export function makeDebs(input: DebianInput, outDir: string): void {
  if (!Bun.which("dpkg-deb"))
    throw new Error(
      "no dpkg-deb for the Debian packages: install dpkg, or leave them out with --no-deb",
    );
  for (const one of packages(input)) build(one, input, outDir);
}
