#!/bin/sh
# Power on one node: its cgroup, network namespace and cable, then its own mount, UTS, IPC and
# PID namespaces, where boot.sh goes on as PID 1. Runs as a program of supervisord; killing it
# is a power cut. Everything is made only if missing, so it also serves after a crash.
# usage: power-on.sh NODE_FOLDER     (the folder's machine.env says who the node is)
set -eu
folder=$1
here=$(dirname "$(readlink -f "$0")")
. "$folder/machine.env" # HOSTNAME DEVICE ADDRESS PREFIX BRIDGE GATEWAY CLUSTER_PODS SERVICES CGROUP BIN CORES MEMORY
rm -f "$folder/booted"
echo $$ >"$folder/machine.pid"

# Remove what a power cut left below a cgroup: the kubelet would look 3 s long for the container of each.
# The last processes may be dying still.
clear() {
  tries=100
  until find "$1" -mindepth 1 -depth -type d -exec rmdir {} + 2>/dev/null; do
    tries=$((tries - 1))
    [ $tries -gt 0 ] || return 0
    sleep 0.1
  done
}

# cgroup v1 has a tree per controller, v2 has one; the kubelet wants its root to exist in each
if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
  part=/sys/fs/cgroup
  for level in $(echo "$CGROUP" | tr / ' '); do
    for controller in $(cat "$part/cgroup.controllers"); do
      echo "+$controller" >"$part/cgroup.subtree_control" || true
    done
    part=$part/$level
    mkdir -p "$part"
  done
  clear "$part"
  echo "${CORES:+${CORES}00000 100000}" | sed 's/^$/max/' >"$part/cpu.max"
  echo "${MEMORY:-max}" >"$part/memory.max"
else
  for tree in /sys/fs/cgroup/*/; do
    [ -e "$tree/tasks" ] || continue # unified, links
    part=$tree
    for level in $(echo "$CGROUP" | tr / ' '); do
      mkdir -p "$part/$level"
      for set in cpuset.cpus cpuset.mems; do
        [ -e "$part/$set" ] && cat "$part/$set" >"$part/$level/$set"
      done
      part=$part/$level
    done
    clear "$part"
    # its flavor; with cgroup v1 the kernel then refuses a pod whose own CPU limit is above it
    [ ! -e "$part/cpu.cfs_quota_us" ] || echo "${CORES:+${CORES}00000}" | sed 's/^$/-1/' >"$part/cpu.cfs_quota_us"
    [ ! -e "$part/memory.limit_in_bytes" ] || echo "${MEMORY:--1}" >"$part/memory.limit_in_bytes"
  done
fi

[ -e "/run/netns/$DEVICE" ] || ip netns add "$DEVICE"
inside="nsenter --net=/run/netns/$DEVICE"
# NetworkPolicies: what is between two pods of one node passes the firewall, too, and a packet
# passes only once the policy engine has made its pod's rules. Pods have no IPv6 but link-local
# addresses, which no policy knows of.
if [ ! -e /proc/sys/net/bridge ] && ! modprobe br_netfilter; then
  echo "the kernel cannot filter what passes a bridge (br_netfilter is neither there nor loadable), so" \
    "NetworkPolicies would not hold. Remedy: a kernel with CONFIG_BRIDGE_NETFILTER" >&2
  exit 1
fi
for filter in iptables ip6tables; do
  [ "$filter" = iptables ] || [ -e /proc/sys/net/ipv6 ] || continue
  $inside sh -c "echo 1 >/proc/sys/net/bridge/bridge-nf-call-$filter"
  $inside "$filter" --wait --policy FORWARD DROP
done
if ! ip link show "$DEVICE" >/dev/null 2>&1; then
  ip link add "$DEVICE" type veth peer name eth0 netns "$DEVICE"
  ip link set "$DEVICE" master "$BRIDGE" up
  $inside ip -batch - <<NETWORK
link set lo up
address add $ADDRESS/$PREFIX dev eth0
link set eth0 up
NETWORK
fi
# All pods of a cluster are one link: each node answers ARP for its own (proxy_arp), so that no
# route needs to change when nodes come and go. There is no default route: nothing leaves.
$inside ip route replace "$CLUSTER_PODS" dev eth0
$inside ip route replace "$SERVICES" dev eth0
for setting in ip_forward=1 conf/all/route_localnet=1 conf/eth0/proxy_arp=1 neigh/eth0/proxy_delay=0; do
  $inside sh -c "echo ${setting#*=} >/proc/sys/net/ipv4/${setting%%=*}"
done

exec $inside unshare --mount --uts --ipc --pid --fork --mount-proc --kill-child sh "$here/boot.sh" "$folder"
