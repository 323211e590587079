#!/bin/busybox sh
# The virtual machine's first program: mount this machine's root folder, put a disk of its own over it, and go on in there.
# The kernel's command line says where things are in this machine's root folder: modules= program=
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
while read -r module; do insmod "/modules/$module" || echo "cannot load $module"; done </modules/order
mkdir -p /lower /disk /root
mount -t 9p -o trans=virtio,version=9p2000.L,msize=512000,cache=loose,ro host /lower || exec poweroff -f
mount -t ext4 /dev/vda /disk || exec poweroff -f
mkdir -p /disk/upper /disk/work
mount -t overlay -o lowerdir=/lower,upperdir=/disk/upper,workdir=/disk/work overlay /root || exec poweroff -f
for word in $(cat /proc/cmdline); do
  case $word in modules=* | program=*) export "${word?}" ;; esac
done
cd /root
for folder in proc sys dev; do mount --move "/$folder" "/root/$folder"; done
mount -t tmpfs tmpfs tmp && chmod 1777 tmp
mount -t tmpfs tmpfs run
mkdir -p dev/pts dev/shm "lib/modules/$(uname -r)"
mount -t devpts devpts dev/pts
mount -t tmpfs tmpfs dev/shm
mount --bind "/root$modules" "lib/modules/$(uname -r)"
# the disk itself: containers' file systems are overlays, which cannot lie on another one
mount --bind /disk mnt
mount -t cgroup2 cgroup sys/fs/cgroup
hostname cgroup2
ip link set lo up
path=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
# shellcheck disable=SC2086 # the program and its arguments
exec switch_root /root /usr/bin/env -i HOME=/root TERM=dumb SHELL=/bin/bash "PATH=$path" \
  tini -s -- $(echo "$program" | tr , ' ')
