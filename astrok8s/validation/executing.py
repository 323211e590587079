"""Runs one notebook in a process of its own, with a time limit."""

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any

from astrok8s.validation._process import FAILED, end
from astrok8s.validation.notebooks import Notebook
from astrok8s.validation.results import Failure, Result, failure_of, readable


async def execute(notebook: Notebook, parameters: dict[str, Any], folder: Path, timeout_s: float) -> Result:
    """Runs a notebook; returns what came out. Its process ends with this one, however that ends.

    Args:
        notebook: The notebook.
        parameters: Its parameters.
        folder: The folder that gets the executed notebook, and what it printed where that is an error.
        timeout_s: How long it may take, in seconds.
    """
    executed, printed = folder / notebook.path.name, folder / f"{notebook.name}.log"
    job = {"input_path": str(notebook.path), "output_path": str(executed), "parameters": parameters}
    start = time.monotonic()
    with printed.open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", __name__.replace("executing", "_process")),
            stdin=asyncio.subprocess.PIPE,
            stdout=log,
            stderr=log,
            start_new_session=True,  # Ctrl-C is for whoever has started it
        )
        try:
            assert process.stdin  # noqa: S101 - it is a pipe
            process.stdin.write(json.dumps(job).encode() + b"\n")
            code: int | None = await asyncio.wait_for(process.wait(), timeout_s)
        except TimeoutError:
            code = None
        finally:
            if process.returncode is None:
                end(process.pid)
                await process.wait()
    seconds = time.monotonic() - start
    if code in (0, FAILED):
        printed.unlink()  # the notebook has it all
    if code == 0:
        return Result(notebook.name, notebook.title, "passed", seconds, executed.name)
    found = _failure(notebook, executed)
    if code is None:
        failure = Failure(f"It took longer than {timeout_s:g} s.", *_where(found))
    elif code == FAILED and found:
        failure = found
    else:
        last = readable(printed.read_text(errors="replace")).strip().splitlines()[-20:]
        cause = f"Its process ended with exit code {code}: {last[-1] if last else 'it printed nothing'}"
        failure = Failure(cause, *_where(found, "\n".join(last)))
    status = "timed out" if code is None else "failed"
    return Result(notebook.name, notebook.title, status, seconds, executed.name if executed.exists() else "", failure)


def _failure(notebook: Notebook, executed: Path) -> Failure | None:
    """Returns where an executed notebook ended; None where nothing says it."""
    try:
        done = json.loads(executed.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return failure_of(done, json.loads(notebook.path.read_text(encoding="utf-8")))


def _where(found: Failure | None, instead: str = "") -> tuple[int | None, str, str]:
    """Returns the cell where a notebook ended, and its traceback, or what is to be shown instead."""
    return (found.cell, found.source, found.traceback or instead) if found else (None, "", instead)
