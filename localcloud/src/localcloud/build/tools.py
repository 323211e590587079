"""The programs that builds call: where they are, and how they are run."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from importlib import resources
from pathlib import Path

from localcloud.build.errors import BuildError

Report = Callable[[str], None]

PROGRESS_SECONDS = 20
"""How often a command that takes long says how far it is."""

_SYSTEM_FOLDERS = ("/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/local/bin", "/usr/bin", "/bin")


def system_packages() -> list[str]:
    """Return the Debian packages that localcloud needs, as ``packages.txt`` lists them."""
    lines = (resources.files("localcloud") / "packages.txt").read_text().splitlines()
    return [package for line in lines if (package := line.split("#")[0].strip())]


def search_path() -> str:
    """Return ``PATH`` with what an ordinary user's or a service's lacks: this Python's folder, and sbin."""
    folders = [*os.environ.get("PATH", "").split(os.pathsep), str(Path(sys.executable).parent), *_SYSTEM_FOLDERS]
    return os.pathsep.join(dict.fromkeys(folder for folder in folders if folder))


def find(program: str, package: str) -> str:
    """Return the path of a program.

    Args:
        program: Its name.
        package: The Debian package that has it, for the message.

    Raises:
        BuildError: It is not there.
    """
    if path := shutil.which(program, path=search_path()):
        return path
    raise BuildError(
        f"the program {program} is needed to build localcloud's images and is in none of the folders of PATH "
        f"({search_path()}). Remedy: apt-get install {package}"
    )


def private(hidden: str = "", *, processes: bool = False) -> list[str | Path]:
    """Return words that run the command after them in a mount namespace of its own.

    What it leaves mounted goes away with it, and it dies with us.

    Args:
        hidden: A folder of the machine that the command would write to: it sees an empty one there.
        processes: Whether the processes that it starts die with it, too; SIGTERM does not reach it then.
    """
    package = "util-linux"
    words: list[str | Path] = [find("setpriv", package), "--pdeathsig", "KILL"]
    words += [find("unshare", package), "--mount", "--propagation", "private"]
    if processes:
        words += ["--pid", "--fork", "--kill-child", "--mount-proc"]
    if hidden:
        words += ["sh", "-c", 'mkdir -p "$0" && mount -t tmpfs tmpfs "$0" && exec "$@"', hidden]
    return words


def run(
    what: str,
    command: Sequence[str | Path],
    log: Path,
    report: Report,
    *,
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> None:
    """Run a command to its end, its output in a file; say how far it is when it takes long.

    Args:
        what: Its name in an error message.
        command: Program and arguments.
        log: Gets everything that the command prints.
        report: Takes the progress lines.
        folder: Where to run it.
        environment: What differs from ours.

    Raises:
        BuildError: It failed; the text ends with the last lines that it printed.
    """
    words = [str(word) for word in command]
    log.parent.mkdir(parents=True, exist_ok=True)
    started = reported = time.monotonic()
    with (
        log.open("w") as file,
        subprocess.Popen(
            words,
            cwd=folder,
            env={**os.environ, "PATH": search_path(), **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        ) as process,
    ):
        assert process.stdout is not None
        try:
            for line in process.stdout:
                file.write(line)
                now = time.monotonic()
                if line.strip() and now - reported > PROGRESS_SECONDS:
                    reported = now
                    report(f"  {now - started:.0f} s: {line.strip()[:100]}")
        except BaseException:
            process.kill()
            raise
    if process.returncode:
        tail = "\n".join(f"  {line}" for line in log.read_text(errors="replace").splitlines()[-15:])
        raise BuildError(
            f"{what} ended with exit code {process.returncode} after "
            f"{time.monotonic() - started:.0f} s. Its last lines were:\n{tail}\nRemedy: see {log}, then run it again"
        )


def output(command: Sequence[str | Path], remedy: str) -> str:
    """Return what a short command prints.

    Raises:
        BuildError: It failed.
    """
    words = [str(word) for word in command]
    done = subprocess.run(words, capture_output=True, text=True, env={**os.environ, "PATH": search_path()}, check=False)
    if done.returncode:
        said = done.stderr.strip() or done.stdout.strip()
        raise BuildError(f"{' '.join(words)} ended with exit code {done.returncode}: {said}. Remedy: {remedy}")
    return done.stdout


def numbers(version: str) -> tuple[int, ...]:
    """Return the leading numbers of a version: (1, 26, 8) of ``1.26.8`` or ``1.26.8-x``."""
    leading = re.match(r"[\d.]*", version)
    assert leading is not None
    return tuple(int(number) for number in leading[0].strip(".").split(".") if number)
