"""localcloud with cgroup v2: Debian's stock kernel in qemu, over this machine's own files, which it only reads.

usage: make test-cgroup2      (as root; qemu emulates the processor, which takes minutes)

What is checked is in `inside.py`, the virtual machine's only program. It prints a line for each thing that holds, with
the seconds since the kernel started, and a last one that is looked for here.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

Result = TypeVar("Result")
PASSED = "cgroup v2: all of it holds"
TIMEOUT_S = 1800

_HERE = Path(__file__).resolve().parent
_PYTHON = _HERE.parents[1] / "localcloud" / ".venv" / "bin" / "python"
_XDG_CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
_CACHE = _XDG_CACHE / "astrok8s" / "kernels"
# What the kernel needs to see its files, as init.sh loads it; it loads all others from these.
_MODULES = {"crc32c_generic", "virtio_pci", "virtio_blk", "virtio-rng", "9pnet_virtio", "9p", "ext4", "overlay"}
# Every other clock is read through the emulator; and nobody attacks a machine that is switched off in minutes.
_FAST = "clocksource=tsc tsc=reliable mitigations=off"
_MEMORY_MIB = 6144
_DISK_BYTES = 16 * 2**30  # a sparse file


def main() -> int:
    """Boots, shows the console, and returns 0 if everything held."""
    if os.geteuid() != 0:
        sys.exit("The virtual machine shares all files of this machine. Run this as root.")
    if not shutil.which("qemu-system-x86_64"):
        _step("install qemu", _install_qemu)
    kernel = _step("find the kernel", _kernel)
    # The virtual machine finds it in the cache; it would take long to make it.
    _step(
        "make the golden node image",
        lambda: _run(_PYTHON, "-c", "from localcloud.clusters import golden as g; g.ensure()"),
    )
    with tempfile.TemporaryDirectory(prefix=".run.", dir=_CACHE) as name:
        initramfs, disk = Path(name) / "initramfs", Path(name) / "disk"
        _step("make the initramfs", lambda: _make_initramfs(initramfs, kernel))
        with disk.open("wb") as file:
            file.truncate(_DISK_BYTES)
        _run("mkfs.ext4", "-q", disk)
        return _boot(kernel, initramfs, disk)


def _install_qemu() -> None:
    _run("apt-get", "-qq", "update")
    _run("apt-get", "-qq", "install", "--no-install-recommends", "qemu-system-x86")


def _kernel() -> Path:
    """Returns the folder of Debian's kernel, unpacked into the cache where it is not there: boot and lib/modules."""
    name = _package()
    target = _CACHE / name.replace("=", "_")
    if not target.exists():
        _CACHE.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".new.", dir=_CACHE) as folder:
            _run("apt-get", "-qq", "download", "-o", "APT::Sandbox::User=root", name, cwd=folder)
            (package,) = Path(folder).glob("*.deb")
            whole = Path(folder) / "whole"
            _run("dpkg-deb", "--extract", package, whole)
            (modules,) = (whole / "lib/modules").iterdir()
            _run("busybox", "depmod", "-b", whole, modules.name)
            whole.rename(target)
    os.utime(target)  # says when it was last used
    return target


def _package() -> str:
    """Returns the package of the newest kernel that this machine's sources have, as NAME=VERSION."""
    depends = _run("apt-cache", "depends", "linux-image-amd64")
    if "Depends: linux-image-" not in depends:
        _run("apt-get", "-qq", "update")
        depends = _run("apt-cache", "depends", "linux-image-amd64")
    name = next(line.split()[-1] for line in depends.splitlines() if "Depends: linux-image-" in line)
    shown = _run("apt-cache", "show", "--no-all-versions", name)
    return f"{name}={next(line.split()[-1] for line in shown.splitlines() if line.startswith('Version: '))}"


def _make_initramfs(target: Path, kernel: Path) -> None:
    """Makes the first file system: busybox, init.sh, and the modules that it loads with those that these need."""
    (modules,) = (kernel / "lib/modules").iterdir()
    root = target.with_name("root")
    for folder in ("bin", "dev", "proc", "sbin", "sys"):
        (root / folder).mkdir(parents=True)
    table = modules / "modules.dep"
    lines = [line.replace(":", "").split() for line in table.read_text().splitlines()]
    wanted = [path for paths in lines if Path(paths[0]).stem in _MODULES for path in paths]
    for path in {*wanted, table.name}:
        copy = root / (modules / path).relative_to(kernel)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(modules / path, copy)
    shutil.copy(shutil.which("busybox") or "", root / "bin" / "busybox")
    shutil.copy(_HERE / "init.sh", root / "init")
    (root / "init").chmod(0o755)
    names = "\n".join(str(path.relative_to(root)) for path in sorted(root.rglob("*")))
    with target.open("wb") as file:
        archive = ["busybox", "cpio", "-o", "-H", "newc"]
        subprocess.run(archive, cwd=root, input=names.encode(), stdout=file, stderr=subprocess.DEVNULL, check=True)


def _boot(kernel: Path, initramfs: Path, disk: Path) -> int:
    (modules,) = (kernel / "lib/modules").iterdir()
    (image,) = (kernel / "boot").glob("vmlinuz-*")
    where = f"HOME={Path.home()} cache={_XDG_CACHE} modules={modules} python={_PYTHON} program={_HERE / 'inside.py'}"
    machine: list[str | Path] = [
        *("qemu-system-x86_64", "-accel", "tcg", "-cpu", "max", "-smp", "1", "-m", str(_MEMORY_MIB)),
        *("-no-reboot", "-nodefaults", "-display", "none", "-serial", "stdio", "-device", "virtio-rng-pci"),
        *("-kernel", image, "-initrd", initramfs, "-append", f"console=ttyS0 panic=-1 loglevel=4 {_FAST} {where}"),
        *("-virtfs", "local,path=/,mount_tag=host,security_model=none,readonly=on,multidevs=remap"),
        *("-drive", f"file={disk},format=raw,if=virtio,cache=unsafe"),
    ]
    passed, start = False, time.monotonic()
    # `timeout`, because a kernel that hangs prints nothing; `nice`, because it computes for minutes.
    command = ["timeout", str(TIMEOUT_S), "nice", *machine]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as running:
        assert running.stdout
        for raw in running.stdout:
            line = raw.decode(errors="replace").rstrip()
            passed |= line == PASSED
            print(line, flush=True)
    late = f", the time limit of {TIMEOUT_S} s" if running.returncode == 124 else ""
    print(f"{'passed' if passed else 'FAILED'} after {time.monotonic() - start:.0f} s{late}")
    return 0 if passed else 1


def _step(what: str, do: Callable[[], Result]) -> Result:
    start = time.monotonic()
    done = do()
    print(f"{time.monotonic() - start:7.1f} s  {what}", flush=True)
    return done


def _run(*command: str | Path, cwd: str | None = None) -> str:
    return subprocess.run(command, cwd=cwd, stdout=subprocess.PIPE, text=True, check=True).stdout


if __name__ == "__main__":
    sys.exit(main())
