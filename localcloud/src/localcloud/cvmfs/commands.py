"""The commands ``localcloud cvmfs``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from localcloud.cvmfs.collect import collect
from localcloud.cvmfs.publish import TTL, publish
from localcloud.cvmfs.report import describe
from localcloud.cvmfs.repository import find, repositories
from localcloud.settings import Settings
from localcloud.supervisor import Supervisor
from localcloud.terminal import Home, Json, err, errors, out

app = typer.Typer(help="CVMFS repositories that the cloud's stratum serves.", no_args_is_help=True)

Fqrn = Annotated[str, typer.Argument(help="Name of the repository, as sw.astro.example.")]


@app.command("publish")
def publish_command(
    fqrn: Fqrn,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder whose content is published.")],
    ttl: Annotated[int, typer.Option(help="Seconds after which clients look for a newer revision.")] = TTL,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Publish a folder as the next revision of a repository; what did not change is not read again."""
    with errors("the repository is as it was before; publish again"):
        settings = Settings.load(home)
        done = publish(settings, fqrn, folder, ttl)
        if as_json:
            out.print_json(data=asdict(done))
            return
        said = f"is revision {done.revision} now" if done.changed else f"has not changed, and stays {done.revision}"
        out.print(
            f"{done.fqrn} {said}: {done.files} files, {done.bytes / 1e6:.0f} MB; "
            f"{done.files_read} read, {done.objects_written} objects written ({done.bytes_written / 1e6:.1f} MB)",
            highlight=False,
            soft_wrap=True,
        )
        if not Supervisor(settings).running():
            err.print(f"cloud {settings.cloud} is down; `localcloud up` serves it", soft_wrap=True)


@app.command("list")
def list_command(home: Home = None, as_json: Json = False) -> None:
    """Show the repositories: revision, age, and until when their whitelists are valid."""
    with errors():
        found = [describe(repository) for repository in repositories(Settings.load(home))]
    if as_json:
        out.print_json(data=found)
        return
    table = Table("repository", "revision", "published", "TTL", "valid until", "from")
    for said in found:
        cells = [str(said[name]) for name in ("fqrn", "revision", "published", "ttl", "valid_until", "source")]
        table.add_row(*map(escape, cells))
    out.print(table)


@app.command("collect")
def collect_command(fqrn: Fqrn, home: Home = None) -> None:
    """Free the disk of what none of the last revisions of a repository needs."""
    with errors("say it again"):
        count, size = collect(find(Settings.load(home), fqrn))
        out.print(f"{fqrn}: {count} objects removed ({size / 1e6:.1f} MB)", highlight=False)


@app.command("remove")
def remove_command(fqrn: Fqrn, home: Home = None) -> None:
    """Remove a repository with its keys; one that is published again has new ones, which clients must be given."""
    with errors("say it again"):
        find(Settings.load(home), fqrn).remove()
        out.print(f"{fqrn} is removed")
