#!/bin/sh
# PID 1 of a node, in its own namespaces: build its root folder, enter it, tell that it is up.
# The node sees the machine's programs (/usr, read-only) and devices, and nothing of its files:
# /etc, /var, /opt, /tmp, … are its own, so hostPath volumes are, too.
# usage: boot.sh NODE_FOLDER
set -eu
folder=$1
root=$folder/root
. "$folder/machine.env"
hostname "$HOSTNAME"
mount --make-rprivate /
# with what somebody has mounted on folders of it: disks of the node's own
mount --rbind "$root" "$root"
cd "$root"
mkdir -p usr etc dev proc sys run tmp var/lib var/log opt mnt srv home root .old
chmod 1777 tmp
mount --rbind /usr usr
mount -o remount,bind,ro usr
mount --bind "$BIN" usr/local/bin
for part in bin sbin lib lib32 lib64 libx32; do
  if [ -L "/$part" ]; then
    ln -sfn "$(readlink "/$part")" "$part"
  elif [ -d "/$part" ]; then
    mkdir -p "$part"
    mount --bind -o ro "/$part" "$part"
  fi
done
for part in alternatives ssl; do
  [ -d "/etc/$part" ] || continue
  mkdir -p "etc/$part"
  mount --bind -o ro "/etc/$part" "etc/$part"
done
for file in ld.so.cache protocols services nsswitch.conf passwd group os-release; do
  [ -e "/etc/$file" ] && cp -L "/etc/$file" "etc/$file"
done
# the machine's container network plugins, and ours
mkdir -p opt/cni/bin
ln -sfn /usr/lib/cni/* /usr/local/bin/policy-gate opt/cni/bin
mount --rbind /dev dev
mount -t proc proc proc
mount -t sysfs sysfs sys
mount --rbind /sys/fs/cgroup sys/fs/cgroup
mount -t tmpfs -o mode=755 tmpfs run
# the kubelet sets these for the whole machine; a node writes to plain files instead
for setting in vm/overcommit_memory kernel/panic kernel/panic_on_oops; do
  file=run/sysctl-$(basename "$setting")
  cat "/proc/sys/$setting" >"$file"
  mount --bind "$file" "proc/sys/$setting"
done
pivot_root . .old
cd /
umount -l /.old
rmdir /.old 2>/dev/null || true
mount --make-rshared /
: >/run/booted
exec tini -s -- sleep infinity
