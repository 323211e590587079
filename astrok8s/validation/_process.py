"""The process of one notebook: runs it by papermill, and ends with whoever has started it.

usage: python -m astrok8s.validation._process, with a line of JSON on its standard input, which stays open meanwhile.
"""

import json
import os
import sys
import threading
from contextlib import suppress

import psutil

FAILED = 3
"""The exit code where a cell of the notebook failed."""


def main() -> int:
    """Runs the notebook that the standard input names.

    Returns:
        The exit code.
    """
    import papermill  # a second, which the starter has no use for

    # Not through sys.stdin: what waits for a line there would keep the interpreter from ending.
    with os.fdopen(os.dup(0), "rb", buffering=0) as given:
        job = json.loads(given.readline())
        threading.Thread(target=_end_with_starter, daemon=True).start()
        try:
            papermill.execute_notebook(
                **job,
                progress_bar=False,
                log_output=False,
                # The kernel listens on the loopback device only; it warns that it does.
                extra_arguments=["--IPKernelApp.log_level=ERROR"],
            )
        except papermill.PapermillExecutionError:
            return FAILED  # the executed notebook says the rest
    return 0


def _end_with_starter() -> None:
    """Ends all of it once nobody holds the other end of the standard input."""
    while os.read(0, 1):
        pass
    end(os.getpid())


def end(pid: int) -> None:
    """Ends a process and all that it has started, kernels and playbooks among it, which have sessions of their own.

    Args:
        pid: The process; it may be this one.
    """
    with suppress(psutil.NoSuchProcess):
        top = psutil.Process(pid)
        if pid != os.getpid():
            top.suspend()  # it starts nothing meanwhile
        # Again, since a child may just have started another one.
        while below := [child for child in top.children(recursive=True) if _runs(child)]:
            for process in below:
                with suppress(psutil.NoSuchProcess):
                    process.kill()
        top.kill()


def _runs(process: psutil.Process) -> bool:
    """Returns whether a process has not ended: nobody may have asked yet what became of it."""
    try:
        return process.status() not in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
    except psutil.NoSuchProcess:
        return False


if __name__ == "__main__":
    sys.exit(main())
