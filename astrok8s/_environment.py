"""The user's Python packages on executors: packed once, kept in the user's bucket, unpacked where an executor starts.

Packages only: the interpreter is the image's, whose minor version is this one's. An archive is named by what it is made
from, so whoever asks for the same finds it there. What is in CVMFS is on every node already, and used as it is.
"""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.machinery import EXTENSION_SUFFIXES
from importlib.metadata import Distribution, distributions
from importlib.util import find_spec
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from astrok8s._cvmfs import Cvmfs, folder_in
from astrok8s._errors import AttachError, OptionError
from astrok8s._storage import Storage, bucket_of

if TYPE_CHECKING:
    from ansible_collections.astrok8s.magnum.plugins.module_utils.storage import Bucket

HERE = "here"
"""The packages of this Python."""

FOLDER = "environments"
"""Of the archives, in the user's bucket."""

LEFT_OUT = frozenset({"ansible", "ansible-core", "pip", "py4j", "pyspark", "setuptools", "uv", "wheel"})
"""Distributions that the image has, or that no executor needs; Ansible's are hundreds of megabytes."""

UPLOAD_SECONDS = 60.0
"""For S3 to take a part of an archive: 8 MiB, as boto3 cuts them."""

ELSEWHERE = re.compile(
    r"^-(?!i\b|-(hash|index-url|extra-index-url|pre|prefer-binary|only-binary|no-binary)\b)|^[^:]*/|\bfile:"
)
"""Lines of a requirements file whose meaning is in another file on this machine, which may change unseen."""

LINE = 400
"""Of what pip says, the length of a line that is shown: it may list a hundred versions."""

VARIABLE = "ASTROK8S_ENVIRONMENT"
"""Tells the image's entrypoint which archive to unpack, BUCKET/NAME, or which folder in CVMFS to use."""


@dataclass(frozen=True)
class Packages:
    """Files to pack.

    Attributes:
        files: Each with its name in the archive, below a folder for PYTHONPATH.
        recorded: Hashes of files as their installer recorded them: reading all files takes seconds.
        names: The distributions that they belong to.
        missing: The distributions that cannot be packed.
    """

    files: Mapping[str, Path]
    recorded: Mapping[str, str]
    names: tuple[str, ...]
    missing: tuple[str, ...]

    @cached_property
    def digest(self) -> str:
        """Of the files' names and content."""
        total = hashlib.sha256()
        for name, path in sorted(self.files.items()):
            known = self.recorded.get(name) or hashlib.sha256(path.read_bytes()).hexdigest()
            # the size, too: people do edit what is installed
            total.update(f"{name} {known} {path.stat().st_size}\n".encode())
        return total.hexdigest()[:32]


def check(environment: str | Path | None) -> None:
    """Check what is asked for.

    Raises:
        OptionError: It is no environment.
    """
    if environment is None:
        return
    allowed = f"give {HERE!r}, the path of a requirements file, a folder in CVMFS (/cvmfs/…), or None"
    if not isinstance(environment, (str, Path)):
        raise OptionError(f"environment={environment!r} is no environment; {allowed}")
    if folder_in(environment):
        return
    if sys.platform != "linux":
        raise OptionError(
            f"environment={str(environment)!r} needs packages for Linux, and this is {sys.platform}; attach from "
            "Linux, or build the packages into the image"
        )
    if environment == HERE:
        return
    path = Path(environment).expanduser()
    try:
        lines = path.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise OptionError(
            f"environment={str(environment)!r} cannot be read as a requirements file ({error}); {allowed}"
        ) from error
    for number, line in enumerate(lines, 1):
        requirement = re.sub(r"(^|\s)#.*", "", line).strip()
        if ELSEWHERE.search(requirement):
            raise OptionError(
                f"line {number} of {path}, {requirement!r}, is about something else on this machine; write all "
                f"requirements into one file (`pip freeze` does), or give environment={HERE!r}"
            )


