SUMMARY = "Commands as REST and WebSocket verbs, each launched in a sandbox"
DESCRIPTION = "Turns the commands named in a config into verbs of redpesk's AFB protocol and launches each with exactly the \
user, capabilities, system calls, namespaces and files that the config gives it."
HOMEPAGE = "https://spawnbox.example"
SECTION = "base"
# LICENSE and LIC_FILES_CHKSUM are made with the list of sources: the executable holds these packages, and the runtime.
CVE_PRODUCT = "spawnbox"

# The commit that is checked out in the repository of this layer: a clone is all that is needed. Where the layer stands alone, the
# tarball that `npm run release` makes there; or what SPAWNBOX_SOURCE (with SPAWNBOX_SHA256, from the network) names.
SPAWNBOX_COMMIT = "${@spawnbox_commit(d)}"
SPAWNBOX_TARBALL = "file://${SPAWNBOX_REPOSITORY}/dist/release/spawnbox-${PV}.tar.gz"
SPAWNBOX_CLONE = "git://${SPAWNBOX_REPOSITORY};protocol=file;nobranch=1;destsuffix=${BP}"
SPAWNBOX_SOURCE ?= "${@d.getVar('SPAWNBOX_CLONE') if d.getVar('SPAWNBOX_COMMIT') else d.getVar('SPAWNBOX_TARBALL')}"
SRC_URI = "${SPAWNBOX_SOURCE};name=source"
SRCREV_source = "${SPAWNBOX_COMMIT}"

def spawnbox_commit(d):
    """The commit of the repository around the layer; nothing where that is not spawnbox's."""
    import subprocess
    git = ['git', '-C', d.getVar('SPAWNBOX_REPOSITORY')]
    try:
        subprocess.run(git + ['cat-file', '-e', 'HEAD:src/make/build.ts'], check=True, stderr=subprocess.DEVNULL)
        return subprocess.check_output(git + ['rev-parse', 'HEAD'], stderr=subprocess.DEVNULL, text=True).strip()
    except (OSError, subprocess.CalledProcessError):
        return ''

# A commit changes no file that bitbake looks at: remembered, the recipe would be of the one before, and "not deterministic". Of
# revisions with a name, releases before wrynose know nothing: there the commit itself says that the sources are others.
BB_DONT_CACHE = "1"
SPAWNBOX_COMMIT[vardepvalue] = "${SPAWNBOX_COMMIT}"

# Where the npm packages come from, such as a mirror of the product's own: the address of an npm registry, without a slash at
# its end. What is fetched is checked against the sums below, wherever it comes from.
SPAWNBOX_NPM_REGISTRY ?= ""
# The commit and the sums say what is built: another directory or mirror may take it from the shared state.
SPAWNBOX_NPM_REGISTRY[vardepvalue] = "a registry"
SPAWNBOX_REPOSITORY[vardepvalue] = "a repository"

require spawnbox-npm.inc

# Since styhead sources are unpacked into UNPACKDIR.
SPAWNBOX_SOURCES = "${@d.getVar('UNPACKDIR') or d.getVar('WORKDIR')}"
S = "${SPAWNBOX_SOURCES}/${BP}"
B = "${S}"

inherit systemd

# Bun is made for glibc on these two.
COMPATIBLE_HOST = "(x86_64|aarch64).*-linux"
COMPATIBLE_HOST:libc-musl = "null"

# The launcher is freestanding: fortification would pull in a C library that it does not have.
SECURITY_CFLAGS = ""

# A compiled Bun executable is the runtime with the program appended behind the ELF sections: strip and objcopy cut it off,
# and what is left is a plain Bun.
INHIBIT_PACKAGE_STRIP = "1"
INHIBIT_PACKAGE_DEBUG_SPLIT = "1"

python () {
    if not d.getVar("SPAWNBOX_NPM_REGISTRY"):
        raise bb.parse.SkipRecipe("set SPAWNBOX_NPM_REGISTRY to the address of an npm registry")
}

# Absent, unlike empty, it is an error for a tarball from the network.
python () {
    sha256 = d.getVar('SPAWNBOX_SHA256')
    if sha256:
        d.setVarFlag('SRC_URI', 'source.sha256sum', sha256)
}

