FILESEXTRAPATHS:prepend := "${THISDIR}/files:"

SRC_URI:append = "${@' file://spawnbox.scc file://spawnbox.cfg' if d.getVar('SPAWNBOX_KERNEL') == '1' else ''}"