def properties(
    environment: str | Path | None, storage: Storage, cvmfs: Cvmfs, say: Callable[[str], None]
) -> dict[str, str]:
    """Return the properties by which executors have the packages; they are packed and uploaded if they are not there.

    Args:
        environment: As `check` takes it.
        storage: The cluster's.
        cvmfs: The cluster's.
        say: Takes what is being done.

    Raises:
        AttachError: They cannot be brought there.
    """
    from ansible_collections.astrok8s.magnum.plugins.module_utils.storage import StorageError

    if environment is None:
        return {}
    if folder := folder_in(environment):
        return {f"spark.executorEnv.{VARIABLE}": cvmfs.site(folder)}
    if not storage.endpoint:
        raise AttachError(
            f"environment={str(environment)!r} goes to executors through object storage, and the cluster has none; "
            "provision it again with spark_storage_endpoint set to an S3, or build the packages into an image and give "
            "that as spark_base_image"
        )
    try:
        name = _of_this_python(storage, say) if environment == HERE else _of_file(Path(environment), storage, say)
    except StorageError as error:
        raise AttachError(f"the packages cannot be brought to executors: {error}") from error
    return {
        f"spark.executorEnv.{VARIABLE}": f"{storage.bucket}/{name}",
        "spark.executorEnv.AWS_ENDPOINT_URL": storage.endpoint,
        "spark.executorEnv.AWS_REGION": storage.region,
    }


def _of_this_python(storage: Storage, say: Callable[[str], None]) -> str:
    say("looking at the packages of this Python")
    packages = packages_of(distributions())
    if packages.missing:
        say(f"not for executors, since their files are not known here: {', '.join(packages.missing)}")
    name = _name(packages.digest)
    if not _bucket(storage).has(name):
        _upload(packages, name, storage, say)
    return name


def _of_file(path: Path, storage: Storage, say: Callable[[str], None]) -> str:
    text = path.expanduser().read_bytes()
    # versions that the file leaves open are decided once, when it is packed
    made_from = f"{sys.version_info.major}.{sys.version_info.minor} {sysconfig.get_platform()}\n".encode() + text
    name = _name(hashlib.sha256(made_from).hexdigest()[:32])
    if _bucket(storage).has(name):
        return name
    with tempfile.TemporaryDirectory(prefix="astrok8s-") as folder:
        say(f"installing what {path} asks for, for executors (first time)")
        _install(path.expanduser(), folder)
        _upload(packages_of(distributions(path=[folder])), name, storage, say)
    return name


def _name(digest: str) -> str:
    return f"{FOLDER}/{digest}.tar.zst"


def _bucket(storage: Storage) -> Bucket:
    """Return the user's bucket, which is there.

    Raises:
        StorageError: It does not answer.
        AttachError: It is not there.
    """
    bucket = bucket_of(storage, attempts=2)
    if not bucket.exists():
        raise AttachError(
            f"bucket {storage.bucket} at {storage.endpoint} is not there; provision the cluster again, which makes it"
        )
    return bucket


