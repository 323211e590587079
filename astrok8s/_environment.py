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
from hashlib import sha256
from importlib.metadata import Distribution, distributions
from io import BytesIO
from pathlib import Path
from typing import Any

from astrok8s._private import cache
from astrok8s.errors import AttachError, OptionError

ALIAS = "environment"
"""The folder that executors unpack an archive into."""

PYTHON = f"./{ALIAS}/bin/python"
"""The program of it, as executors call it."""

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
_PROGRAM = b"""\
#!/bin/sh
here=$(dirname "$(dirname "$(readlink -f "$0")")")
PYTHONPATH="$here/lib${PYTHONPATH:+:$PYTHONPATH}" exec python3 "$@"
"""


def check(environment: str | None) -> None:
    """Checks what `attach` is given.

    Raises:
        OptionError: It is neither "here" nor a file of requirements.
    """
    if environment not in (None, "here") and not Path(str(environment)).is_file():
        raise OptionError(
            "environment",
            f"There is no file {environment} of requirements.",
            remedy='Give the path of one, "here" for the packages of this Python, or None.',
        )


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


def _listing() -> str:
    """Returns a line for each package of this Python, with a digest of its files."""
    records = ((each.name, each.version, each.read_text("RECORD") or "") for each in _chosen())
    return "\n".join(sorted(f"{name} {version} {sha256(text.encode()).hexdigest()}" for name, version, text in records))


def _chosen() -> list[Distribution]:
    """Returns the packages of this Python that executors do not have: not what only astrok8s itself needs."""
    there = {_canonical(each.name): each for each in distributions()}
    own = _needed({"astrok8s"}, there)
    needed = _needed(set(there) - own, there) - _OF_IMAGE - {"astrok8s"}
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
    """Installs requirements into a folder, and yields its files as `_here`.

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
    for path in folder.rglob("*"):
        if path.is_file():
            yield path, str(path.relative_to(folder))


def _write(path: Path, files: Iterable[tuple[Path, str]]) -> Path:
    """Writes an archive; returns its path."""
    with tarfile.open(path, "w:gz", compresslevel=1) as archive:
        program = tarfile.TarInfo("bin/python")
        program.size, program.mode = len(_PROGRAM), 0o755
        archive.addfile(program, BytesIO(_PROGRAM))
        for file, name in files:
            archive.add(file, f"lib/{name}", recursive=False)
    return path
