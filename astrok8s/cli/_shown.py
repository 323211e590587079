"""What commands show: tables for people, JSON for programs, errors in one message."""

import dataclasses
import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from astrok8s.errors import AstroK8sError, OptionError, ProvisionError

if TYPE_CHECKING:
    from astrok8s.clusters import Cluster

out = Console(highlight=False)
err = Console(stderr=True, highlight=False, soft_wrap=True)


def table(clusters: "Iterable[Cluster]") -> Table:
    """Returns a table of clusters."""
    rows = Table("cluster", "status", "workers", "nodes", "cloud")
    for cluster in clusters:
        colour = {"COMPLETE": "green", "FAILED": "red"}.get(cluster.status.rsplit("_", 1)[-1], "yellow")
        status = f"[{colour}]{cluster.status}[/]"
        rows.add_row(escape(cluster.name), status, str(cluster.size), " ".join(cluster.nodes), escape(cluster.cloud))
    return rows


def show(rows: Table, otherwise: str) -> None:
    """Prints a table, or what there is to say where it has no row."""
    out.print(rows if rows.row_count else otherwise)


def show_json(value: Any) -> None:
    """Prints a value as JSON, in which dataclasses are objects, times are in UTC, and durations in seconds."""
    sys.stdout.write(json.dumps(value, default=plain, indent=2, ensure_ascii=False) + "\n")


def plain(value: Any) -> Any:
    """Returns a value in the terms of JSON; of a dataclass what its repr shows."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value) if field.repr}
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{value!r} has no form in JSON")


def confirm(question: str) -> None:
    """Asks, and ends the command where the answer is not yes.

    Raises:
        OptionError: There is no answer.
    """
    try:
        agreed = typer.confirm(question)
    except typer.Abort:
        if sys.stdin.isatty():
            raise
        raise OptionError("yes", "There is nobody here who answers.", remedy="Give --yes (-y).") from None
    if not agreed:
        raise typer.Abort


@contextmanager
def told_errors(verbose: bool = False) -> Iterator[None]:
    """Tells an error in one message; exits with 2 where the arguments are wrong, else with 1."""
    try:
        yield
    except AstroK8sError as error:
        if verbose and isinstance(error, ProvisionError):
            err.print(error.output, markup=False)
        err.print(f"[red]astrok8s:[/] {escape(str(error))}")
        raise typer.Exit(2 if isinstance(error, OptionError) else 1) from None
    except KeyboardInterrupt:
        raise typer.Exit(1) from None
