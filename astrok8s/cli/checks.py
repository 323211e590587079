"""The command that looks for what is wrong."""

from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Column, Table

from astrok8s.cli._given import Cloud, Json, Yes
from astrok8s.cli._shown import confirm, err, out, show, show_json, told_errors

if TYPE_CHECKING:
    from ansible_collections.astrok8s.magnum.plugins.module_utils.orphans import Orphan


def doctor(
    only_orphans: Annotated[
        bool, typer.Option("--orphans", help="Look for orphans alone: the only check that there is yet.")
    ] = False,
    clean: Annotated[bool, typer.Option("--clean", help="Remove the orphans, after showing them.")] = False,
    cloud: Cloud = None,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Look for what is wrong, such as orphans: what clusters that are gone have left. Exits with 1 where there is."""
    del only_orphans  # all checks are this one
    from astrok8s import orphans

    with told_errors():
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
    if found:
        raise typer.Exit(1)


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
