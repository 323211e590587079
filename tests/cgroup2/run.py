"""localcloud with cgroup v2: a stock Debian kernel in qemu, over this machine's own files, which it only reads.

usage: make test-cgroup2      (as root, after `make setup`; qemu emulates the processors, which is slow)

What runs inside is `inside.py`; it prints a line for each thing that it checks, and a last one that is looked for here.
To look at something else there: `run.py PROGRAM [ARGUMENT…]`, with $PROCESSORS; words without spaces or commas. The
program switches the machine off (`echo o >/proc/sysrq-trigger`), and what it prints is shown; the outcome is "FAILED".
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from inside import PASSED
from localcloud.build import everything
from localcloud.settings import cache

REPOSITORY = Path(__file__).parents[2]
CACHE = cache() / "cgroup2"
PACKAGES = {"qemu-system-x86_64": "qemu-system-x86", "busybox": "busybox-static", "depmod": "kmod", "cpio": "cpio"}
"""Programs that this needs, and the Debian package of each."""

MODULES = ("crc32c_generic", "virtio_pci", "virtio_blk", "9pnet_virtio", "9p", "ext4", "overlay", "virtio_rng")
"""What the kernel needs to see its files; all others are loaded from these."""

PROCESSORS = 2
MEMORY = 8192
"""MiB of the virtual machine."""

DISK = 24
"""GiB of its disk, a sparse file."""

SECONDS = 5400
"""All of it, at most."""


def kernel() -> Path:
    """Return the folder of a stock kernel, unpacked: ``boot/vmlinuz-*`` and ``lib/modules``."""
    if found := sorted(CACHE.glob("linux-image-*/lib/modules/*/modules.dep")):
        return found[-1].parents[3]
    CACHE.mkdir(parents=True, exist_ok=True)
    shown = subprocess.run(["apt-cache", "depends", "linux-image-amd64"], check=True, capture_output=True, text=True)
    name = next(line.split()[-1] for line in shown.stdout.splitlines() if "Depends: linux-image-" in line)
    with tempfile.TemporaryDirectory(dir=CACHE) as folder:
        download = ["apt-get", "download", "-q", "-o", "APT::Sandbox::User=root", name]
        subprocess.run(download, cwd=folder, check=True)
        (package,) = Path(folder).glob("*.deb")
        target = CACHE / name
        subprocess.run(["dpkg-deb", "--extract", package, target], check=True)
    (modules,) = (target / "lib/modules").iterdir()
    subprocess.run(["depmod", "--basedir", target, modules.name], check=True)
    return target


def initramfs(folder: Path, modules: Path) -> Path:
    """Make the first file system: busybox, the first program, and the modules that it needs, in order.

    Args:
        folder: Where it is made.
        modules: ``lib/modules/VERSION``.
    """
    needs = {}
    for line in (modules / "modules.dep").read_text().splitlines():
        name, _, others = line.partition(":")
        needs[Path(name).name.split(".")[0].replace("_", "-")] = [name, *others.split()]
    order: list[str] = []
    for module in MODULES:
        for path in reversed(needs.get(module.replace("_", "-"), [])):  # none if the kernel has it built in
            if path not in order:
                order.append(path)
    root = folder / "initramfs"
    for name in ("bin", "dev", "proc", "sys", "modules"):
        (root / name).mkdir(parents=True)
    for path in order:
        shutil.copy(modules / path, root / "modules")
    (root / "modules/order").write_text("".join(f"{Path(path).name}\n" for path in order))
    shutil.copy(shutil.which("busybox") or "", root / "bin")
    shutil.copy(Path(__file__).with_name("init.sh"), root / "init")
    (root / "init").chmod(0o755)
    names = "\n".join(str(path.relative_to(root)) for path in root.rglob("*"))
    image = folder / "initramfs.cpio"
    with image.open("wb") as file:
        subprocess.run(["cpio", "-o", "-H", "newc", "--quiet"], cwd=root, input=names.encode(), stdout=file, check=True)
    return image


def disk(folder: Path) -> Path:
    """Make the disk, with what was built: nodes' folders and the demo repository are hard links to it.

    Args:
        folder: Where it is made, in the cache.
    """
    artifacts = everything(REPOSITORY / "images", print)
    content = folder / "disk"
    for path in (artifacts.bin, artifacts.golden, artifacts.squid, artifacts.demo):
        target = content / "cache" / path.relative_to(cache().parent)
        target.parent.mkdir(parents=True)
        subprocess.run(["cp", "--archive", "--link", path, target], check=True)
    image = folder / "disk.ext4"
    with image.open("wb") as file:
        file.truncate(DISK * 2**30)
    subprocess.run(["mkfs.ext4", "-q", "-d", content, image], check=True)
    return image


def main() -> int:
    """Boot, show what is printed, and return 0 if all checks passed."""
    if os.geteuid():
        sys.exit(f"the virtual machine shares this machine's files, which needs root; you are uid {os.geteuid()}")
    if packages := [package for program, package in PACKAGES.items() if not shutil.which(program)]:
        print(f"installing {', '.join(packages)}", flush=True)
        subprocess.run(["apt-get", "install", "-q", "-y", "--no-install-recommends", *packages], check=True)
    files = kernel()
    (modules,) = (files / "lib/modules").iterdir()
    with tempfile.TemporaryDirectory(prefix="run-", dir=CACHE) as name:
        folder = Path(name)
        program = ",".join(sys.argv[1:]) or f"{REPOSITORY / '.venv/bin/python'},{Path(__file__).with_name('inside.py')}"
        line = f"console=ttyS0 panic=-1 loglevel=4 modules={modules} program={program}"
        command: list[str | Path] = ["qemu-system-x86_64", "-no-reboot", "-nodefaults", "-serial", "stdio"]
        command += ["-display", "none", "-vga", "none", "-device", "virtio-rng-pci"]
        command += ["-accel", "tcg,thread=multi,tb-size=1024", "-cpu", "max"]
        command += ["-smp", os.environ.get("PROCESSORS", str(PROCESSORS)), "-m", str(MEMORY)]
        command += ["-kernel", next((files / "boot").glob("vmlinuz-*")), "-append", line]
        command += ["-initrd", initramfs(folder, modules)]
        command += ["-virtfs", "local,path=/,mount_tag=host,security_model=none,readonly=on,multidevs=remap"]
        command += ["-drive", f"file={disk(folder)},format=raw,if=virtio,cache=unsafe"]
        return show(command)


def show(command: list[str | Path]) -> int:
    """Run the virtual machine and show its console; return 0 if the last line is there."""
    passed, start = False, time.monotonic()
    # `timeout`, because a kernel that hangs prints nothing that could be read
    machine = subprocess.Popen(["timeout", str(SECONDS), *command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    assert machine.stdout
    for raw in machine.stdout:
        line = raw.decode(errors="replace").rstrip()
        passed |= line == PASSED
        print(line, flush=True)
    if machine.wait() == 124:
        print(f"not done after {SECONDS} s")
    print(f"{'passed' if passed else 'FAILED'} after {time.monotonic() - start:.0f} s")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
