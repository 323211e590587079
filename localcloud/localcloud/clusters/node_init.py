"""A node as the kernel sees it: from a process of the box to process 1 of the node, which keeps the node's programs.

supervisord starts it. In the box it makes the node's cgroups and leaves the box's namespaces; inside, it makes the
node's link and mounts, and stays. Kill it and the node loses power.

usage: python -m localcloud.clusters.node_init NODE_FOLDER
"""

import json
import os
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from localcloud.clusters import cgroups
from localcloud.home import write_private

# Where the CNI keeps which addresses pods have, as the node sees it.
ADDRESSES = "/var/lib/cni/networks"
# The ipset of the addresses of pods that network-policy has rules for.
ADMITTED = "admitted-pods"
_INSIDE = "--inside"
# A program that ended is started again after this many seconds, so that one that cannot start leaves the CPU to others;
# so is a condition asked again.
_PAUSE_S = 0.5
# What the kubelet sets, and the kernel has only once: these values of the machine stay as they are.
_MACHINE_SETTINGS = ("vm/overcommit_memory", "kernel/panic", "kernel/panic_on_oops")
_NAMESPACES = ("--mount", "--net", "--pid", "--ipc", "--uts")


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What a node is made of, apart from its root file system.

    Attributes:
        name: Its host name.
        link: The box's end of its link.
        cgroup: Its cgroup, as `cgroups.enter` takes it.
        gateway: The box's address.
        address: Its own.
        routes: The networks that lie behind it.
        pods: The network of its pods, one of these.
        dns: The address of the cluster's DNS.
        binaries: The folder of Kubernetes' programs.
        network_policy: The folder of the program that enforces NetworkPolicies.
        layers: The folder of its images' layers.
        programs: What runs in it, by name, in the order of their start.
        conditions: What must succeed before a program is started, where anything must.
    """

    name: str
    link: str
    cgroup: str
    gateway: str
    address: str
    routes: list[str]
    pods: str
    dns: str
    binaries: str
    network_policy: str
    layers: str
    programs: dict[str, list[str]]
    conditions: dict[str, list[str]]

    @classmethod
    def read(cls, folder: Path) -> "Machine":
        """Returns the machine that was written into the folder of a node."""
        return cls(**json.loads((folder / "machine.json").read_text(encoding="utf-8")))

    def write(self, folder: Path) -> None:
        """Writes it into the folder of a node."""
        write_private(folder / "machine.json", json.dumps(asdict(self)))


def main() -> None:
    """Becomes the node."""
    folder = Path(sys.argv[-1])
    machine = Machine.read(folder)
    if _INSIDE in sys.argv:
        _connect(machine)
        _close(machine.pods, machine.dns)
        free_addresses(folder / "root")
        _mount(machine, folder / "root")
        _keep(machine.programs, machine.conditions)
    else:
        os.utime(Path(machine.layers).parent)  # says when it was last used
        cgroups.enter(machine.cgroup)
        itself = [sys.executable, "-m", "localcloud.clusters.node_init", _INSIDE, str(folder)]
        os.execvp("unshare", ["unshare", *_NAMESPACES, "--fork", "--kill-child", *itself])


def _connect(machine: Machine) -> None:
    """Makes the node's link to the box, which routes between nodes, pods and the machine."""
    # /proc is still the box's: its process 1 holds the box's network. The kernel reads our own number, 1, as ours.
    box = ("nsenter", "--net=/proc/1/ns/net", "ip")
    # The link of a former life: connections that nobody closed keep its network namespace for minutes.
    subprocess.run([*box, "link", "delete", machine.link], capture_output=True, check=False)
    _run(*box, "link", "add", machine.link, "type", "veth", "peer", "name", "eth0", "netns", "1")
    _run(*box, "link", "set", machine.link, "up")
    _run("hostname", machine.name)
    _run("ip", "link", "set", "lo", "up")
    _run("ip", "address", "add", f"{machine.address}/32", "dev", "eth0")
    _run("ip", "link", "set", "eth0", "up")
    _run("ip", "route", "add", machine.gateway, "dev", "eth0", "scope", "link")
    _run("ip", "route", "add", "default", "via", machine.gateway, "src", machine.address)
    _run(*box, "route", "replace", f"{machine.address}/32", "dev", machine.link, "scope", "link")
    for network in machine.routes:
        _run(*box, "route", "replace", network, "via", machine.address, "dev", machine.link, "onlink")
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1", encoding="ascii")


