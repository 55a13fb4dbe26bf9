/** The packages of a release, with the executable that was built: what is in them, and that the same files give the same bytes. */
import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { hostArch, launcherFile } from "../../ffi/launcher/build.ts";
import { DEBIAN_ARCH, makeDebs } from "../../src/make/deb.ts";
import { RUNTIME_PARTS, copyright } from "../../src/make/licences.ts";
import { packImage } from "../../src/make/oci.ts";
import { productionPackages, readLockfile, runtimes } from "../../src/make/packages.ts";
import { HOMEPAGE, MAINTAINER } from "../../src/make/project.ts";
import { version } from "../../src/version.ts";
import { runMachine } from "../boot/rooted.ts";

const tree = join(import.meta.dir, "../..");
const executable = join(tree, "dist/spawnbox");
const lock = await readLockfile();
const scratch = mkdtempSync(join(tmpdir(), "spawnbox-packages-"));
afterAll(() => rmSync(scratch, { recursive: true }));

const folder = (name: string) => {
  Bun.spawnSync(["mkdir", join(scratch, name)]);
  return join(scratch, name);
};
const output = (...command: string[]) => {
  const done = Bun.spawnSync(command);
  expect(done.stderr.toString()).toBe("");
  expect(done.exitCode).toBe(0);
  return done.stdout.toString();
};
const sha256 = (file: string) =>
  new Bun.CryptoHasher("sha256").update(readFileSync(file)).digest("hex");

const epoch = 1_700_000_000;
const packed = {
  ...{ arch: hostArch, version, epoch, tree, executable },
  init: launcherFile(hostArch),
  copyright: copyright(productionPackages(lock), join(tree, "node_modules"), "1.0"),
};
const debian = DEBIAN_ARCH[hostArch];

test("the licences: ours, the text of each package, each part of the runtime", () => {
  // Of the MIT, the BSD and the ISC licences.
  const grants =
    /Permission is hereby granted|Redistribution and use in source|Permission to use, copy, modify/i;
  for (const { name, version } of productionPackages(lock)) {
    const [, text = ""] = packed.copyright.split(`\n${name} ${version}\n`);
    expect([name, text.split("-".repeat(80))[0]]).toEqual([name, expect.stringMatching(grants)]);
  }
  for (const { name } of RUNTIME_PARTS) expect(packed.copyright).toContain(`| ${name} |`);
  expect(runtimes(lock)).toHaveLength(2);
});

test("the guide says how large the executable and the init are", () => {
  const guide = readFileSync(join(tree, "config/guide/boards.md"), "utf8");
  const said = (what: string) =>
    Number(new RegExp(`^\\| ${what}[^|]*\\| ([\\d.]+)`, "m").exec(guide)?.[1]);
  const megabytes = (file: string) => statSync(file).size / 1e6;
  expect(megabytes(executable) / said("the executable")).toBeCloseTo(1, 1);
  expect(megabytes(packed.init)).toBeCloseTo(said("`/usr/lib/spawnbox/init`"), 1);
});

