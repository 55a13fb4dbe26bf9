require ${@'recipes-kernel/linux/spawnbox-kernel.inc' if d.getVar('SPAWNBOX_KERNEL') == '1' else ''}
