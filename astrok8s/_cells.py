"""How far the jobs of a cell are, for JupyterLab's plugin; nothing is written into the notebook.

Without the plugin nobody is told. It opens a comm, which is a kernel's own way to talk to what shows its notebook.
"""

import functools
import sys
import threading
import time
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyspark import SparkContext

_TARGET = "astrok8s"
# What is over at once is no news, and a page need not be painted more often.
_AT_ONCE_S = 1.0
_EVERY_S = 0.5
_PAGES = 8  # that show the notebook: one that was closed or loaded anew may not have said so


@dataclass(frozen=True)
class Stage:
    """How far a stage is.

    Attributes:
        tasks: How many it has.
        done: How many of them are done.
    """

    tasks: int
    done: int


class Jobs:
    """The jobs of a driver in this process, since a cell began.

    Args:
        context: The driver.
    """

    def __init__(self, context: "SparkContext") -> None:
        self._context = context
        self._tracker = context.statusTracker()
        self._before = -1
        self._over: set[int] = set()

    def begin(self) -> None:
        """Begins anew: what was there before belongs to other cells."""
        self._over.clear()
        self._before = max(self._ids(), default=-1)

    def stages(self) -> dict[int, Stage]:
        """Returns the stages of jobs that run, or have ended since this was asked."""
        found = {}
        for job in self._ids() - self._over:
            if job <= self._before or (info := self._tracker.getJobInfo(job)) is None:
                continue
            if info.status != "RUNNING":
                self._over.add(job)
            for number in list(info.stageIds):
                if stage := self._tracker.getStageInfo(number):
                    found[number] = Stage(stage.numTasks, stage.numCompletedTasks)
        return found

    def cancel(self) -> None:
        """Ends all that run: of an interrupted cell Spark knows nothing, and would go on."""
        self._context.cancelAllJobs()

    def _ids(self) -> set[int]:
        return {*self._tracker.getJobIdsForGroup(None), *self._tracker.getActiveJobsIds()}


class Cells:
    """The cells that a kernel runs.

    Args:
        shell: IPython's in the kernel.
    """

    def __init__(self, shell: Any) -> None:
        from comm import get_comm_manager

        self._kernel = shell.kernel
        self._pages: deque[Any] = deque(maxlen=_PAGES)
        self._jobs: Jobs | None = None
        self._cell = ""
        self._began = self._told = 0.0
        self._stages: dict[int, Stage] = {}
        self._lock = threading.RLock()  # one thread runs the cell, another one looks
        get_comm_manager().register_target(_TARGET, lambda page, _: self._pages.append(page))
        shell.events.register("pre_run_cell", self._begin)
        shell.events.register("post_run_cell", self._end)

    def follow(self, context: "SparkContext") -> None:
        """Has the jobs of a driver in this process told, and ended with a cell that is interrupted."""
        self._jobs = Jobs(context)

    def see(self, stages: Mapping[int, Stage]) -> None:
        """Is told, every now and then, how far stages are."""
        with self._lock:
            self._stages.update(stages)
            now = time.monotonic()
            if self._cell and now - self._began > _AT_ONCE_S and now - self._told > _EVERY_S:
                self._tell(over=False)

    def look(self) -> None:
        """Looks at the driver in this process, if there is one.

        Raises:
            Py4JError: It has ended.
            OSError: It has ended.
        """
        with self._lock:
            if self._jobs and self._cell:
                self.see(self._jobs.stages())

    def _begin(self, _: Any) -> None:
        with self._lock:
            self._stages = {}
            self._cell = self._kernel.get_parent("shell")["header"]["msg_id"]
            self._began, self._told = time.monotonic(), 0.0
            self._ask(Jobs.begin)

    def _end(self, result: Any) -> None:
        with self._lock:
            if isinstance(result.error_in_exec, KeyboardInterrupt):
                self._ask(Jobs.cancel)
            if self._cell and time.monotonic() - self._began > _AT_ONCE_S:
                self._ask(lambda jobs: self._stages.update(jobs.stages()))
                self._tell(over=True)
            self._cell = ""

    def _ask(self, what: Any) -> None:
        """Asks the driver in this process; it may have ended, and then it is forgotten."""
        from py4j.protocol import Py4JError

        if self._jobs:
            try:
                what(self._jobs)
            except (Py4JError, OSError, AttributeError):  # the last where the session was stopped
                self._jobs = None

    def _tell(self, *, over: bool) -> None:
        told = summary(self._stages)
        if not told["tasks"]:
            return
        self._told = time.monotonic()
        told |= {"cell": self._cell, "seconds": self._told - self._began, "over": over}
        for page in list(self._pages):
            with suppress(Exception):  # whatever becomes of a page, the cell goes on
                page.send(told)


def summary(stages: Mapping[int, Stage]) -> dict[str, Any]:
    """Returns how far stages are together.

    Spark counts also those that it skips, since an earlier job has made what they would: those that have not begun,
    though later ones have. They are left out here.

    Args:
        stages: By their numbers; Spark gives lower ones to what others need.

    Returns:
        `stage`, the one that runs, of `stages`, and `done` of `tasks`.
    """
    begun = max((number for number, stage in stages.items() if stage.done), default=-1)
    real = [stage for number, stage in stages.items() if stage.done or number > begun]
    ended = sum(stage.done == stage.tasks for stage in real)
    told = {"stage": min(ended + 1, len(real)), "stages": len(real)}
    return told | {"tasks": sum(stage.tasks for stage in real), "done": sum(stage.done for stage in real)}


@functools.cache
def here() -> Cells | None:
    """Returns the cells of this process; None where it is no kernel."""
    if "IPython" not in sys.modules:
        return None
    from IPython.core.getipython import get_ipython

    shell: Any = get_ipython()
    return Cells(shell) if hasattr(shell, "kernel") else None