describe.skipIf(!Bun.which("dpkg-deb"))("packages of Debian", () => {
  const out = folder("debs");
  const shared = folder("share");
  const written = output(process.execPath, join(tree, "src/make/manual.ts"), shared);
  makeDebs({ ...packed, shared, compression: "none" }, out);
  const deb = (name: string) => join(out, `${name}_${version}_${debian}.deb`);
  const field = (name: string, which: string) =>
    output("dpkg-deb", "--field", deb(name), which).trim();
  const contents = (name: string) =>
    output("dpkg-deb", "--contents", deb(name))
      .trim()
      .split("\n")
      .map((line) => line.split(/\s+/))
      .map(([mode, owner, , , , path = ""]) => `${mode} ${owner} ${path.slice(1)}`)
      .filter((line) => !line.endsWith("/"));

  test("each has its files, of root, with their modes, and the executable is whole", () => {
    expect(readdirSync(out).sort()).toEqual(
      ["spawnbox-early", "spawnbox-initramfs", "spawnbox"]
        .map((name) => `${name}_${version}_${debian}.deb`)
        .sort(),
    );
    const docs = (name: string) => [
      `-rw-r--r-- root/root /usr/share/doc/${name}/changelog.gz`,
      `-rw-r--r-- root/root /usr/share/doc/${name}/copyright`,
    ];
    const overrides = (name: string) => `-rw-r--r-- root/root /usr/share/lintian/overrides/${name}`;
    expect(written.trim().split("\n")).toHaveLength(5);
    const manual = [
      "bash-completion/completions/spawnbox",
      "fish/vendor_completions.d/spawnbox.fish",
      "man/man1/spawnbox.1.gz",
      "man/man5/spawnbox.json.5.gz",
      "zsh/vendor-completions/_spawnbox",
    ].map((path) => `-rw-r--r-- root/root /usr/share/${path}`);
    expect(contents("spawnbox").sort()).toEqual(
      [
        "-rwxr-xr-x root/root /usr/bin/spawnbox",
        "-rw-r--r-- root/root /lib/systemd/system/spawnbox.service",
        "-rw-r--r-- root/root /etc/spawnbox/spawn-board.json",
        ...docs("spawnbox"),
        ...manual,
        overrides("spawnbox"),
      ].sort(),
    );
    expect(contents("spawnbox-early").sort()).toEqual(
      [
        "-rwxr-xr-x root/root /usr/lib/spawnbox/init",
        "-rw-r--r-- root/root /etc/spawnbox/early.json",
        ...docs("spawnbox-early"),
        overrides("spawnbox-early"),
      ].sort(),
    );
    const unpacked = folder("unpacked");
    output("dpkg-deb", "--extract", deb("spawnbox"), unpacked);
    expect(output(join(unpacked, "usr/bin/spawnbox"), "--version").trim()).toBe(
      `spawnbox ${version}`,
    );
  });

  test("configs are the administrator's, and the three belong together", () => {
    expect(output("dpkg-deb", "--info", deb("spawnbox"), "conffiles")).toBe(
      "/etc/spawnbox/spawn-board.json\n",
    );
    expect(output("dpkg-deb", "--info", deb("spawnbox-early"), "conffiles")).toBe(
      "/etc/spawnbox/early.json\n",
    );
    expect(field("spawnbox-early", "Depends")).toBe(`spawnbox (= ${version})`);
    expect(field("spawnbox-initramfs", "Depends")).toBe(
      `spawnbox-early (= ${version}), initramfs-tools`,
    );
    for (const library of ["libc6 (>= 2.17)", "libcap2", "libseccomp2"])
      expect(field("spawnbox", "Depends").split(", ")).toContain(library);
    expect(field("spawnbox", "Maintainer")).toBe(MAINTAINER);
    const kib = statSync(executable).size / 1024;
    expect(Number(field("spawnbox", "Installed-Size"))).toBeGreaterThan(kib);
  });

  test("the init that the kernel starts is not removed, by no package manager", () => {
    const recipe = readFileSync(
      join(tree, `yocto/meta-spawnbox/recipes-core/spawnbox/spawnbox_${version}.bb`),
      "utf8",
    );
    const spec = readFileSync(join(tree, "yocto/redpesk/spawnbox.spec"), "utf8");
    const between = (text: string, begin: string, end: string) =>
      (text.split(begin)[1]?.split(end)[0] ?? "exit 9").replaceAll(
        /\$\{nonarch_libdir\}|%\{_exec_prefix\}\/lib/g,
        "/usr/lib",
      );
    const scripts = {
      "/dpkg": output("dpkg-deb", "--info", deb("spawnbox-early"), "prerm"),
      "/rpm": `#!/bin/sh\n${between(spec, "%preun early\n", "%files")}`,
      "/opkg": `#!/bin/sh\n${between(recipe, "pkg_prerm:${PN}-early() {\n", "\n}\n")}`,
    };
    const ends = (cmdline: string, before = ":") =>
      runMachine({
        ...{ cmdline, files: scripts },
        script: `${before}
          for removal in "dpkg remove" "rpm 0" "opkg remove" "dpkg upgrade" "rpm 1" "opkg upgrade"; do
            /$removal 2>/said; printf '%s ' $? "$(grep -c 'would not boot' /said)"
          done`,
      }).trim();
    const refused = "1 1 1 1 1 1 0 0 0 0 0 0";
    const removed = "0 0 0 0 0 0 0 0 0 0 0 0";
    expect(ends("quiet init=/usr/lib/spawnbox/init")).toBe(refused);
    expect(ends("init=/usr/lib/spawnbox/init quiet")).toBe(refused);
    const link = "mkdir -p /sbin /usr/lib/spawnbox; touch /usr/lib/spawnbox/init;";
    expect(ends("quiet", `${link} ln -s ../usr/lib/spawnbox/init /sbin/init`)).toBe(refused);
    expect(ends("quiet init=/usr/lib/spawnbox/init.old")).toBe(removed);
    expect(ends("quiet", `${link} ln -s /bin/true /sbin/init`)).toBe(removed);
  });

  test("the same files give the same bytes", () => {
    const twice = [folder("once"), folder("again")];
    // What it does with more bytes it does with fewer.
    for (const place of twice) makeDebs({ ...packed, executable: packed.init }, place);
    const [sums, again] = twice.map((place) =>
      readdirSync(place).map((name) => `${name} ${sha256(join(place, name))}`),
    );
    expect(sums).toHaveLength(3);
    expect(again).toEqual(sums ?? []);
  });

  test.each(["postinst", "prerm", "postrm"])(
    "%s is a script of sh, and does nothing where it is not meant",
    (name) => {
      const file = join(scratch, name);
      Bun.spawnSync([
        "sh",
        "-c",
        `dpkg-deb --info "$1" ${name} >"$2"`,
        "sh",
        deb("spawnbox"),
        file,
      ]);
      output("sh", "-n", file);
      output("sh", file, "failed-upgrade");
    },
  );

  test.skipIf(!Bun.which("lintian") || !process.env["CI"])(
    "lintian finds nothing but what is said",
    () => {
      const folded = folder("folded");
      makeDebs({ ...packed, executable: packed.init }, folded);
      const deb = (name: string) => join(folded, `${name}_${version}_${debian}.deb`);
      const found = Bun.spawnSync([
        "lintian",
        "--allow-root",
        "--tag-display-limit",
        "0",
        deb("spawnbox-early"),
        deb("spawnbox-initramfs"),
      ]);
      expect(found.stdout.toString()).toBe("");
    },
  );
});

