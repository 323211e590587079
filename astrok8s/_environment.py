"""The notebook's Python packages for executors: packed once, kept by what is in them.

An archive holds packages and a program `bin/python`, the image's own Python with these packages before its others: it
does not matter where Python is installed here and there, but for its minor version.
"""

import re
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from importlib.metadata import Distribution, distributions
from io import BytesIO
from pathlib import Path
from typing import Any

from astrok8s._private import cache
from astrok8s.errors import AttachError, OptionError

_ALIAS = "environment"
"""The folder that executors unpack an archive into."""

_CVMFS = re.compile(r"/cvmfs/([^/]+)/.")
_BUCKET = "spark-environments"
# What the image has, in the versions of this environment; what is in no archive, therefore.
_OF_IMAGE = {
    *(
        "googleapis-common-protos",
        "grpcio",
        "grpcio-status",
        "numpy",
        "pandas",
        "py4j",
        "pyarrow",
        "pyspark",
        "zstandard",
    )
}
# What only the notebook's side needs, with all that only these need.
_OF_NOTEBOOKS = {"astrok8s", "jupyterlab", "jupyterlab-astrok8s", "notebook"}
_PROGRAM = b"""\
#!/bin/sh
here=$(dirname "$(dirname "$(readlink -f "$0")")")
PYTHONPATH="$here/lib${PYTHONPATH:+:$PYTHONPATH}" exec python3 "$@"
"""


@dataclass(frozen=True)
class Packages:
    """The packages of executors' Python.

    Attributes:
        python: The program, as executors call it.
        archive: The address of an archive that they unpack, with its folder's name; None where the program is there.
    """

    python: str = f"./{_ALIAS}/bin/python"
    archive: str | None = None

    @classmethod
    def of(cls, archive: str | Path) -> "Packages":
        """Returns those of an archive.

        Args:
            archive: Where executors, or this machine, have it.
        """
        return cls(archive=f"{archive}#{_ALIAS}")


def check(environment: str | None) -> None:
    """Checks what `attach` is given.

    Raises:
        OptionError: It is neither "here", nor a folder of CVMFS, nor a file of requirements.
    """
    if environment in (None, "here") or _CVMFS.match(str(environment)):
        return
    _check_file(Path(str(environment)))


def _check_file(requirements: Path) -> None:
    if not requirements.is_file():
        raise OptionError(
            "environment",
            f"There is no file {requirements} of requirements.",
            remedy='Give the path of one; attach() takes "here", for this Python, and folders of CVMFS, too.',
        )


def on_nodes(environment: str, repositories: Iterable[str]) -> Packages | None:
    """Returns packages that lie on the nodes already; None where an environment is another one.

    Args:
        environment: As of `astrok8s.attach`.
        repositories: Those that the nodes mount.

    Raises:
        OptionError: The nodes do not mount the repository.
    """
    found = _CVMFS.match(environment)
    if found is None:
        return None
    if found[1] not in repositories:
        has = ", ".join(repositories) or "none"
        raise OptionError(
            "environment",
            f"The cluster's nodes do not mount the repository {found[1]}; they mount: {has}.",
            remedy="Provision the cluster with it (cvmfs_repositories).",
        )
    return Packages(python=f"{environment.rstrip('/')}/bin/python")


def archive(environment: str, say: Callable[[str], None]) -> Path:
    """Returns the archive of an environment; it is made if this machine has none of what is in it.

    Args:
        environment: As of `astrok8s.attach`.
        say: Is told what takes long.

    Raises:
        AttachError: The requirements cannot be installed.
    """
    text = _listing() if environment == "here" else Path(environment).read_text(encoding="utf-8")
    key = sha256(f"{sys.version_info[:2]} {sys.platform}\n{_PROGRAM.decode()}{text}".encode()).hexdigest()[:32]
    path = (kept := cache("environments")) / f"{key}.tar.gz"
    if not path.exists():
        say(f"packing {'the packages of this Python' if environment == 'here' else environment}, the first time only")
        with tempfile.TemporaryDirectory(dir=kept) as folder:
            files = _here() if environment == "here" else _installed(environment, Path(folder, "lib"))
            _write(Path(folder, "new"), files).replace(path)
    return path


