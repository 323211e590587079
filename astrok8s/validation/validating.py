"""The story of a run: a cluster is made, the notebooks run on it, it is taken away, and the report is written."""

import asyncio
import importlib.util
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from astrok8s import provisioning
from astrok8s._cloud import cloud_name
from astrok8s.clusters import get_cluster, list_clusters
from astrok8s.errors import AstroK8sError, OptionError
from astrok8s.validation import reporting, telling, versions
from astrok8s.validation.executing import execute
from astrok8s.validation.notebooks import Notebook
from astrok8s.validation.records import Records
from astrok8s.validation.results import Failure, Result, Run
from astrok8s.validation.telling import Listeners

Say = Callable[[str], None]

# What a cluster lives beyond all time limits, if its run is killed and no other one comes.
_SPARE_S = 1800


@dataclass(frozen=True)
class Plan:
    """What is to be run, and how.

    Attributes:
        notebooks: The notebooks.
        output: The folder that gets the report.
        cloud: The entry of clouds.yaml; `$OS_CLOUD`, else `local`, if None.
        cluster: A cluster that is there, for the notebooks that share one; it stays. If None, one is made.
        parallel: How many notebooks run at a time.
        timeout_s: How long each may take, in seconds; as long as it says itself if None.
        options: Options of the roles for clusters, as of `provision`.
        parameters: Parameters for the notebooks that have them.
        listeners: Who is told when notebooks begin to fail, and when they are well again.
    """

    notebooks: list[Notebook]
    output: Path
    cloud: str | None = None
    cluster: str | None = None
    parallel: int = 1
    timeout_s: float | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    parameters: Mapping[str, Any] = field(default_factory=dict)
    listeners: Listeners = field(default_factory=Listeners)

    def skipped(self, notebook: Notebook) -> str:
        """Returns why a notebook is not run; empty where it is. Whoever names a cluster knows what it has."""
        lacks = notebook.lacks(self.options)
        if not lacks or (self.cluster and notebook.cluster == "shared"):
            return ""
        return f"Its cluster needs {', '.join(lacks)}: give -o {lacks[0]}=…."

    def limit_s(self, notebook: Notebook) -> float:
        """Returns how long a notebook may take, in seconds."""
        return self.timeout_s or notebook.timeout_s


def validate(plan: Plan, say: Say = lambda _: None) -> Run:
    """Runs notebooks, and writes the report.

    Args:
        plan: What is to be run.
        say: Takes what is being done.

    Returns:
        What came out; the reports are in the folder of the plan.

    Raises:
        OptionError: Something that was given cannot be taken; nothing was run.
        AstroK8sError: papermill is not installed.
    """
    if not importlib.util.find_spec("papermill"):
        remedy = "Install it: pip install 'astrok8s[notebooks]'."
        raise AstroK8sError("papermill, which runs notebooks, is not installed here.", remedy=remedy)
    provisioning.check("validation", cloud=plan.cloud, **plan.options)
    if all(plan.skipped(notebook) for notebook in plan.notebooks):
        raise OptionError("only", "No notebook can run.", remedy=plan.skipped(plan.notebooks[0]))
    records = Records(plan.output)
    with records.begin(cloud_name(plan.cloud)) as run, _terminated_as_interrupted():
        _Validation(plan, records, run, say).run()
    return run


@contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """Takes SIGTERM as Ctrl-C: what was made is taken away. Only the main thread gets one."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


class _Validation:
    """One run.

    Args:
        plan: What is to be run.
        records: Where it is written down.
        run: What comes out.
        say: Takes what is being done.
    """

    def __init__(self, plan: Plan, records: Records, run: Run, say: Say) -> None:
        self._plan, self._records, self._run, self._say = plan, records, run, say
        self._start = time.monotonic()

    def run(self) -> None:
        """Runs it."""
        run = self._run
        run.versions = versions.of_here()
        run.results = [self._planned(notebook) for notebook in self._plan.notebooks]
        self._records.write(run)
        interrupted = False
        try:
            self._end_killed()
            shared = self._shared()
            if shared:
                run.versions |= versions.of_cluster(shared, run.cloud)
            asyncio.run(self._execute(shared))
        except KeyboardInterrupt:
            interrupted = True
        finally:
            if self._makes_clusters():
                self._destroy(run)
            run.seconds = time.monotonic() - self._start
            run.status = "interrupted" if interrupted else "passed" if run.passed else "failed"
            self._records.write(run)
            self._records.prune(run)
            reporting.write(self._records, run)
            self._tell()

    def _tell(self) -> None:
        """Tells what has changed, and writes down that it was told."""
        for unreached in telling.tell(self._run, self._plan.listeners, self._records.output / reporting.PAGE):
            self._say(unreached)
        self._records.write(self._run)

    def _makes_clusters(self) -> bool:
        """Returns whether this run may have made clusters."""
        wanted = {notebook.cluster for notebook in self._plan.notebooks}
        return "own" in wanted or ("shared" in wanted and not self._plan.cluster)

    def _planned(self, notebook: Notebook) -> Result:
        """Returns the result of a notebook that has not run."""
        why = self._plan.skipped(notebook)
        failure = Failure(why or "The run ended before.")
        return Result(notebook.name, notebook.title, "skipped" if why else "not run", failure=failure)

    def _end_killed(self) -> None:
        """Destroys the clusters that runs left which were killed."""
        for killed in self._records.killed():
            before = len(self._run.problems)
            gone = self._destroy(killed)
            if len(self._run.problems) > before:
                continue  # the next run tries again
            done = f"its clusters are destroyed: {', '.join(gone)}" if gone else "none of its clusters is there"
            self._run.left.append(f"The run {killed.id} was killed; {done}.")
            self._say(self._run.left[-1])
            self._records.write(replace(killed, status="killed"))

    def _shared(self) -> str | None:
        """Returns the cluster that notebooks share; None where there is none, or none is needed."""
        wants = [each for each in self._plan.notebooks if each.cluster == "shared" and not self._plan.skipped(each)]
        if not wants:
            return None
        cloud, name = self._run.cloud, self._plan.cluster or f"{self._run.prefix}-shared"
        try:
            if self._plan.cluster:
                return get_cluster(name, cloud=cloud).name
            self._say(f"making cluster {name}")
            limits = sum(self._plan.limit_s(notebook) for notebook in self._plan.notebooks)
            life: dict[str, Any] = {"size": 2, "ttl": f"{limits + _SPARE_S:.0f}s"}
            return provisioning.provision(name, cloud=cloud, **{**life, **self._plan.options}).name
        except AstroK8sError as error:
            fact = f"There is no cluster {name} for the notebooks: {error}"
            self._run.problems.append(fact)
            for notebook in wants:
                self._take(Result(notebook.name, notebook.title, "failed", failure=Failure(fact)))
            return None

    async def _execute(self, shared: str | None) -> None:
        """Runs the notebooks."""
        free = asyncio.Semaphore(self._plan.parallel)
        waiting = {result.name for result in self._run.results if result.status == "not run"}

        async def run(notebook: Notebook, own: str) -> None:
            async with free:
                await self._execute_one(notebook, shared if notebook.cluster == "shared" else own)
                if notebook.cluster == "own":
                    await asyncio.to_thread(self._destroy, self._run, own)

        async with asyncio.TaskGroup() as tasks:
            for number, notebook in enumerate(self._plan.notebooks, 1):
                if notebook.name in waiting:
                    tasks.create_task(run(notebook, f"{self._run.prefix}-{number}-{notebook.name}"))

    async def _execute_one(self, notebook: Notebook, cluster: str | None) -> None:
        """Runs a notebook, with the parameters that it has."""
        run, folder = self._run, self._records.folder(self._run)
        output = str(folder / notebook.name)
        given = {"cluster": cluster, "cloud": run.cloud, "output": output, "options": dict(self._plan.options)}
        given |= self._plan.parameters
        parameters = {name: value for name, value in given.items() if name in notebook.parameters}
        self._say(f"running {notebook.name}")
        result = await execute(notebook, parameters, folder, self._plan.limit_s(notebook))
        self._take(replace(result, executed=result.executed and f"runs/{run.id}/{result.executed}"))

    def _take(self, result: Result) -> None:
        """Takes a result."""
        self._run.set(result)
        self._records.write(self._run)
        cause = f": {result.failure.cause}" if result.failure else ""
        self._say(f"{result.name} {result.status} after {result.seconds:.1f} s{cause}")

    def _destroy(self, run: Run, beginning: str = "") -> list[str]:
        """Destroys clusters of a run, whose names begin so, and returns them. What goes wrong is a problem here."""
        gone: list[str] = []
        try:
            for cluster in list_clusters(cloud=run.cloud):
                if run.owns(cluster.name) and cluster.name.startswith(beginning):
                    self._say(f"destroying cluster {cluster.name}")
                    provisioning.destroy(cluster.name, cloud=run.cloud, quiet=True)
                    gone.append(cluster.name)
        except AstroK8sError as error:
            self._run.problems.append(f"Clusters of the run {run.id} may be left: {error}")
        return gone