describe("an image for containers", () => {
  const root = folder("root");
  Bun.spawnSync([
    "sh",
    "-ec",
    'mkdir -p "$1/usr/bin"; cp "$2" "$1/usr/bin/spawnbox"',
    "sh",
    root,
    // To be compressed as any other, and smaller.
    packed.init,
  ]);
  const file = join(scratch, "image.tar");
  packImage(packed, root, file);
  const layout = folder("layout");
  output("tar", "-xf", file, "-C", layout);
  const json = (digest: string) =>
    JSON.parse(readFileSync(join(layout, "blobs", digest.replace(":", "/")), "utf8"));

  test("each blob is what its name says, and all is named from the index", () => {
    const index = JSON.parse(readFileSync(join(layout, "index.json"), "utf8"));
    const [{ digest, platform }] = index.manifests;
    expect(platform).toEqual({ architecture: debian, os: "linux" });
    const manifest = json(digest);
    const named = [index.manifests[0], manifest.config, ...manifest.layers];
    expect(readdirSync(join(layout, "blobs/sha256"))).toHaveLength(named.length);
    for (const blob of named) {
      const path = join(layout, "blobs", blob.digest.replace(":", "/"));
      expect(statSync(path).size).toBe(blob.size);
      expect(`sha256:${sha256(path)}`).toBe(blob.digest);
    }
    const config = json(manifest.config.digest);
    expect(config.architecture).toBe(debian);
    expect(config.config.Entrypoint).toEqual(["/usr/bin/spawnbox"]);
    expect(config.config.Labels["org.opencontainers.image.url"]).toBe(HOMEPAGE);
    const [layer] = manifest.layers;
    const unpacked = Bun.gunzipSync(
      readFileSync(join(layout, "blobs", layer.digest.replace(":", "/"))),
    );
    expect(config.rootfs.diff_ids).toEqual([
      `sha256:${new Bun.CryptoHasher("sha256").update(unpacked).digest("hex")}`,
    ]);
  });

  test.skipIf(!Bun.which("skopeo"))("skopeo reads it", () => {
    const told = JSON.parse(output("skopeo", "inspect", `oci-archive:${file}`));
    expect(told.Architecture).toBe(debian);
    expect(told.Labels["org.opencontainers.image.version"]).toBe(version);
  });
});
