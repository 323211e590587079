"""The commands about clusters."""

import sys
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from astrok8s.cli._given import Cloud, Json, Name, Options, Verbose, Yes, pairs
from astrok8s.cli._shown import confirm, out, plain, show_json, table, told_errors
from astrok8s.cli._shown import show as show_table
from astrok8s.clusters import get_cluster, list_clusters
from astrok8s.errors import ClusterNotFoundError

Time = "TIME"


def provision(
    name: Name = "astro",
    size: Annotated[
        int | None,
        typer.Option("--size", metavar="N", help="The number of worker nodes; as it is, or 2, if left out."),
    ] = None,
    ttl: Annotated[
        str | None,
        typer.Option(metavar=Time, help="When it ends by itself, as 4h; as it is, or after 12h, if left out."),
    ] = None,
    idle: Annotated[
        str | None,
        typer.Option(metavar=Time, help="How long nobody may use it before it ends; 60m by default."),
    ] = None,
    cloud: Cloud = None,
    option: Options = None,
    verbose: Verbose = False,
) -> None:
    """Make a cluster, or make one that is there as it is declared."""
    from astrok8s.provisioning import provision

    with told_errors(verbose):
        arguments: dict[str, Any] = {"size": size, "ttl": ttl, "idle": idle, **pairs(option)}
        out.print(table([provision(name, cloud=cloud, **arguments)]))


def list_(
    ended: Annotated[bool, typer.Option("--ended", help="What became of those that are gone.")] = False,
    cloud: Cloud = None,
    json: Json = False,
) -> None:
    """List the clusters of the project."""
    with told_errors():
        if ended:
            _list_ended(cloud, json)
            return
        clusters = list_clusters(cloud=cloud)
        if json:
            show_json(clusters)
        else:
            show_table(table(clusters), "There is no cluster. `astrok8s provision` makes one.")


def _list_ended(cloud: str | None, json: bool) -> None:
    from astrok8s import lifetimes

    found = lifetimes.ended(cloud)
    if json:
        show_json(found)
        return
    rows = Table("cluster", "ended (UTC)", "why", "by")
    for ending in found:
        rows.add_row(escape(ending.cluster), f"{ending.ended:%Y-%m-%d %H:%M}", escape(ending.why), escape(ending.by))
    show_table(rows, "There is no record of a cluster that has ended.")


def show(name: Name = "astro", cloud: Cloud = None, json: Json = False) -> None:
    """Show a cluster, and when it ends."""
    with told_errors():
        cluster = get_cluster(name, cloud=cloud)
        if json:
            life = cluster.life()
            ends = life and vars(life) | {"idle_end": life.idle_end}
            show_json(plain(cluster) | {"life": ends})
            return
        out.print(table([cluster]))
        out.print(f"{cluster.life() or 'It stays until somebody destroys it'}.")


def resize(
    name: Name,
    size: Annotated[int, typer.Argument(metavar="N", help="The number of worker nodes.")],
    cloud: Cloud = None,
    verbose: Verbose = False,
) -> None:
    """Give a cluster another number of workers, and leave all else of it as it is."""
    from astrok8s.provisioning import resize

    with told_errors(verbose):
        out.print(table([resize(name, size, cloud=cloud)]))


def extend(
    name: Name,
    by: Annotated[str, typer.Argument(metavar=Time, help="By how much, as 4h.")],
    cloud: Cloud = None,
) -> None:
    """Let a cluster live longer, before it ends by itself."""
    from astrok8s.lifetimes import check_duration

    with told_errors():
        check_duration(by)  # before any cloud is asked
        end = get_cluster(name, cloud=cloud).extend(by)
        out.print(f"Cluster {escape(name)} ends at {end.astimezone():%Y-%m-%d %H:%M %Z}.")


def logs(
    name: Name = "astro",
    service: Annotated[
        str,
        typer.Argument(help="One of connect, history, shuffle, executors, cvmfs, lifecycle."),
    ] = "connect",
    lines: Annotated[int, typer.Option(metavar="N", min=1, help="The last lines of each pod.")] = 100,
    namespace: Annotated[str, typer.Option(help="The namespace of Spark.")] = "spark",
    cloud: Cloud = None,
) -> None:
    """Print what a service of a cluster has logged: by default its server of Spark Connect, the driver of notebooks."""
    from astrok8s.logs import check, logs

    with told_errors():
        check(service, lines)  # before any cloud is asked
        # Not through rich: programs read it.
        sys.stdout.write(logs(get_cluster(name, cloud=cloud), service, lines=lines, namespace=namespace))


def destroy(name: Name, cloud: Cloud = None, yes: Yes = False, verbose: Verbose = False) -> None:
    """Take a cluster away. Where it is gone already, what it has left."""
    from astrok8s.provisioning import destroy

    with told_errors(verbose):
        outcome = f"Cluster {name} is gone."
        try:
            cluster = get_cluster(name, cloud=cloud)
        except ClusterNotFoundError as error:
            outcome = f"{error.fact} There was nothing to destroy."
        else:
            if not yes:
                confirm(f"Destroy cluster {name} with {cluster.size} workers on cloud {cluster.cloud}?")
        destroy(name, cloud=cloud)
        out.print(outcome, markup=False, soft_wrap=True)
