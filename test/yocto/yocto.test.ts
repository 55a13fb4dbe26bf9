/** What can be checked of the Yocto layer and the RPM spec without bitbake. */
import { describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { compiler } from "../../ffi/launcher/build.ts";
import { RUNTIME_PARTS, licences } from "../../src/make/licences.ts";
import {
  type Lockfile,
  productionPackages,
  readLockfile,
  runtimes,
  sha512hex,
  UNUSED,
} from "../../src/make/packages.ts";
import { HOMEPAGE, MAINTAINER } from "../../src/make/project.ts";
import { cyclonedx } from "../../src/make/sbom.ts";
import { version } from "../../src/version.ts";
import { INC, RUNTIME, inc, runtimeText } from "../../yocto/lock2inc.ts";

const root = join(import.meta.dir, "../..");
const layer = join(root, "yocto/meta-spawnbox");
const files = readdirSync(layer, { recursive: true, encoding: "utf8" });
const read = (...path: string[]) => readFileSync(join(layer, ...path), "utf8");
const recipe = `recipes-core/spawnbox/spawnbox_${version}.bb`;
const lock = await readLockfile();

/** Assignments of a bitbake file, its continued lines joined; the last one of a name wins. */
function variables(text: string): Map<string, string> {
  const assignment = /^([A-Za-z_][\w${}:.\-[\]]*)\s*(?:[?:.+]?=|\?\?=)\s*"(.*)"$/gm;
  const found = new Map<string, string>();
  for (const [, name = "", value = ""] of text.replace(/\\\n/g, " ").matchAll(assignment)) {
    found.set(name, value);
  }
  return found;
}

describe("spawnbox-npm.inc", () => {
  test("is what lock2inc makes of the lockfile", () => {
    expect(readFileSync(INC, "utf8")).toBe(inc(lock));
    expect(readFileSync(RUNTIME, "utf8")).toBe(runtimeText(lock));
  });

  test("names every licence of what the executable holds, each with its text", () => {
    const set = variables(readFileSync(INC, "utf8"));
    const named = set.get("LICENSE")?.split(" & ") ?? [];
    expect(named).toEqual(licences([...productionPackages(lock), ...runtimes(lock)]));
    for (const { licences: all } of RUNTIME_PARTS)
      expect(named).toEqual(expect.arrayContaining([...all]));
    const texts = (set.get("LIC_FILES_CHKSUM") ?? "").trim().split(/\s+/);
    expect(texts).toHaveLength(productionPackages(lock).length + 2);
    for (const text of texts) {
      const [, file = "", sum] = /^file:\/\/(.*);md5=(.*)$/.exec(text) ?? [];
      expect(
        createHash("md5")
          .update(readFileSync(join(root, file)))
          .digest("hex"),
      ).toBe(sum ?? "");
    }
  });

  test("what is said not to be used is not in the bundle", async () => {
    const built = await Bun.build({
      entrypoints: [join(root, "src/main.ts")],
      target: "bun",
      metafile: true,
      plugins: [
        {
          name: "without a launcher",
          setup: (build) => {
            build.onResolve({ filter: /\/bin\/launcher$/ }, () => ({
              path: join(root, "LICENSE"),
            }));
          },
        },
      ],
    });
    const bundled = Object.keys(built.metafile?.inputs ?? {}).join("\n");
    expect(bundled).toContain("node_modules/@modelcontextprotocol/sdk/");
    for (const name of Object.values(UNUSED).flat())
      expect(bundled).not.toContain(`node_modules/${name}/`);
  });

  test("has a sum for every source, and nothing of the development", () => {
    const set = variables(readFileSync(INC, "utf8"));
    const names = [...(set.get("SRC_URI") ?? "").matchAll(/;name=([\w.-]+)/g)].map((m) => m[1]);
    expect(names.length).toBeGreaterThan(4);
    for (const name of names) {
      expect(set.get(`SRC_URI[${name}.sha512sum]`)).toMatch(/^[0-9a-f]{128}$/);
    }
    expect(names).toContain("oven-bun-linux-x64");
    expect(names).toContain("oven-bun-linux-aarch64");
    expect(names).not.toContain("happy-dom");
    const places = [
      ...(set.get("SRC_URI") ?? "").matchAll(
        /;subdir=\$\{BP\}\/(node_modules\/\S+);striplevel=1 /g,
      ),
    ];
    expect(places).toHaveLength(names.length);
    for (const [, place = ""] of places) {
      if (!place.includes("aarch64"))
        expect(existsSync(join(root, place, "package.json"))).toBe(true);
    }
  });

  test("every package is fixed by a sha512, and dependencies are followed", () => {
    const names = productionPackages(lock).map((source) => source.name);
    expect(names).toContain("memoirist"); // by way of elysia
    expect(names).not.toContain("typescript"); // only a peer
    expect(() => sha512hex("sha1-AAAA")).toThrow("not a sha512 integrity");
  });

  test("a package that npm nests is refused, since the recipe unpacks flat", () => {
    const nested = structuredClone(lock) as Lockfile;
    nested.packages["node_modules/elysia/node_modules/cookie"] = nested.packages[
      "node_modules/cookie"
    ] as Lockfile["packages"][string];
    expect(() => productionPackages(nested)).toThrow("cookie is nested below elysia");
  });
});

describe("the recipe", () => {
  const set = variables(read(recipe));

  test.each([
    "SUMMARY",
    "DESCRIPTION",
    "SECTION",
    "HOMEPAGE",
    "CVE_PRODUCT",
    "SRC_URI",
    "SRCREV_source",
    "S",
    "COMPATIBLE_HOST",
    "FILES:${PN}-early",
    "SYSTEMD_SERVICE:${PN}",
  ])("%s is set", (name) => {
    expect(set.get(name)?.trim()).toBeTruthy();
  });

  test("its version is the package's", () => {
    expect(lock.version).toBe(version);
    expect(files.filter((f) => /spawnbox_.*\.bb$/.test(f))).toEqual([recipe]);
  });

  test("the compiler is the build system's, also where its target is called like the build host", () => {
    expect(read(recipe)).toContain(
      'src/make/build.ts --arch ${SPAWNBOX_ARCH} --bun ${S}/${SPAWNBOX_BUN_TARGET} --cc "${CC}"',
    );
    const cc = "aarch64-poky-linux-gcc  -mcpu=cortex-a57 --sysroot=/s ";
    const command = ["aarch64-poky-linux-gcc", "-mcpu=cortex-a57", "--sysroot=/s"];
    for (const arch of ["x64", "arm64"] as const)
      expect(compiler(arch, cc)).toEqual({ command, flags: [] });
  });

  test("no check of the package is skipped", () => {
    expect(read(recipe)).not.toContain("INSANE_SKIP");
  });

  test("the executable is never stripped", () => {
    expect(set.get("INHIBIT_PACKAGE_STRIP")).toBe("1");
    expect(set.get("INHIBIT_PACKAGE_DEBUG_SPLIT")).toBe("1");
  });

  test("what is opened at run time is a dependency", () => {
    expect(set.get("RDEPENDS:${PN}")?.split(" ")).toEqual(["glibc", "libcap", "libseccomp"]);
    expect(set.get("RDEPENDS:${PN}-early")).toBe("${PN} (= ${EXTENDPKGV})");
  });

  test("only the architectures that have a runtime", () => {
    const host = new RegExp(`^${set.get("COMPATIBLE_HOST")}`);
    expect("x86_64-poky-linux").toMatch(host);
    expect("aarch64-poky-linux").toMatch(host);
    expect("arm-poky-linux-gnueabi").not.toMatch(host);
  });

  test("what it installs from the tree is there", () => {
    const paths = [...read(recipe).matchAll(/\$\{S\}\/(config\/\S+)/g)].map((m) => m[1] ?? "");
    expect(paths.length).toBeGreaterThan(3);
    expect(paths.filter((path) => !existsSync(join(root, path)))).toEqual([]);
  });

  test("every package has files and a summary of its own", () => {
    const packages = set.get("PACKAGE_BEFORE_PN")?.split(" ") ?? [];
    expect(packages).toContain("${PN}-initramfs");
    for (const name of packages) {
      expect(set.get(`FILES:${name}`)).toBeTruthy();
      expect(set.get(`SUMMARY:${name}`)).toBeTruthy();
      for (const file of set.get(`FILES:${name}`)?.split(" ") ?? [])
        expect(read(recipe)).toContain(` \${D}${file}`);
    }
  });

  test("the initramfs module runs when the root is mounted, before anything starts its init", () => {
    const place = set.get("FILES:${PN}-initramfs") ?? "";
    const name = place.slice("/init.d/".length);
    const around = ["90-rootfs", name, "91-overlayroot", "99-finish"];
    expect(around).toEqual(around.toSorted());
    // The framework calls functions of the file's name.
    const module = name.replace(/^\d+-/, "");
    const text = readFileSync(join(root, "config/install/initramfs/initramfs-framework"), "utf8");
    expect(text).toContain(`\n${module}_enabled() {\n`);
    expect(text).toContain(`\n${module}_run() {\n`);
    expect(set.get("RDEPENDS:${PN}-initramfs")).toBe("initramfs-framework-base");
  });

  test("the commit is looked for each time, and where the sources lie is no part of what is built", () => {
    expect(read(recipe)).toContain("'rev-parse', 'HEAD'");
    expect(set.get("BB_DONT_CACHE")).toBe("1");
    expect(set.get("SPAWNBOX_COMMIT[vardepvalue]")).toBe("${SPAWNBOX_COMMIT}");
    const places = [...read(recipe).matchAll(/\bSPAWNBOX_(?:REPOSITORY|NPM_REGISTRY)\b/g)];
    for (const place of new Set(places.map(([name]) => name)))
      expect(set.get(`${place}[vardepvalue]`)).toMatch(/^a \w+$/);
    expect(places.length).toBeGreaterThan(4);
  });

  test("nothing before the fetch is left to the network", () => {
    expect(read(recipe)).not.toMatch(/\bnpm (ci|install|pack)\b|\[network\]|AUTOREV/);
  });
});

describe("the layer", () => {
  test("every file named by file:// exists", () => {
    let checked = 0;
    for (const file of files.filter((f) => /\.(bb|bbappend|inc)$/.test(f))) {
      const folder = join(layer, dirname(file));
      const extra = [...read(file).matchAll(/"\$\{THISDIR\}\/([\w./-]+):"/g)].map(
        (m) => m[1] ?? "",
      );
      for (const [, name = ""] of read(file).matchAll(/file:\/\/([\w.-]+)(?=[\s'"])/g)) {
        const places = ["files", ...extra].map((place) => join(folder, place, name));
        expect({ file, name, found: places.some((p) => existsSync(p)) }).toEqual({
          file,
          name,
          found: true,
        });
        checked++;
      }
    }
    expect(checked).toBe(1);
  });

  test("names the releases, and finds every recipe and append", () => {
    const set = variables(read("conf/layer.conf"));
    const series = set.get("LAYERSERIES_COMPAT_spawnbox")?.split(" ") ?? [];
    expect(series).toEqual(expect.arrayContaining(["kirkstone", "scarthgap"]));
    for (const file of files.filter((f) => /\.(bb|bbappend)$/.test(f))) {
      expect(file).toMatch(/^(dynamic-layers\/[\w-]+\/)?recipes-[\w-]+\/[\w-]+\/[^/]+$/);
    }
    expect(set.get("BBFILES_DYNAMIC")).toStartWith("rcar-gen3:");
    expect(files).toContain(
      "dynamic-layers/rcar-gen3/recipes-kernel/linux/linux-renesas_%.bbappend",
    );
  });

  test("the image has both packages", () => {
    const image = variables(read("recipes-core/images/spawnbox-image-minimal.bb"));
    expect(image.get("REQUIRED_DISTRO_FEATURES")).toBe("systemd");
    expect(image.get("IMAGE_INSTALL")?.split(" ")).toEqual(
      expect.arrayContaining(["spawnbox", "spawnbox-early"]),
    );
  });

  test("the kernel has what sandboxes need", () => {
    const lines = read("recipes-kernel/linux/files/spawnbox.cfg").split("\n");
    const options = lines.filter((line) => line && !line.startsWith("#"));
    for (const line of options) expect(line).toMatch(/^CONFIG_[A-Z0-9_]+=[ym]$/);
    const builtIn = [
      ...["NAMESPACES", "USER_NS", "PID_NS", "NET_NS", "IPC_NS", "UTS_NS"],
      ...["SECCOMP", "SECCOMP_FILTER", "SECURITY_LANDLOCK", "MEMFD_CREATE"],
      ...["CGROUPS", "MEMCG", "CGROUP_PIDS", "CPUSETS", "CFS_BANDWIDTH", "BLK_CGROUP"],
      ...["WIREGUARD", "DEVTMPFS", "TMPFS"],
    ];
    for (const name of builtIn) expect(options).toContain(`CONFIG_${name}=y`);
    expect(new Set(options).size).toBe(options.length);
  });

  test("a kernel is changed only where that is asked for", () => {
    const appends = files.filter((f) => f.endsWith(".bbappend"));
    expect(appends).toHaveLength(2);
    for (const file of appends) {
      const [, included = "", variable] =
        /^require \$\{@'(\S+)' if d\.getVar\('(\w+)'\) == '1' else ''\}\n$/.exec(read(file)) ?? [];
      expect(existsSync(join(layer, included))).toBe(true);
      expect(variable).toBe("SPAWNBOX_KERNEL");
    }
    expect(variables(read("conf/layer.conf")).get("SPAWNBOX_KERNEL")).toBe("0");
  });

  test("landlock is put before the security modules that a kernel names, once", () => {
    const body = /do_configure:append\(\) \{\n([^]*?)\n\}\n/.exec(
      read("recipes-kernel/linux/spawnbox-kernel.inc"),
    )?.[1];
    const folder = mkdtempSync(join(tmpdir(), "spawnbox-kernel-"));
    const config = join(folder, ".config");
    const after = (...lines: string[]) => {
      writeFileSync(config, `${lines.join("\n")}\n`);
      const done = Bun.spawnSync(["sh", "-ec", (body ?? "exit 9").replaceAll("${B}", folder)]);
      expect(done.exitCode).toBe(0);
      return readFileSync(config, "utf8").trimEnd().split("\n").at(-1);
    };
    const built = "CONFIG_SECURITY_LANDLOCK=y";
    try {
      expect(after(built, 'CONFIG_LSM="yama,smack"')).toBe('CONFIG_LSM="landlock,yama,smack"');
      expect(after(built, 'CONFIG_LSM=""')).toBe('CONFIG_LSM="landlock"');
      expect(after(built, 'CONFIG_LSM="yama,landlock"')).toBe('CONFIG_LSM="yama,landlock"');
      expect(after("# CONFIG_SECURITY_LANDLOCK is not set", 'CONFIG_LSM="yama"')).toBe(
        'CONFIG_LSM="yama"',
      );
      expect(after(built)).toBe(built);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  // What yocto-check-layer looks for.
  test("says on what it depends, how to send patches, who keeps it, and where holes are told", () => {
    const text = read("README.md");
    for (const title of ["Dependencies", "Patches", "Maintainer"])
      expect(text).toContain(`\n## ${title}\n`);
    // Where it names another file of that kind, the rest is not looked at.
    expect(text).not.toMatch(/readme/i);
    const address = /<(\S+@\S+)>/.exec(text)?.[1] ?? "";
    expect(read("SECURITY.md")).toContain(address);
    expect(read("COPYING.MIT")).toContain("MIT licence");
  });

  test.each(["m3ulcb", "h3ulcb"])("kas file of %s", (board) => {
    const own = Bun.YAML.parse(read("kas", `${board}.yml`)) as {
      machine: string;
      header: { version: number; includes: string[] };
    };
    expect(own.machine).toBe(board);
    expect(own.header.includes).toEqual(["yocto/meta-spawnbox/kas/rcar-gen3.yml"]);
    const base = Bun.YAML.parse(read("kas/rcar-gen3.yml")) as {
      target: string;
      repos: Record<string, { path?: string; layers?: Record<string, null> }>;
    };
    expect(base.target).toBe("spawnbox-image-minimal");
    expect(base.repos["meta-renesas"]?.layers).toHaveProperty("meta-rcar-gen3");
    expect(base.repos["poky"]?.layers).toHaveProperty("meta-yocto-bsp");
    expect(base.repos["meta-openembedded"]?.layers).toHaveProperty("meta-gnome");
    expect(base.repos["spawnbox"]?.layers).toHaveProperty(["yocto/meta-spawnbox"]);
  });

  test.each(["spawn-board.json", "early.json"])("%s is a config", async (name) => {
    const file = join(root, "config/install", name);
    const check = Bun.spawnSync([process.execPath, join(root, "src/main.ts"), "check", file]);
    expect(check.stdout.toString() + check.stderr.toString()).toStartWith("OK:");
  });

  test("the unit keeps the control groups of its tasks, and comes back", () => {
    const unit = readFileSync(join(root, "config/install/spawnbox.service"), "utf8").split("\n");
    expect(unit).toEqual(
      expect.arrayContaining([
        ...["Type=notify", "Delegate=yes", "Restart=on-failure"],
        // Also after many starts in vain.
        ...["RestartSec=2", "StartLimitIntervalSec=0"],
        // But for what no time mends.
        "RestartPreventExitStatus=2",
      ]),
    );
  });
});

describe("redpesk", () => {
  const spec = join(root, "yocto/redpesk/spawnbox.spec");

  test("the spec has the package's version and keeps strip away", () => {
    const text = readFileSync(spec, "utf8");
    expect(text).toMatch(new RegExp(`^Version: +${version.replaceAll(".", "\\.")}$`, "m"));
    expect(text).toContain("%global __os_install_post %{nil}");
    expect(text).toContain("%global debug_package %{nil}");
  });

  test("says what is bundled, under which licences, and leaves the service to systemd's macros", () => {
    const text = readFileSync(spec, "utf8");
    const bundled = [...text.matchAll(/^Provides: +bundled\((\S+)\) = (\S+)$/gm)].map(
      (m) => `${m[1]} ${m[2]}`,
    );
    expect(bundled).toEqual([
      ...productionPackages(lock).map((one) => `npm(${one.name}) ${one.version}`),
      `bun ${lock.packages["node_modules/bun"]?.version}`,
    ]);
    const all = licences([...productionPackages(lock), ...runtimes(lock)])
      .join(" AND ")
      .replace("-with-", " WITH ");
    expect(text).toContain(`\nLicense:        ${all}\n`);
    for (const macro of ["post", "preun", "postun_with_restart"])
      expect(text).toContain(`%systemd_${macro} spawnbox.service\n`);
    expect(text).toContain(`URL:            ${HOMEPAGE}\n`);
    expect(text).toContain(`${MAINTAINER} - ${version}-1\n`);
    expect(read(recipe)).toContain(`HOMEPAGE = "${HOMEPAGE}"\n`);
    expect(read("README.md")).toContain(MAINTAINER.replace(/^The /, ""));
  });

  test.skipIf(!Bun.which("rpmlint"))("rpmlint finds no error in it", () => {
    const done = Bun.spawnSync(["rpmlint", spec]);
    const said = done.stdout.toString();
    expect(said).toContain(" 1 specfiles checked; ");
    // The filters beside it are for the packages.
    expect(said.match(/^.* E: (?!unused-rpmlintrc-filter).*$/gm)).toBeNull();
  });

  test.skipIf(!Bun.which("rpmspec"))("rpmspec understands it", () => {
    const names = Bun.spawnSync(["rpmspec", "-q", "--qf", "%{name} %{version}\\n", spec]);
    expect(names.stderr.toString()).toBe("");
    const lines = names.stdout.toString().trim().split("\n");
    expect(lines).toEqual([`spawnbox ${version}`, `spawnbox-early ${version}`]);
    expect(Bun.spawnSync(["rpmspec", "-P", spec]).success).toBe(true);
  });
});

describe("bill of materials", () => {
  const shipped = [...productionPackages(lock), ...runtimes(lock)];

  test("tells every shipped package once, with its hash, and is the same each time", () => {
    const sbom = cyclonedx(lock, shipped, 1_700_000_000);
    expect(sbom.specVersion).toBe("1.5");
    expect(sbom.components.map((c) => c.name)).toEqual(shipped.map((s) => s.name));
    const typebox = sbom.components.find((c) => c.name === "@sinclair/typebox");
    expect(typebox?.purl).toMatch(/^pkg:npm\/%40sinclair\/typebox@[\d.]+$/);
    expect(sbom).toEqual(cyclonedx(lock, shipped, 1_700_000_000));
    expect(sbom.serialNumber).toMatch(/^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab]/);
  });

  test("dependencies lead to components only", () => {
    const sbom = cyclonedx(lock, shipped, 0);
    const known = new Set(sbom.components.map((c) => c["bom-ref"]));
    for (const { dependsOn } of sbom.dependencies) {
      for (const ref of dependsOn) expect(known).toContain(ref);
    }
  });
});
