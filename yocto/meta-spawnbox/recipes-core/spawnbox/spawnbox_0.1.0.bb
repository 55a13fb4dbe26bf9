SUMMARY = "Commands as REST and WebSocket verbs, each launched in a sandbox"
DESCRIPTION = "Turns the commands named in a config into verbs of redpesk's AFB protocol and launches each with exactly the \
user, capabilities, system calls, namespaces and files that the config gives it."
SECTION = "base"
LICENSE = "Apache-2.0"
LIC_FILES_CHKSUM = "file://LICENSE;md5=3b83ef96387f14655fc854ddc3c6bd57"

SRC_URI = "${SPAWNBOX_SOURCE};name=source"

# Where the npm packages come from, such as a mirror of the product's own: the address of an npm registry, without a slash at
# its end. What is fetched is checked against the sums below, wherever it comes from.
SPAWNBOX_NPM_REGISTRY ?= ""

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
INHIBIT_SYSROOT_STRIP = "1"
INSANE_SKIP:${PN} += "already-stripped ldflags"
INSANE_SKIP:${PN}-early += "already-stripped ldflags"

python () {
    if not d.getVar("SPAWNBOX_NPM_REGISTRY"):
        raise bb.parse.SkipRecipe("set SPAWNBOX_NPM_REGISTRY to the address of an npm registry")
}

# Absent, unlike empty, it is an error for a source from the network.
python () {
    sha256 = d.getVar('SPAWNBOX_SHA256')
    if sha256:
        d.setVarFlag('SRC_URI', 'source.sha256sum', sha256)
}

SPAWNBOX_ARCH = "${@'x64' if d.getVar('TARGET_ARCH') == 'x86_64' else 'arm64'}"
SPAWNBOX_BUN_BUILD = "node_modules/@oven/bun-linux-${@'x64' if d.getVar('BUILD_ARCH') == 'x86_64' else 'aarch64'}/bin/bun"
SPAWNBOX_BUN_TARGET = "node_modules/@oven/bun-linux-${@'x64' if d.getVar('TARGET_ARCH') == 'x86_64' else 'aarch64'}/bin/bun"

do_configure() {
    rm -rf ${S}/node_modules ${S}/dist ${S}/ffi/launcher/bin
    for entry in ${SPAWNBOX_NPM}; do
        place="${S}/node_modules/$(echo "$entry" | cut -d= -f1)"
        install -d "$place"
        tar -xzf "${SPAWNBOX_SOURCES}/$(echo "$entry" | cut -d= -f2)" -C "$place" --strip-components=1 --no-same-owner
    done
}

do_compile() {
    export HOME="${WORKDIR}/home"
    unset BUN_OPTIONS BUN_BE_BUN
    # The launcher takes $CC when build host and target agree, else a compiler of this name.
    install -d ${WORKDIR}/cross
    printf '#!/bin/sh\nexec %s "$@"\n' "${CC}" > ${WORKDIR}/cross/${TARGET_ARCH}-linux-gnu-gcc
    chmod 0755 ${WORKDIR}/cross/${TARGET_ARCH}-linux-gnu-gcc
    export PATH="${WORKDIR}/cross:$PATH"
    cd ${S}
    ${SPAWNBOX_BUN_BUILD} src/build.ts --arch ${SPAWNBOX_ARCH} --bun ${S}/${SPAWNBOX_BUN_TARGET}
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

FILES:${PN}-early = "${nonarch_libdir}/spawnbox/init ${sysconfdir}/spawnbox/early.json"
FILES:${PN}-initramfs = "/init.d/90-spawnbox"
CONFFILES:${PN} = "${sysconfdir}/spawnbox/spawn-board.json"
CONFFILES:${PN}-early = "${sysconfdir}/spawnbox/early.json"

# Opened at run time, so not found by the dependency scan; glibc is named because of the dynamic loader.
RDEPENDS:${PN} = "glibc libcap libseccomp"
RDEPENDS:${PN}-early = "${PN}"
RDEPENDS:${PN}-initramfs = "initramfs-framework-base"
