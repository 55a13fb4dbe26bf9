FILESEXTRAPATHS:prepend := "${THISDIR}/../../../../recipes-kernel/linux/files:"

# linux-renesas takes plain fragments through linux-yocto.inc.
SRC_URI:append = "${@' file://spawnbox.cfg' if d.getVar('SPAWNBOX_KERNEL') == '1' else ''}"