def _install(requirements: Path, folder: str) -> None:
    """Install into a folder, with this Python's pip.

    Raises:
        AttachError: pip cannot.
    """
    command = [sys.executable, "-m", "pip", "install", "--disable-pip-version-check", "--no-input", "--no-compile"]
    done = subprocess.run(
        [*command, "--target", folder, "--requirement", str(requirements)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        said = "\n".join(line[:LINE] for line in done.stdout.strip().splitlines()[-8:])
        raise AttachError(
            f"pip cannot install what {requirements} asks for; its last lines:\n{said}\nCorrect the file; "
            f"`python -m pip install --dry-run -r {requirements}` tries it."
        )


def packages_of(found: Iterable[Distribution]) -> Packages:
    """Return the files of distributions, and those of the modules that are installed as editable.

    Args:
        found: As Python finds them: of two with one name, it imports the first.
    """
    files: dict[str, Path] = {}
    recorded: dict[str, str] = {}
    packed: dict[str, bool] = {}
    for distribution in found:
        name = re.sub(r"[-_.]+", "-", distribution.name).lower()
        if name in packed or name in LEFT_OUT:
            continue
        its = list(_editable(distribution) if _is_editable(distribution) else _recorded(distribution))
        files |= {file: path for file, path, _ in its}
        recorded |= {file: known for file, _, known in its}
        packed[name] = bool(its)
    names, missing = (tuple(sorted(name for name in packed if packed[name] == there)) for there in (True, False))
    return Packages(files, recorded, names, missing)


def _recorded(distribution: Distribution) -> Iterator[tuple[str, Path, str]]:
    """Give what a distribution's RECORD names below its site-packages: name, file, and hash if it has one."""
    if distribution.read_text("RECORD") is None:
        return  # a system's own package: it does not say, or not rightly, what its files are
    for file in distribution.files or ():
        path = Path(str(distribution.locate_file(file)))
        # RECORD also has scripts, whose first lines name this Python
        if file.name != "RECORD" and _wanted(file) and path.is_file():
            yield file.as_posix(), path, file.hash.value if file.hash else ""


def _is_editable(distribution: Distribution) -> bool:
    origin = json.loads(distribution.read_text("direct_url.json") or "{}")
    return bool(origin.get("dir_info", {}).get("editable"))


def _editable(distribution: Distribution) -> Iterator[tuple[str, Path, str]]:
    """Give the files of an editable distribution's modules: those it names, or else the one of its name."""
    for module in (distribution.read_text("top_level.txt") or distribution.name.replace("-", "_")).split():
        spec = find_spec(module) if module.isidentifier() else None
        if spec is None:
            continue
        for folder in spec.submodule_search_locations or ():
            for path in Path(folder).rglob("*"):
                name = PurePosixPath(module, path.relative_to(folder).as_posix())
                if path.is_file() and _wanted(name):
                    yield name.as_posix(), path, ""
        if spec.origin and not spec.submodule_search_locations:
            yield Path(spec.origin).name, Path(spec.origin), ""


def _wanted(name: PurePosixPath) -> bool:
    """Return whether a file is for executors: it is importable there, and not compiled for this place."""
    if name.is_absolute() or ".." in name.parts or "__pycache__" in name.parts or name.suffix in (".pth", ".pyc"):
        return False
    # On PYTHONPATH, a backport would come before the standard library; in site-packages it came after it.
    module = name.parts[0]
    for suffix in (*EXTENSION_SUFFIXES, ".py"):
        module = module.removesuffix(suffix)
    return module not in sys.stdlib_module_names


def _upload(packages: Packages, name: str, storage: Storage, say: Callable[[str], None]) -> None:
    say(f"packing {len(packages.names)} packages for executors (first time)")
    with tempfile.TemporaryDirectory(prefix="astrok8s-") as folder:
        archive = Path(folder, "environment.tar.zst")
        try:
            pack(packages, archive)
        except OSError as error:
            raise AttachError(
                f"the packages cannot be packed ({error}); see whether {tempfile.gettempdir()} has room, or set TMPDIR "
                "to a folder that has"
            ) from error
        say(f"uploading {archive.stat().st_size / 1e6:.1f} MB to bucket {storage.bucket}")
        with archive.open("rb") as file:
            bucket_of(storage, UPLOAD_SECONDS, attempts=3).upload(name, file)


def pack(packages: Packages, archive: Path) -> None:
    """Write an archive that has nothing of the time and the place it is made at.

    Args:
        packages: What to pack.
        archive: The file to make: tar, compressed by zstd.
    """
    import pyarrow

    with (
        pyarrow.CompressedOutputStream(archive, "zstd") as compressed,
        tarfile.open(fileobj=compressed, mode="w|", format=tarfile.PAX_FORMAT) as tar,
    ):
        for name, path in sorted(packages.files.items()):
            with path.open("rb") as file:
                state = path.stat()
                entry = tarfile.TarInfo(name)
                entry.size = state.st_size
                entry.mode = 0o755 if state.st_mode & 0o100 else 0o644
                tar.addfile(entry, file)
