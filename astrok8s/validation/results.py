"""What came out of running notebooks."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from astrok8s.validation.notebooks import text

GOOD = ("passed", "skipped")
"""What a notebook may be in a run that passed. It may also have `failed`, `timed out`, or `not run`."""

_TRACEBACK_LINES = 30
# What papermill says of a cell that has begun. Of a kernel that died, the last cell stays as it was.
_BEGUN = ("running", "completed", "failed")
# What colours a terminal, and other characters that neither XML nor a reader knows.
_UNREADABLE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True)
class Failure:
    """Why a notebook did not pass.

    Attributes:
        cause: In one line.
        cell: The number of the cell where it ended, counted from 1 as in the notebook that was run; None for none.
        source: The code of that cell.
        traceback: The last lines of the traceback.
    """

    cause: str
    cell: int | None = None
    source: str = ""
    traceback: str = ""


@dataclass(frozen=True)
class Result:
    """What came out of one notebook.

    Attributes:
        name: The notebook's name.
        title: Its first heading.
        status: One of `GOOD`, or else.
        seconds: How long it took.
        executed: Where the executed notebook is, relative to the folder of the report; empty for nowhere.
        failure: Why it did not pass, or why it was skipped; None where it passed.
    """

    name: str
    title: str
    status: str
    seconds: float = 0.0
    executed: str = ""
    failure: Failure | None = None


@dataclass
class Run:
    """A run of notebooks.

    Attributes:
        id: Its name, which begins with when it began: 20261224T180000-1f2e3d.
        cloud: The entry of clouds.yaml.
        status: `running`, and at its end `passed`, `failed` or `interrupted`; `killed` as the next run finds it.
        seconds: How long it took.
        versions: The versions of what took part, by name.
        results: What came out of each notebook, in the order of their names.
        left: What was found of earlier runs that were killed, and what became of it; sentences.
        problems: What else went wrong, such as a cluster that could not be destroyed; sentences.
        told: What those who are told of changes know to be wrong, as of `wrong`.
    """

    id: str
    cloud: str
    status: str = "running"
    seconds: float = 0.0
    versions: dict[str, str] = field(default_factory=dict)
    results: list[Result] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    told: list[str] = field(default_factory=list)

    @property
    def prefix(self) -> str:
        """How the names of its clusters begin."""
        return f"validation-{self.id.rpartition('-')[2]}"

    @property
    def passed(self) -> bool:
        """Whether all is as it should be."""
        return not self.problems and all(result.status in GOOD for result in self.results)

    def wrong(self) -> list[str]:
        """Returns the names of the notebooks that did not pass, and `clusters` for what else went wrong."""
        names = [result.name for result in self.results if result.status not in GOOD]
        return sorted(names) + (["clusters"] if self.problems else [])

    def owns(self, cluster: str) -> bool:
        """Returns whether a cluster is of this run, by its name."""
        return cluster.startswith(f"{self.prefix}-")

    def set(self, result: Result) -> None:
        """Takes the result of a notebook instead of the one that it had."""
        self.results = [result if other.name == result.name else other for other in self.results]

    def tell(self) -> dict[str, Any]:
        """Returns it for JSON."""
        return asdict(self)

    @classmethod
    def read(cls, told: Mapping[str, Any]) -> "Run":
        """Returns what `tell` has told."""
        results = [
            Result(**entry | {"failure": Failure(**entry["failure"]) if entry["failure"] else None})
            for entry in told["results"]
        ]
        return cls(**{**told, "results": results})


def readable(said: str) -> str:
    """Returns a text without what colours a terminal, and without other characters that XML does not know."""
    return _UNREADABLE.sub("", said)


def failure_of(executed: Mapping[str, Any], original: Mapping[str, Any]) -> Failure | None:
    """Returns where an executed notebook ended, as papermill has left it; None where it has not begun.

    Args:
        executed: The notebook that papermill has written.
        original: The notebook that was run, whose cells a reader counts.
    """
    numbers = {cell.get("id"): number for number, cell in enumerate(original["cells"], 1)}
    last = None  # where a kernel that has died was
    for cell in executed["cells"]:
        state = cell.get("metadata", {}).get("papermill", {})
        if cell.get("cell_type") == "code" and state.get("status") in _BEGUN:
            last = Failure("", numbers.get(cell.get("id")), readable(text(cell["source"])))
        if last and (errors := [output for output in cell.get("outputs", []) if output["output_type"] == "error"]):
            return replace(last, cause=_cause(errors[-1]), traceback=_traceback(errors[-1]))
    return last


def _cause(error: Mapping[str, Any]) -> str:
    """Returns the first line of what an error says; some are their own name."""
    said = ": ".join(part for part in (error["ename"], error["evalue"]) if part)
    return readable(said).strip().partition("\n")[0]


def _traceback(error: Mapping[str, Any]) -> str:
    """Returns the last lines of the traceback of an error."""
    return readable("\n".join("\n".join(error["traceback"]).splitlines()[-_TRACEBACK_LINES:]))
