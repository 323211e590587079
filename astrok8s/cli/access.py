"""The commands about who uses clusters, and for what."""

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Column, Table

from astrok8s.cli._given import Cloud, Json, Name, Options, Verbose, Yes, pairs
from astrok8s.cli._shown import confirm, out, show, show_json, told_errors
from astrok8s.clusters import get_cluster

app = typer.Typer(no_args_is_help=True, help="Who has access to clusters.")


def attach(name: Name = "astro", cloud: Cloud = None) -> None:
    """Print the notebook cell that attaches to a cluster."""
    with told_errors():
        cluster = get_cluster(name, cloud=cloud)
        arguments = f"{cluster.name!r}, cloud={cluster.cloud!r}"
        # Not through rich: it is there to be copied.
        sys.stdout.write(f"import astrok8s\n\nspark = astrok8s.attach({arguments})\n")


def history(name: Name = "astro", cloud: Cloud = None, json: Json = False) -> None:
    """List the sessions of all clusters of the project; a cluster that is there is asked."""
    with told_errors():
        found = get_cluster(name, cloud=cloud).history()
        if json:
            show_json(found)
            return
        rows = Table(Column("application", no_wrap=True), "name", "user", "start (UTC)", "duration", "completed")
        for entry in found:
            start, duration = f"{entry.start:%Y-%m-%d %H:%M:%S}", str(entry.duration).partition(".")[0]
            rows.add_row(
                entry.id, escape(entry.name), escape(entry.user), start, duration, "yes" if entry.completed else "no"
            )
        show(rows, "There is no session in the history yet.")


def grant(
    name: Name,
    user: Annotated[str, typer.Argument(help="The user, by any name.")],
    until: Annotated[
        str | None,
        typer.Option(
            help="When it ends, as 2026-12-24T18:00, in this machine's zone; if left out, after a day without use."
        ),
    ] = None,
    output: Annotated[Path | None, typer.Option(help="The file that gets the access.")] = None,
    cloud: Cloud = None,
    option: Options = None,
    verbose: Verbose = False,
) -> None:
    """Give a user access to a cluster, in a namespace of the user's own; again: another file."""
    with told_errors(verbose):
        cluster = get_cluster(name, cloud=cloud)
        path = cluster.grant(user, until=until, file=output, **pairs(option))
        out.print(f"{escape(str(path))} has it. Whoever has the file: astrok8s.attach(kubeconfig=…).", soft_wrap=True)


def revoke(
    name: Name,
    user: Annotated[str, typer.Argument(help="The user.")],
    cloud: Cloud = None,
    yes: Yes = False,
    verbose: Verbose = False,
) -> None:
    """Take a user's access, and the user's namespace with all that is in it."""
    with told_errors(verbose):
        cluster = get_cluster(name, cloud=cloud)
        had = user in {entry.user for entry in cluster.grants()}
        if had and not yes:
            confirm(f"Take away the access of {user} to {name}, with all that is in the namespace?")
        cluster.revoke(user)  # also what is left of one, or a namespace that is another's
        outcome = " any more." if had else ": nothing to revoke."
        out.print(f"{escape(user)} has no access to {escape(name)}{outcome}", soft_wrap=True)


@app.command("list")
def list_(name: Name = "astro", cloud: Cloud = None, json: Json = False) -> None:
    """List who has access to a cluster."""
    with told_errors():
        found = get_cluster(name, cloud=cloud).grants()
        if json:
            show_json(found)
            return
        rows = Table("user", "namespace", "since (UTC)", "until")
        for entry in found:
            end = f"{entry.until:%Y-%m-%d %H:%M %Z}" if entry.until else "a day unused"
            rows.add_row(escape(entry.user), entry.namespace, f"{entry.since:%Y-%m-%d %H:%M}", end)
        show(rows, "Nobody has been granted access. `astrok8s grant` does.")
