"""The command ``astrok8s``: what the package does, on a terminal."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from astrok8s import __version__
from astrok8s._errors import AstroK8sError, OptionError, ProvisionError

app = typer.Typer(
    help="Spark clusters on OpenStack Magnum, for astronomers.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
out = Console(highlight=False)
err = Console(stderr=True, highlight=False, soft_wrap=True)


def _size(given: str | int) -> int:
    """Return a number of workers, from text or the default; typer's own error does not say what was given."""
    from astrok8s._options import check_size

    try:
        return check_size(int(given) if str(given).lstrip("-").isdecimal() else given)
    except OptionError as error:
        raise typer.BadParameter(str(error)) from error


Name = Annotated[str, typer.Argument(help="The cluster's name.")]
Cloud = Annotated[str | None, typer.Option("--cloud", help="Entry of clouds.yaml; default $OS_CLOUD, else local.")]
Size = Annotated[int, typer.Option("--size", parser=_size, metavar="N", help="Number of worker nodes.")]
Options = Annotated[
    list[str] | None,
    typer.Option("--option", "-o", metavar="NAME=VALUE", help="An option of the roles; the value is YAML. Repeatable."),
]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="After a failure, print all that Ansible printed.")]


@app.command()
def up(
    name: Name = "astrok8s", size: Size = 2, cloud: Cloud = None, option: Options = None, verbose: Verbose = False
) -> None:
    """Make a cluster as declared, or make an existing one so."""
    from astrok8s._provision import provision

    with _errors(verbose):
        cluster = provision(name, size=size, cloud=cloud, **_pairs(option))
        out.print(table([cluster]))


@app.command("list")
def list_(cloud: Cloud = None) -> None:
    """List the project's clusters."""
    from astrok8s._cluster import list_clusters

    with _errors():
        clusters = list_clusters(cloud)
        out.print(table(clusters) if clusters else "no clusters; `astrok8s up` makes one")


@app.command()
def show(name: Name = "astrok8s", cloud: Cloud = None) -> None:
    """Show one cluster."""
    from astrok8s._cluster import get_cluster

    with _errors():
        cluster = get_cluster(name, cloud=cloud)
        rows = Table(show_header=False, box=None)
        for key in ("name", "uuid", "status", "size", "cloud"):
            rows.add_row(f"[bold]{key}[/]", escape(str(getattr(cluster, key))))
        rows.add_row("[bold]nodes[/]", "\n".join(cluster.nodes))
        out.print(rows)


@app.command()
def resize(
    name: Name,
    size: Annotated[int, typer.Argument(parser=_size, metavar="N", help="Number of worker nodes.")],
    cloud: Cloud = None,
) -> None:
    """Give a cluster another number of workers."""
    from astrok8s._cluster import get_cluster

    with _errors():
        out.print(table([get_cluster(name, cloud=cloud).resize(size)]))


@app.command()
def attach(name: Name = "astrok8s", cloud: Cloud = None) -> None:
    """Print the notebook cell that attaches to a cluster."""
    from astrok8s._cluster import get_cluster

    with _errors():
        cluster = get_cluster(name, cloud=cloud)
        where = f", cloud={cluster.cloud!r}" if cluster.cloud != "local" else ""
        # Not through rich: it is to be copied as it is.
        sys.stdout.write(f"import astrok8s\n\nspark = astrok8s.attach({cluster.name!r}{where})\n")


@app.command()
def history(
    name: Name = "astrok8s",
    cloud: Cloud = None,
    pages: Annotated[bool, typer.Option("--pages", help="Show the pages: print their URL, until Ctrl-C.")] = False,
) -> None:
    """List the applications that ran, on this cluster and on those before it."""
    from astrok8s._cluster import get_cluster

    with _errors():
        cluster = get_cluster(name, cloud=cloud)
        if pages:
            sys.stdout.write(f"{cluster.history_url}\n")
            sys.stdout.flush()
            threading.Event().wait()
        rows = Table("application", "name", "user", "started", "duration", "state")
        rows.columns[0].overflow = "fold"  # an ID is there to be copied
        for one in cluster.history():
            started = one.started.astimezone().strftime("%Y-%m-%d %H:%M:%S")
            state = "[green]completed[/]" if one.completed else "[yellow]running or lost[/]"
            duration = str(timedelta(seconds=round(one.duration.total_seconds())))
            rows.add_row(one.id, escape(one.name), escape(one.user), started, duration, state)
        out.print(rows if rows.row_count else "no application has ended yet")


@app.command()
def destroy(
    name: Name,
    cloud: Cloud = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    option: Options = None,
    verbose: Verbose = False,
) -> None:
    """Take a cluster away."""
    from astrok8s._cluster import get_cluster

    with _errors(verbose):
        cluster = get_cluster(name, cloud=cloud)
        if not yes:
            typer.confirm(f"Destroy cluster {name} with {cluster.size} workers on cloud {cluster.cloud}?", abort=True)
        cluster.destroy(**_pairs(option))
        out.print(f"cluster {escape(name)} is gone")


@app.command("options")
def options_() -> None:
    """List the options that `up -o` takes."""
    from astrok8s._options import description, role_options
    from astrok8s._provision import RESERVED

    rows = Table("option", "type", "default", "what it is")
    for name, spec in sorted(role_options().items()):
        if name not in RESERVED and not name.endswith("_state"):
            default = "" if spec.get("default") is None else str(spec["default"])
            rows.add_row(name, spec.get("type", "str"), escape(default), escape(description(spec)))
    out.print(rows)


@app.command()
def version() -> None:
    """Print the version."""
    out.print(f"astrok8s {__version__}")


def table(clusters: Iterable[Any]) -> Table:
    """Return the table of some clusters."""
    rows = Table("cluster", "status", "workers", "nodes", "cloud")
    for cluster in clusters:
        colour = {"COMPLETE": "green", "FAILED": "red"}.get(cluster.status.rsplit("_", 1)[-1], "yellow")
        nodes = " ".join(cluster.nodes)
        rows.add_row(
            escape(cluster.name), f"[{colour}]{cluster.status}[/]", str(cluster.size), nodes, escape(cluster.cloud)
        )
    return rows


def main() -> NoReturn:
    """Run the command: exit 0 if it did what was asked, 1 if that failed, 2 if the asking was wrong."""
    app()
    raise SystemExit(0)


def _pairs(options: list[str] | None) -> dict[str, Any]:
    """Return NAME=VALUE arguments as a dict; a value is YAML, so 3 is a number and "3" a string."""
    import yaml

    pairs = {}
    for given in options or []:
        name, equals, value = given.partition("=")
        if not equals:
            raise OptionError(f"-o {given} has no value; give it as NAME=VALUE")
        try:
            pairs[name] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise OptionError(f"-o {given}: its value is not YAML ({error}); put it in quotes") from error
    return pairs


@contextmanager
def _errors(verbose: bool = False) -> Iterator[None]:
    """Print an error without a traceback, and exit by its kind."""
    try:
        yield
    except AstroK8sError as error:
        if verbose and isinstance(error, ProvisionError):
            err.print(error.output, markup=False)
        err.print(f"[red]error:[/] {escape(str(error))}")
        raise typer.Exit(2 if isinstance(error, OptionError) else 1) from None
    except KeyboardInterrupt:
        raise typer.Exit(1) from None


if __name__ == "__main__":
    main()
