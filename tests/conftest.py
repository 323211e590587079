"""What holds for all tests."""

import signal

import pytest
from boxes import left_over


def pytest_configure() -> None:
    # CI ends a run that is too long with SIGTERM: leave by the fixtures then, so that no box of a test stays behind.
    signal.signal(signal.SIGTERM, lambda *_: pytest.exit("terminated", returncode=143))
    for box in left_over():  # a run that was killed could not
        box.localcloud("destroy")
