"""Fetches the packages of a notebook's Python from object storage, before a driver or an executor starts.

usage: environment.py BUCKET/NAME FOLDER

The object is a tar archive of regular files, compressed by zstd, as astrok8s.attach(environment=…) makes it. S3 is at
AWS_ENDPOINT_URL in AWS_REGION; the key is in the file AWS_SHARED_CREDENTIALS_FILE.
"""

from __future__ import annotations

import os
import shutil
import sys
import tarfile
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

PART = 8 * 2**20
"""Bytes of a request: each has its own signature to check."""

CONNECT_SECONDS = 10.0
"""For a connection to S3; many executors may start together."""


def open_object(name: str) -> Any:
    """Return a stream of an object.

    Args:
        name: BUCKET/NAME.
    """
    os.environ["AWS_EC2_METADATA_DISABLED"] = "true"  # the key is in a file, or nowhere
    from pyarrow.fs import S3FileSystem

    url = urlsplit(os.environ["AWS_ENDPOINT_URL"])
    s3 = S3FileSystem(
        scheme=url.scheme,
        endpoint_override=url.netloc,
        region=os.environ["AWS_REGION"],
        connect_timeout=CONNECT_SECONDS,
    )
    # compressed as it is: else pyarrow goes by the name, and decompresses
    return s3.open_input_stream(name, compression=None, buffer_size=PART)


def unpack(stream: Any, folder: Path) -> int:
    """Unpack an archive while it arrives; return the number of its files.

    Args:
        stream: The archive, compressed.
        folder: Where to; made if it is not there.

    Raises:
        ValueError: The archive has something else than files below the folder.
    """
    import pyarrow

    count = 0
    # by hand: tarfile's own filters came with Python 3.11.4, and only regular files are expected
    with pyarrow.CompressedInputStream(stream, "zstd") as plain, tarfile.open(fileobj=plain, mode="r|") as archive:
        for member in archive:
            name = PurePosixPath(member.name)
            if not member.isfile() or name.is_absolute() or ".." in name.parts:
                raise ValueError(f"the archive has {member.name!r}, which is no file below its folder")
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("wb") as file:
                shutil.copyfileobj(archive.extractfile(member), file)
            path.chmod(member.mode & 0o777)
            count += 1
    return count


def main(name: str, folder: str) -> int:
    """Fetch and unpack; return the exit code."""
    where = f"the packages of attach(environment=…), {name} at {os.environ.get('AWS_ENDPOINT_URL')}"
    try:
        with open_object(name) as stream:
            count = unpack(stream, Path(folder))
    except FileNotFoundError:
        print(f"{where}, are not there any more: call spark.stop() and attach again, which packs them", file=sys.stderr)
    except KeyError as error:
        print(f"{where}, cannot be brought here: {error} is not set; attach sets it", file=sys.stderr)
    except (OSError, ValueError, tarfile.TarError) as error:
        print(
            f"{where}, cannot be brought here: {error}\nSee whether object storage is up and the node's disk has room; "
            "if the object is damaged, delete it; then attach again.",
            file=sys.stderr,
        )
    else:
        print(f"{count} files of {name} are in {folder}", flush=True)
        return 0
    return 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
