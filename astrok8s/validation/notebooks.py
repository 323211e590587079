"""The notebooks that there are, and what each says that it needs."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from astrok8s._content import content_dir
from astrok8s.errors import OptionError
from astrok8s.lifetimes import check_duration

CLUSTERS = ("shared", "own", "none")
"""What a notebook may ask for: a cluster that others use, too; the name of one that it makes itself; neither."""

_KNOWN = {"cluster", "needs", "timeout"}


@dataclass(frozen=True)
class Notebook:
    """A notebook, and what its metadata (`metadata.astrok8s`) says that it needs.

    Attributes:
        path: Where it is.
        title: Its first heading; its name if it has none.
        cluster: One of `CLUSTERS`.
        needs: Options of the roles that its cluster must have been given.
        timeout_s: How long it may take, in seconds.
        parameters: The names of its parameters.
    """

    path: Path
    title: str
    cluster: str
    needs: tuple[str, ...]
    timeout_s: float
    parameters: frozenset[str]

    @property
    def name(self) -> str:
        """Its name, by which it is chosen."""
        return self.path.stem

    @classmethod
    def read(cls, path: Path) -> "Notebook":
        """Reads a notebook.

        Raises:
            OptionError: It is no notebook, or its metadata says what nobody understands.
        """
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            cells = [(cell, text(cell["source"])) for cell in content["cells"]]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise OptionError("folder", f"{path} is no notebook: {error!r}.", remedy="Mend it or remove it.") from error
        told = content.get("metadata", {}).get("astrok8s", {})
        cluster = told.get("cluster", "shared")
        if wrong := sorted({*told} - _KNOWN) or ([cluster] if cluster not in CLUSTERS else []):
            fact = f"The metadata astrok8s of {path} says {wrong[0]!r}, which nobody understands."
            remedy = f"It may have {', '.join(sorted(_KNOWN))}, and cluster is {', '.join(CLUSTERS)}."
            raise OptionError("folder", fact, remedy=remedy)
        tagged = (source for cell, source in cells if "parameters" in cell.get("metadata", {}).get("tags", []))
        headings = (found[1] for _, source in cells if (found := re.match(r"# (.+)", source)))
        return cls(
            path,
            title=next(headings, path.stem),
            cluster=cluster,
            needs=tuple(told.get("needs", ())),
            timeout_s=seconds_of(told.get("timeout", "10m")),
            parameters=frozenset(re.findall(r"^(\w+) *=", "\n".join(tagged), re.MULTILINE)),
        )

    def lacks(self, options: Iterable[str]) -> list[str]:
        """Returns the options that it needs and that were not given."""
        return sorted({*self.needs} - {*options})


def seconds_of(duration: str) -> float:
    """Returns the seconds of a duration such as `90s` or `10m`.

    Raises:
        OptionError: It is none.
    """
    from ansible_collections.astrok8s.magnum.plugins.module_utils import lifetime

    check_duration(duration)
    return lifetime.duration(duration).total_seconds()


def text(source: str | list[str]) -> str:
    """Returns a text of a notebook, which may be kept as a list of lines."""
    return source if isinstance(source, str) else "".join(source)


def find(folder: Path | None = None) -> list[Notebook]:
    """Returns the notebooks of a folder, in the order of their names.

    Args:
        folder: Where to look; the notebooks of astrok8s if None.

    Raises:
        OptionError: There are none, or one cannot be read.
    """
    folder = folder or content_dir() / "notebooks"
    found = [Notebook.read(path) for path in sorted(folder.glob("*.ipynb"))]
    if not found:
        raise OptionError("folder", f"There is no notebook in {folder}.", remedy="Name another folder: --folder.")
    return found


def choose(notebooks: list[Notebook], only: Iterable[str], parameters: Mapping[str, Any]) -> list[Notebook]:
    """Returns the notebooks to run.

    Args:
        notebooks: Those that there are.
        only: The names of those that are wanted; all if empty.
        parameters: The parameters that are given.

    Raises:
        OptionError: There is none of such a name, or none that has such a parameter.
    """
    names = {notebook.name for notebook in notebooks}
    wanted = {name.removesuffix(".ipynb") for name in only} or names
    if unknown := sorted(wanted - names):
        remedy = f"There are: {', '.join(sorted(names))}."
        raise OptionError("only", f"There is no notebook {unknown[0]}.", remedy=remedy)
    chosen = [notebook for notebook in notebooks if notebook.name in wanted]
    for name in parameters:
        if not any(name in notebook.parameters for notebook in chosen):
            known = ", ".join(sorted(frozenset[str]().union(*(notebook.parameters for notebook in chosen))))
            fact = f"None of the notebooks has a parameter {name}."
            raise OptionError(name, fact, remedy=f"They have: {known or 'none'}.")
    return chosen