def _close(pods: str, dns: str) -> None:
    """Lets no pod connect, nor be connected to, before network-policy has its address in a set.

    A pod runs for up to a second before its address is known, and a node before all of its programs. The table is one
    that is asked before that of network-policy's own rules, and that nobody else writes. The node itself reaches its
    pods, as everywhere, and everyone the cluster's DNS: it asks nobody else, and a question that is lost costs a pod
    five seconds.
    """
    _run("ipset", "create", ADMITTED, "hash:ip")
    asks = ("--match", "conntrack", "--ctorigdst", dns, "--ctorigdstport", "53")
    _run("iptables", "--table", "mangle", "--append", "FORWARD", "--source", pods, *asks, "--jump", "ACCEPT")
    ways = (("FORWARD", "--source", "src"), ("FORWARD", "--destination", "dst"), ("INPUT", "--source", "src"))
    for chain, side, end in ways:
        new = ("--match", "conntrack", "!", "--ctstate", "ESTABLISHED,RELATED")
        unknown = ("--match", "set", "!", "--match-set", ADMITTED, end)
        _run("iptables", "--table", "mangle", "--append", chain, side, pods, *new, *unknown, "--jump", "DROP")


def free_addresses(root: Path) -> None:
    """Frees the addresses of pods of a former life, all of which have ended.

    Which was given last stays, so that new pods get others: the apiserver has the old ones still, as those of old pods.
    """
    for reserved in (root / ADDRESSES.lstrip("/")).glob("*/[0-9]*"):
        reserved.unlink()


def _mount(machine: Machine, root: Path) -> None:
    """Gives the node its own root, in which only the machine's programs are the machine's."""
    _run("mount", "--bind", str(root), str(root))
    _bind_read_only("/usr", root / "usr")
    _bind_read_only(machine.binaries, root / "opt/kubernetes")
    _bind_read_only(machine.network_policy, root / "opt/network-policy")
    _bind_read_only(machine.layers, root / "opt/layers")
    _run("mount", "-t", "proc", "proc", str(root / "proc"))
    _run("mount", "-t", "sysfs", "-o", "ro", "sysfs", str(root / "sys"))
    cgroups.mount(root / "sys/fs/cgroup")
    _run("mount", "--rbind", "/dev", str(root / "dev"))
    _run("mount", "--make-rslave", str(root / "dev"))
    _run("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", str(root / "run"))
    for name in _MACHINE_SETTINGS:
        setting, copy = root / "proc/sys" / name, root / "run" / Path(name).name
        copy.write_text(setting.read_text(encoding="ascii"), encoding="ascii")
        _run("mount", "--bind", str(copy), str(setting))
    os.chdir(root)
    _run("pivot_root", ".", "mnt")
    os.chdir("/")
    _run("umount", "--lazy", "/mnt")
    _run("mount", "--make-rshared", "/")  # pods may mount for others


def _bind_read_only(source: str, target: Path) -> None:
    _run("mount", "--bind", source, str(target))
    _run("mount", "-o", "remount,bind,ro", str(target))


def _keep(programs: dict[str, list[str]], conditions: dict[str, list[str]]) -> None:
    """Runs the node's programs, and starts again what ends; never returns."""
    environment = {"PATH": "/opt/kubernetes:/opt/network-policy:/usr/sbin:/usr/bin", "LANG": "C.UTF-8", "HOME": "/root"}
    running: dict[int, str] = {}
    due = dict.fromkeys(programs, 0.0)
    while True:
        now = time.monotonic()
        for name in [name for name, at in due.items() if at <= now]:
            asked, condition = time.monotonic(), conditions.get(name)
            if condition and subprocess.run(condition, capture_output=True, env=environment, check=False).returncode:
                answered = time.monotonic()  # what it waits for gets as much of a slow machine as asking takes
                due[name] = answered + max(_PAUSE_S, answered - asked)
                continue
            del due[name]
            with Path(f"/var/log/{name}.log").open("ab") as log:
                started = subprocess.Popen(
                    programs[name], stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment
                )
            running[started.pid] = name
        # We are process 1: what loses its parent becomes our child, and must be waited for too.
        pid, _ = os.waitpid(-1, os.WNOHANG if due else 0)
        if ended := running.pop(pid, None):
            due[ended] = time.monotonic() + _PAUSE_S
        elif due and pid == 0:
            time.sleep(0.05)


def _run(*command: str) -> None:
    subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
