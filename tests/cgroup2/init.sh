#!/bin/busybox sh
# The virtual machine's first program: mounts this machine's root folder read-only with a disk over it, and goes on there.
# What the kernel does not know of its command line is our environment: where things are in that folder.
# shellcheck disable=SC2154
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
modprobe -a crc32c_generic virtio_pci virtio_blk virtio_rng 9pnet_virtio 9p ext4 overlay
mkdir -p /lower /disk /root
mount -t 9p -o trans=virtio,version=9p2000.L,msize=512000,cache=loose,ro host /lower || exec poweroff -f
mount -t ext4 /dev/vda /disk || exec poweroff -f
mkdir -p /disk/upper /disk/work
mount -t overlay -o lowerdir=/lower,upperdir=/disk/upper,workdir=/disk/work overlay /root || exec poweroff -f
cd /root || exec poweroff -f
for folder in proc sys dev; do mount --move "/$folder" "/root/$folder"; done
mount -t tmpfs tmpfs run
mkdir -p dev/pts dev/shm "lib/modules/$(uname -r)"
mount -t devpts devpts dev/pts
mount -t tmpfs tmpfs dev/shm
mount --bind "/root$modules" "lib/modules/$(uname -r)"
# The kernel loads what iptables, links and mounts need by this program, which not every machine has.
[ -e sbin/modprobe ] || cp /bin/busybox sbin/modprobe
# Nodes live on the disk itself: the file systems of their containers are overlays, which cannot lie on another one.
mount --bind /disk mnt
mount -t cgroup2 cgroup2 sys/fs/cgroup
hostname cgroup2
ip link set lo up
path=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
exec switch_root /root /usr/bin/env -i HOME="$HOME" LANG=C.UTF-8 PATH="$path" \
  XDG_CACHE_HOME="$cache" XDG_STATE_HOME=/mnt/state tini -s -- "$python" "$program"
