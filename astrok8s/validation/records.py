"""The folder of runs: what came out of the last ones, and which were killed.

report.html, junit.xml, report.json   of the latest run
runs/ID/report.json                   of each of the last 30
runs/ID/NAME.ipynb                    executed notebooks: of the latest run, and of those that did not pass
"""

import fcntl
import json
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from astrok8s import _private
from astrok8s.errors import OptionError
from astrok8s.validation.results import Run

KEPT = 30
"""How many runs are kept."""


class Records:
    """The folder of runs.

    Args:
        output: The folder.
    """

    def __init__(self, output: Path) -> None:
        self.output = output.resolve()
        self._runs = self.output / "runs"

    @contextmanager
    def begin(self, cloud: str) -> Iterator[Run]:
        """Gives a new run. While it is held, others know that its process is there.

        Args:
            cloud: The entry of clouds.yaml.

        Raises:
            OptionError: Nothing can be written there.
        """
        run = Run(f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(3)}", cloud)
        before = [earlier.told for earlier in self.runs() if earlier.cloud == cloud]
        run.told = before[-1] if before else []
        try:
            self.folder(run).mkdir(parents=True)
        except OSError as error:
            raise OptionError("output", f"{error}.", remedy="Name another folder: --output.") from error
        lock = os.open(self.folder(run), os.O_RDONLY)  # the kernel takes it back, however the process ends
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self.write(run)
            yield run
        finally:
            os.close(lock)

    def folder(self, run: Run) -> Path:
        """Returns the folder of a run."""
        return self._runs / run.id

    def write(self, run: Run) -> None:
        """Writes down what a run has come to."""
        content = json.dumps(run.tell(), indent=2, ensure_ascii=False) + "\n"
        _private.replace(self.folder(run) / "report.json", content.encode())

    def runs(self) -> list[Run]:
        """Returns the runs that there are, the latest last."""
        found = []
        for path in sorted(self._runs.glob("*/report.json")):
            with suppress(OSError, ValueError, TypeError, KeyError):  # of another version, or removed just now
                found.append(Run.read(json.loads(path.read_text(encoding="utf-8"))))
        return found

    def killed(self) -> list[Run]:
        """Returns the runs whose process ended without saying so."""
        return [run for run in self.runs() if run.status == "running" and not self._is_held(run)]

    def prune(self, latest: Run) -> None:
        """Removes what is not kept: old runs, and what passed in those before the latest."""
        runs = [run for run in self.runs() if run.status != "running"]
        for run in runs[:-KEPT]:
            shutil.rmtree(self.folder(run), ignore_errors=True)
        for run in runs[-KEPT:]:
            for result in run.results:
                if run.id != latest.id and result.status == "passed":
                    (self.folder(run) / f"{result.name}.ipynb").unlink(missing_ok=True)
                    shutil.rmtree(self.folder(run) / result.name, ignore_errors=True)

    def _is_held(self, run: Run) -> bool:
        """Returns whether the process of a run is there."""
        lock = os.open(self.folder(run), os.O_RDONLY)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(lock)
        return False
