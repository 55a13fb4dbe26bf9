#!/bin/sh
# Erases a block device and makes a fresh ext4 file system labelled "data" on it; says how far it is, one JSON object a line.
# Stopped in between it leaves neither the old data nor a file system: call it again.
set -eu

device=$1
say() {
  printf '{"progress": %d, "step": "%s"}\n' "$1" "$2"
}
die() {
  printf '{"error": "%s"}\n' "$1"
  exit 1
}

say 0 "look at the device"
[ -b "$device" ] || die "there is no block device"
bytes=$(blockdev --getsize64 "$device")
megabytes=$((bytes / 1048576))
[ "$megabytes" -ge 8 ] || die "the device is too small"

# Opens the device as its only user, which it is not while something of it is mounted: then nothing is lost.
wipefs -a -q "$device" || die "the device is in use, or cannot be written"

# In pieces, so that there is progress to tell: 5 % to 85 %.
done=0
piece=$(((megabytes + 19) / 20))
while [ "$done" -lt "$megabytes" ]; do
  say $((5 + done * 80 / megabytes)) "erase"
  left=$((megabytes - done))
  count=$((left < piece ? left : piece))
  dd if=/dev/zero of="$device" bs=1M seek="$done" count="$count" conv=notrunc,fsync 2>/dev/null || die "writing failed"
  done=$((done + count))
done
# With fsync, since a device may tell only then that it could not write. What is left is less than a megabyte, in sectors.
dd if=/dev/zero of="$device" bs=512 seek=$((megabytes * 2048)) count=$((bytes % 1048576 / 512)) conv=notrunc,fsync 2>/dev/null ||
  die "writing failed"
say 85 "make the file system"
mkfs.ext4 -q -F -L data "$device" >&2 || die "making the file system failed"
say 95 "check the file system"
e2fsck -fn "$device" >&2 || die "the new file system is damaged"
sync
say 100 "done"
