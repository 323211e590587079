"""The command that looks for what is wrong."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Column, Table

from astrok8s.cli import _completing
from astrok8s.cli._given import Cloud, Json, Yes
from astrok8s.cli._shown import confirm, err, out, show, show_json, told_errors
from astrok8s.errors import OptionError

if TYPE_CHECKING:
    from ansible_collections.astrok8s.magnum.plugins.module_utils.orphans import Orphan

    from astrok8s.doctor import Finding

_COLOURS = {"green": "green", "warning": "yellow", "red": "red"}


def doctor(
    name: Annotated[
        str | None,
        typer.Argument(help="A cluster; all of the project if left out.", autocompletion=_completing.clusters),
    ] = None,
    only_orphans: Annotated[
        bool, typer.Option("--orphans", help="Look for what clusters that are gone have left, and nothing else.")
    ] = False,
    clean: Annotated[bool, typer.Option("--clean", help="With --orphans: remove them, after showing them.")] = False,
    report: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write all of it into a file, without secrets, for who helps.")
    ] = None,
    namespace: Annotated[str, typer.Option(help="The namespace of Spark.")] = "spark",
    cloud: Cloud = None,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Look for what is wrong on this machine, on the cloud and on clusters. Exits with 1 where something is red."""
    with told_errors():
        if only_orphans:
            wrong = _look_for_orphans(cloud, clean=clean, yes=yes, json=json)
        elif clean:
            raise OptionError("clean", "--clean removes orphans.", remedy="Give --orphans, too, to see them first.")
        else:
            wrong = _examine(cloud, name, namespace, report, json=json)
    if wrong:
        raise typer.Exit(1)


def _examine(cloud: str | None, name: str | None, namespace: str, report: Path | None, *, json: bool) -> bool:
    """Shows what is found, as it is found; returns whether something is red."""
    from astrok8s import doctor
    from astrok8s._cloud import cloud_name

    found = []
    if report and not report.parent.is_dir():
        fact = f"There is no folder {report.parent} for the report."
        raise OptionError("report", fact, remedy="Make it, or name another file.")
    for finding in doctor.examine(cloud, cluster=name, namespace=namespace):
        found.append(finding)
        if not json:
            _tell(finding)
    if json:
        show_json(found)
    if report:
        report.write_text(doctor.report(found, cloud_name(cloud)), encoding="utf-8")
        err.print(f"The report is in {escape(str(report))}. Read it before you give it away.")
    return any(finding.level == doctor.RED for finding in found)


def _tell(finding: "Finding") -> None:
    level = f"[{_COLOURS[finding.level]}]{finding.level:<7}[/]"
    out.print(f"{level}  {escape(f'{finding.check}: {finding.fact} {finding.remedy}'.rstrip())}", soft_wrap=True)


def _look_for_orphans(cloud: str | None, *, clean: bool, yes: bool, json: bool) -> bool:
    """Shows orphans, and removes them where that is wanted; returns whether there are some then."""
    from astrok8s import orphans

    found = orphans.find(cloud)
    if json:
        show_json(found)
    else:
        show(_orphans(found), "There are no orphans.")
    if clean and found:
        kept = _clean(found, cloud, yes)
        if not json:
            out.print(f"{len(found) - len(kept)} removed, {len(kept)} left.")
        found = kept
    return bool(found)


def _clean(found: "list[Orphan]", cloud: str | None, yes: bool) -> "list[Orphan]":
    """Removes orphans; returns what is left of them."""
    from astrok8s import orphans

    removable = [orphan for orphan in found if orphan.removable]
    if removable and not yes:
        confirm(f"Remove {len(removable)} of them?")
    kept = orphans.remove(found, cloud=cloud)
    for wrong in kept.values():
        err.print(f"[red]astrok8s:[/] {escape(wrong)}")
    return list(kept)


def _orphans(found: "list[Orphan]") -> Table:
    """Returns a table of what clusters that are gone have left."""
    rows = Table("kind", Column("name", overflow="fold"), Column("cluster", overflow="fold"), "since (UTC)", "why")
    for orphan in found:
        since = f"{orphan.since:%Y-%m-%d %H:%M}" if orphan.since else ""
        rows.add_row(orphan.kind, escape(orphan.name), escape(orphan.cluster), since, escape(orphan.why))
    return rows
