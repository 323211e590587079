# Starts squid as another user, in a mount namespace that it is alone in.
# usage: sh squid.sh PROGRAM FOLDER SHOWN USER
set -e
program=$1 folder=$2 shown=$3 user=$4

exec 3<"$program" 4<"$folder" # they may be below $shown, which is hidden next
mount -t tmpfs -o mode=0755 tmpfs "$shown"
mkdir "$shown/program" "$shown/folder"
mount --no-canonicalize --bind /proc/self/fd/3 "$shown/program"
mount --no-canonicalize --bind /proc/self/fd/4 "$shown/folder"
exec 3<&- 4<&-

cd /
LD_LIBRARY_PATH=$(echo "$shown"/program/usr/lib/*-linux-gnu*)
export LD_LIBRARY_PATH
# the kernel forgets who it dies with when a process changes its user
set -- setpriv --reuid "$user" --regid "$user" --clear-groups --no-new-privs --pdeathsig KILL \
  "$shown/program/usr/sbin/squid" -N -d 1 -f "$shown/folder/squid.conf"
"$@" -z # makes the folders of its cache where they are not there
exec "$@"