SPAWNBOX_ARCH = "${@'x64' if d.getVar('TARGET_ARCH') == 'x86_64' else 'arm64'}"
SPAWNBOX_BUN_BUILD = "node_modules/@oven/bun-linux-${@'x64' if d.getVar('BUILD_ARCH') == 'x86_64' else 'aarch64'}/bin/bun"
SPAWNBOX_BUN_TARGET = "node_modules/@oven/bun-linux-${@'x64' if d.getVar('TARGET_ARCH') == 'x86_64' else 'aarch64'}/bin/bun"

do_configure() {
    rm -rf ${S}/dist ${S}/ffi/launcher/bin
    chmod 0755 ${S}/${SPAWNBOX_BUN_BUILD} ${S}/${SPAWNBOX_BUN_TARGET}
}

do_compile() {
    export HOME="${WORKDIR}/home"
    unset BUN_OPTIONS BUN_BE_BUN
    cd ${S}
    ${SPAWNBOX_BUN_BUILD} src/make/build.ts --arch ${SPAWNBOX_ARCH} --bun ${S}/${SPAWNBOX_BUN_TARGET} --cc "${CC}"
    ${SPAWNBOX_BUN_BUILD} src/make/manual.ts dist/share
}

do_install() {
    # Named after the architecture when it is not the build host's.
    built=dist/spawnbox-linux-${SPAWNBOX_ARCH}
    launcher=ffi/launcher/bin/launcher-${SPAWNBOX_ARCH}
    [ -e ${S}/$built ] || built=dist/spawnbox
    [ -e ${S}/$launcher ] || launcher=ffi/launcher/bin/launcher

    install -d ${D}${bindir} ${D}${nonarch_libdir}/spawnbox ${D}${sysconfdir}/spawnbox
    install -m 0755 ${S}/$built ${D}${bindir}/spawnbox
    install -m 0755 ${S}/$launcher ${D}${nonarch_libdir}/spawnbox/init
    install -m 0644 ${S}/config/install/spawn-board.json ${D}${sysconfdir}/spawnbox/spawn-board.json
    install -m 0644 ${S}/config/install/early.json ${D}${sysconfdir}/spawnbox/early.json
    install -d ${D}${datadir}
    cp -R --no-preserve=ownership ${S}/dist/share/. ${D}${datadir}

    # After 90-rootfs, which mounts the root, and before what starts its init: 91-overlayroot or 99-finish.
    install -d ${D}/init.d
    install -m 0755 ${S}/config/install/initramfs/initramfs-framework ${D}/init.d/90-spawnbox

    if ${@bb.utils.contains('DISTRO_FEATURES', 'systemd', 'true', 'false', d)}; then
        install -d ${D}${systemd_system_unitdir}
        install -m 0644 ${S}/config/install/spawnbox.service ${D}${systemd_system_unitdir}/spawnbox.service
    fi
}

PACKAGE_BEFORE_PN = "${PN}-early ${PN}-initramfs"
SUMMARY:${PN}-early = "Runs the tasks of /etc/spawnbox/early.json before systemd"
SUMMARY:${PN}-initramfs = "For an initramfs: lets it start the init of spawnbox-early on the root"

SYSTEMD_SERVICE:${PN} = "spawnbox.service"

# What shells complete by; no class is needed for it.
FILES:${PN} += "${datadir}/bash-completion ${datadir}/fish ${datadir}/zsh"
FILES:${PN}-early = "${nonarch_libdir}/spawnbox/init ${sysconfdir}/spawnbox/early.json"
FILES:${PN}-initramfs = "/init.d/90-spawnbox"
CONFFILES:${PN} = "${sysconfdir}/spawnbox/spawn-board.json"
CONFFILES:${PN}-early = "${sysconfdir}/spawnbox/early.json"

# Opened at run time, so not found by the dependency scan; glibc is named because of the dynamic loader.
RDEPENDS:${PN} = "glibc libcap libseccomp"
# Its plan files and its server are the executable's of the same build.
RDEPENDS:${PN}-early = "${PN} (= ${EXTENDPKGV})"
RDEPENDS:${PN}-initramfs = "initramfs-framework-base"

# Without what the kernel is told to start, it panics.
pkg_prerm:${PN}-early() {
    case " $(cat /proc/cmdline) $(readlink -f /sbin/init) " in *" init=${nonarch_libdir}/spawnbox/init "* | *" ${nonarch_libdir}/spawnbox/init "*)
        [ "$1" = upgrade ] || [ "$1" = 1 ] && exit 0
        echo "${nonarch_libdir}/spawnbox/init is what the kernel starts: without it this machine would not boot. Take it off the kernel command line, and any link to it away from /sbin/init" >&2
        exit 1 ;;
    esac
}