def keep(connection: Any, path: Path, say: Callable[[str], None]) -> str:
    """Returns where executors read an archive, in a bucket of the project; it is copied there if it is not there.

    Args:
        connection: An openstacksdk connection, authenticated, to a cloud with object storage.
        path: The archive, named by what is in it.
        say: Is told what takes long.

    Raises:
        AttachError: The object storage takes it not.
    """
    from ansible_collections.astrok8s.magnum.plugins.module_utils import storage
    from ansible_collections.astrok8s.magnum.plugins.module_utils.errors import MagnumError

    try:
        storage.make_bucket(connection, _BUCKET)
    except MagnumError as error:
        raise AttachError(f"The environment cannot be kept: {error.fact}", remedy=error.remedy) from error
    if connection.object_store.request(f"/{_BUCKET}/{path.name}", "HEAD", raise_exc=False).status_code == 404:
        say(f"copying {path.stat().st_size / 1e6:.0f} MB of packages into the bucket {_BUCKET}")
        connection.create_object(_BUCKET, path.name, filename=str(path), generate_checksums=False)
    return f"s3a://{_BUCKET}/{path.name}"


def pack(requirements: Path, folder: Path) -> None:
    """Writes packages with their program into a folder, to be published as part of a repository of CVMFS.

    Args:
        requirements: A file of requirements, as pip reads it.
        folder: What is made; `attach(environment=…)` names it as it lies under /cvmfs.

    Raises:
        OptionError: There is no such file, or the folder is there already.
        AttachError: The requirements cannot be installed.
    """
    _check_file(requirements)
    if folder.exists():
        raise OptionError("folder", f"{folder} is there already.", remedy="Name one that is to be made.")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as name:
        new = Path(name, "new")
        _install(str(requirements), new / "lib")
        # Nobody can write the byte code later, and a worker that must compile starts slowly.
        subprocess.run(
            [sys.executable, "-m", "compileall", "-q", str(new / "lib")], stdout=subprocess.DEVNULL, check=False
        )
        (new / "bin").mkdir()
        (new / "bin" / "python").write_bytes(_PROGRAM)
        (new / "bin" / "python").chmod(0o755)
        (new / ".cvmfscatalog").touch()  # clients need not know of it before they enter it
        new.rename(folder)


def _listing() -> str:
    """Returns a line for each package of this Python, with a digest of its files."""
    records = ((each.name, each.version, each.read_text("RECORD") or "") for each in _chosen())
    return "\n".join(sorted(f"{name} {version} {sha256(text.encode()).hexdigest()}" for name, version, text in records))


def _chosen() -> list[Distribution]:
    """Returns the packages of this Python that executors do not have: not what only the notebook's side needs."""
    there = {_canonical(each.name): each for each in distributions()}
    own = _needed(_OF_NOTEBOOKS, there)
    needed = _needed(set(there) - own, there) - _OF_IMAGE - _OF_NOTEBOOKS
    return [there[name] for name in needed]


def _needed(names: set[str], there: dict[str, Distribution]) -> set[str]:
    """Returns names of packages with those that they need, of those that are there."""
    from packaging.requirements import Requirement

    found: set[str] = set()
    waiting = names & set(there)
    while waiting:
        name = waiting.pop()
        found.add(name)
        asked = (Requirement(text) for text in there[name].requires or [])
        needs = {_canonical(each.name) for each in asked if each.marker is None or each.marker.evaluate({"extra": ""})}
        waiting |= (needs & set(there)) - found
    return found


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _here() -> Iterator[tuple[Path, str]]:
    """Yields the files of packages, and their names in an archive; without the programs that some install."""
    for package in _chosen():
        for file in package.files or []:
            path = Path(str(package.locate_file(file)))
            if ".." not in file.parts and file.suffix not in (".pth", ".pyc") and path.is_file():
                yield path, str(file)


def _installed(requirements: str, folder: Path) -> Iterator[tuple[Path, str]]:
    """Installs requirements into a folder, and yields its files as `_here`."""
    _install(requirements, folder)
    for path in folder.rglob("*"):
        if path.is_file():
            yield path, str(path.relative_to(folder))


def _install(requirements: str, folder: Path) -> None:
    """Installs requirements into a folder.

    Raises:
        AttachError: They cannot be installed.
    """
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile"]
    run = subprocess.run(
        [*pip, "--target", str(folder), "--requirement", requirements], capture_output=True, text=True, check=False
    )
    if run.returncode != 0:
        raise AttachError(
            f"The packages of {requirements} cannot be installed:\n{run.stderr.strip()}\n", remedy="Mend the file."
        )


def _write(path: Path, files: Iterable[tuple[Path, str]]) -> Path:
    """Writes an archive; returns its path."""
    with tarfile.open(path, "w:gz", compresslevel=1) as archive:
        program = tarfile.TarInfo("bin/python")
        program.size, program.mode = len(_PROGRAM), 0o755
        archive.addfile(program, BytesIO(_PROGRAM))
        for file, name in files:
            archive.add(file, f"lib/{name}", recursive=False)
    return path
