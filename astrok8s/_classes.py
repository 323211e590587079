"""The archive of classes that a driver in this process loads: kept for the next one, which starts in less time.

Java writes down what it has loaded when it ends, and its next start maps that file. It must find the same jars at the
same places: an archive is of one Python environment, and goes with it.
"""

import os
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

from astrok8s._private import cache

# Java writes the head of the file last (OpenJDK, src/hotspot/share/cds/dynamicArchive.cpp, `write_archive`): what has
# none is not whole, be it that it is being written, or that its Java was killed.
_HEAD = 4
# What Spark's launcher adds to the class path (org.apache.spark.launcher.AbstractCommandBuilder): an archive that is
# made with it fits nothing else.
_ADDED = ("HADOOP_CONF_DIR", "YARN_CONF_DIR", "SPARK_DIST_CLASSPATH")


def options(jars: Path, java: str) -> str:
    """Returns Java's options: to use the archive, or to make it where there is none.

    Args:
        jars: The folder of Spark's jars.
        java: What Java says that it is.
    """
    listed = sorted((jar.name, jar.stat().st_size, jar.stat().st_mtime_ns) for jar in jars.iterdir())
    added = [os.environ.get(name) for name in _ADDED]
    key = sha256(repr((java, str(jars), listed, added)).encode()).hexdigest()[:32]
    try:
        archive = _archive(jars, key)
    except OSError:  # a home that cannot be written costs the time that an archive saves
        return ""
    how = "SharedArchiveFile" if _is_whole(archive) else "ArchiveClassesAtExit"
    # Without a line for each class that Java leaves out.
    return f'"-XX:{how}={archive}" -Xlog:cds*=off'


def _is_whole(archive: Path) -> bool:
    try:
        with archive.open("rb") as file:
            return any(file.read(_HEAD))
    except FileNotFoundError:
        return False


def _archive(jars: Path, key: str) -> Path:
    """Returns the path of an archive; those whose jars are gone go."""
    folder = cache("classes")
    for link in folder.glob("*.jars"):
        if not link.exists():
            link.with_suffix(".jsa").unlink(missing_ok=True)
            link.unlink(missing_ok=True)
    with suppress(FileExistsError):
        (folder / f"{key}.jars").symlink_to(jars)
    return folder / f"{key}.jsa"
