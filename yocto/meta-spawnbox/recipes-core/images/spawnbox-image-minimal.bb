SUMMARY = "The smallest image that boots, with spawnbox before and under systemd"
LICENSE = "MIT"

inherit core-image features_check

# The unit and the hand-over of early boot are systemd's.
REQUIRED_DISTRO_FEATURES = "systemd"

IMAGE_INSTALL = "packagegroup-core-boot spawnbox spawnbox-early ${CORE_IMAGE_EXTRA_INSTALL}"
IMAGE_LINGUAS = ""

# Images that bring their own boot loader configuration (wic, qemu) start with the hook; U-Boot boards set it in bootargs.
APPEND += "init=${nonarch_libdir}/spawnbox/init"
QB_KERNEL_CMDLINE_APPEND:append = " init=${nonarch_libdir}/spawnbox/init"
