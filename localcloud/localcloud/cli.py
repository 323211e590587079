"""The command `localcloud`."""

import json
import os
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from localcloud.cvmfs.repository import DEFAULT_TTL_S
from localcloud.errors import LocalcloudError
from localcloud.home import Home

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="OpenStack with Magnum on one machine, in one box of namespaces.",
    pretty_exceptions_enable=False,
)
cvmfs_app = typer.Typer(no_args_is_help=True, help="CVMFS repositories, which the cloud serves.")
app.add_typer(cvmfs_app, name="cvmfs")
out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)

Name = Annotated[str, typer.Option(help="Which cloud; clouds of other names stand beside it.", show_default=True)]
DEFAULT_NAME = "local"


@app.command()
def up(name: Name = DEFAULT_NAME) -> None:
    """Start the cloud; do nothing if it is up."""
    from localcloud import lifecycle  # imports openstacksdk, which takes a second

    start = time.monotonic()
    home = Home.of(name)
    was_down = lifecycle.up(
        home, lambda text: out.print(f"{name}: {text} [dim]({time.monotonic() - start:.1f} s)[/dim]")
    )
    address = lifecycle.addresses_of(home).box
    state = f"[bold]{name} is up[/bold] at {address} after {time.monotonic() - start:.1f} s"
    out.print(f"{state if was_down else f'{name} was up'}. Use it: export OS_CLOUD={name}")


@app.command()
def down(name: Name = DEFAULT_NAME) -> None:
    """Stop the cloud; its data stay."""
    from localcloud import lifecycle

    was_up = lifecycle.down(Home.of(name))
    out.print(f"{name} is down." if was_up else f"{name} was not up.")


@app.command()
def status(name: Name = DEFAULT_NAME) -> None:
    """Show the services of the cloud and its clusters; exit with 1 unless all services answer."""
    from localcloud import box, lifecycle, report, supervision
    from localcloud.cloud.services import SERVICES

    home = Home.of(name)
    init = box.inside(home)
    if init is None:
        out.print(f"{name} is down." if home.path.exists() else f"{name} does not exist.")
        raise typer.Exit(1)
    addresses = lifecycle.addresses_of(home)
    processes = {process.name: process for process in supervision.states(init) or []}
    answering = {service.name: lifecycle.answers(service, addresses) for service in SERVICES}
    out.print(report.services(home, addresses, processes, answering))
    if clusters := report.clusters(home, processes):
        out.print(clusters)
    if not all(answering.values()):
        raise typer.Exit(1)


@app.command()
def logs(
    service: Annotated[str | None, typer.Argument(help="Only this service, or `box`.")] = None,
    lines: Annotated[int, typer.Option(min=0, help="How many of the last lines.")] = 20,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as they grow.")] = False,
    name: Name = DEFAULT_NAME,
) -> None:
    """Show the logs of the cloud."""
    folder = Home.of(name).logs
    files = sorted(path for path in folder.glob("*") if service is None or path.name.split(".")[0] == service)
    if not files:
        known = sorted({path.name.split(".")[0] for path in folder.glob("*")})
        raise LocalcloudError(
            f"There is no log of {service or name} in {folder}.",
            remedy=f"There are: {', '.join(known)}." if known else f"Run `localcloud up --name {name}`.",
        )
    os.execvp("tail", ["tail", f"--lines={lines}", *(["--follow=name", "--retry"] if follow else []), *map(str, files)])


@app.command()
def destroy(
    name: Name = DEFAULT_NAME, yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False
) -> None:
    """Remove the cloud with all its data; on a terminal ask first if it has clusters."""
    from localcloud import lifecycle, report

    home = Home.of(name)
    clusters = report.cluster_names(home)
    if clusters and not yes and sys.stdin.isatty():
        typer.confirm(f"Destroy {name} with its clusters {', '.join(clusters)}?", abort=True)
    existed = lifecycle.destroy(home)
    out.print(f"{name} is gone." if existed else f"{name} does not exist.")


@cvmfs_app.command()
def publish(
    fqrn: Annotated[str, typer.Argument(metavar="FQRN", help="The name of the repository: sw.example.org.")],
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="What it is to hold.")],
    ttl: Annotated[int, typer.Option(min=1, help="For how many seconds clients need not ask again.")] = DEFAULT_TTL_S,
    name: Name = DEFAULT_NAME,
) -> None:
    """Publish a folder as the next revision of a repository, which is made if need be; do nothing if it is the same.

    A folder in it that holds a file .cvmfscatalog has a catalog of its own, which clients fetch only when they need it.
    """
    from localcloud import box, lifecycle
    from localcloud.cloud.services import PROXY, STRATUM
    from localcloud.cvmfs import publisher
    from localcloud.cvmfs.repository import Repository

    home = Home.of(name)
    repository = Repository.of(home.cvmfs, fqrn)
    addresses = lifecycle.addresses_of(home)
    done = publisher.publish(repository, folder, ttl, datetime.now(UTC))
    state = "is now" if done.changed else "was and is"
    out.print(f"[bold]{fqrn} {state} at revision {done.revision}[/bold]: {done.entries} entries, {done.size} bytes")
    out.print(f"stored:     {done.added.objects} objects, {done.added.size} bytes")
    out.print(f"url:        {STRATUM.url(addresses, repository.path)}")
    out.print(f"proxy:      {PROXY.url(addresses)}")
    out.print(f"public key: {repository.public_key}")
    if box.find(home) is None:
        out.print(f"{name} is down: `localcloud up --name {name}` serves it.")


@cvmfs_app.command()
def options(name: Name = DEFAULT_NAME) -> None:
    """Print the options of astrok8s that give a cluster all repositories of the cloud, as JSON."""
    from localcloud import lifecycle
    from localcloud.cloud.services import PROXY, STRATUM
    from localcloud.cvmfs.repository import Repository

    home = Home.of(name)
    repositories = Repository.published(home.cvmfs)
    if not repositories:
        raise LocalcloudError(
            f"{name} has no repository.", remedy=f"Make one: localcloud cvmfs publish FQRN DIR --name {name}"
        )
    addresses = lifecycle.addresses_of(home)
    found = [
        {
            "fqrn": repository.fqrn,
            "urls": [STRATUM.url(addresses, repository.path)],
            "public_key": repository.public_key.read_text(),
        }
        for repository in repositories
    ]
    # Where the proxy does not answer, clients go to the stratum themselves.
    proxies = f"{PROXY.url(addresses)};DIRECT"
    typer.echo(json.dumps({"cvmfs_repositories": found, "cvmfs_http_proxy": proxies}, indent=2))


def main() -> None:
    """Runs the command; an error that we raise on purpose is one message and exit code 1."""
    try:
        app()
    except LocalcloudError as error:
        err.print(f"[red]localcloud: {escape(error.fact)}[/red] {escape(error.remedy)}", markup=True)
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
