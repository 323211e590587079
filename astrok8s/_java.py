"""Spark's driver needs Java; this finds it, or says what to install."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from astrok8s._errors import AttachError

OLDEST = 17
"""What Spark 4 runs on."""

_REMEDY = f"install Java {OLDEST} (`apt-get install openjdk-17-jre-headless`), or set JAVA_HOME to one that is there"


def check_java() -> None:
    """Check that Spark will find a Java that it runs on, as it looks: JAVA_HOME, then PATH.

    Raises:
        AttachError: There is none, or it is too old.
    """
    home = os.environ.get("JAVA_HOME")
    java = shutil.which(str(Path(home, "bin", "java"))) if home else shutil.which("java")
    if java is None:
        where = f"JAVA_HOME={home} has no bin/java" if home else "there is no java on PATH and JAVA_HOME is not set"
        raise AttachError(f"Spark's driver needs Java, and {where}; {_REMEDY}")
    answer = subprocess.run([java, "-version"], capture_output=True, text=True, check=False)
    found = re.search(r'version "(?:1\.)?(\d+)', answer.stderr + answer.stdout)
    if answer.returncode or not found:
        raise AttachError(f"{java} -version fails ({answer.stderr.strip()}); {_REMEDY}")
    if int(found[1]) < OLDEST:
        raise AttachError(f"{java} is Java {found[1]}, and Spark's driver needs {OLDEST} or later; {_REMEDY}")
