"""The command `astrok8s`: what the package does, in a terminal."""

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
import yaml
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from astrok8s import _environment, lifetimes, orphans
from astrok8s.clusters import Cluster, get_cluster, list_clusters
from astrok8s.errors import AstroK8sError, OptionError, ProvisionError
from astrok8s.options import load_options
from astrok8s.provisioning import destroy as destroy_cluster
from astrok8s.provisioning import offered_options
from astrok8s.provisioning import provision as provision_cluster
from astrok8s.provisioning import resize as resize_cluster

if TYPE_CHECKING:
    from ansible_collections.astrok8s.magnum.plugins.module_utils.endings import Ending
    from ansible_collections.astrok8s.magnum.plugins.module_utils.orphans import Orphan

app = typer.Typer(
    help="Disposable Spark clusters on OpenStack Magnum.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
access_app = typer.Typer(no_args_is_help=True, help="Who has access to clusters.")
app.add_typer(access_app, name="access")
notebooks_app = typer.Typer(
    no_args_is_help=True, help="The notebooks of astrok8s: tutorials, and tests of what it promises."
)
app.add_typer(notebooks_app, name="notebooks")
out = Console(highlight=False)
err = Console(stderr=True, highlight=False, soft_wrap=True)

Name = Annotated[str, typer.Argument(help="The cluster's name.")]
Cloud = Annotated[str | None, typer.Option("--cloud", help="The entry of clouds.yaml; $OS_CLOUD, else local.")]
Options = Annotated[
    list[str] | None,
    typer.Option(
        "--option", "-o", metavar="NAME=VALUE", help="An option of the roles, its value as YAML; or @FILE for some."
    ),
]
Folder = Annotated[Path | None, typer.Option(help="The folder of the notebooks; those of astrok8s if left out.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="After a failure, print all that Ansible printed.")]


@app.command()
def provision(
    name: Name = "astro",
    size: Annotated[
        int | None,
        typer.Option("--size", metavar="N", help="The number of worker nodes; as it is, or 2, if left out."),
    ] = None,
    ttl: Annotated[
        str | None,
        typer.Option(
            "--ttl", metavar="TIME", help="When it ends by itself, as 4h; as it is, or after 12h, if left out."
        ),
    ] = None,
    idle: Annotated[
        str | None,
        typer.Option("--idle", metavar="TIME", help="How long nobody may use it before it ends; 60m by default."),
    ] = None,
    cloud: Cloud = None,
    option: Options = None,
    verbose: Verbose = False,
) -> None:
    """Make a cluster, or make one that is there as it is declared."""
    with _told_errors(verbose):
        arguments: dict[str, Any] = {"size": size, "ttl": ttl, "idle": idle, **_pairs(option or [])}
        out.print(table([provision_cluster(name, cloud=cloud, **arguments)]))


@app.command("list")
def list_(
    ended: Annotated[bool, typer.Option("--ended", help="What became of those that are gone.")] = False,
    cloud: Cloud = None,
) -> None:
    """List the clusters of the project."""
    with _told_errors():
        if ended:
            out.print(_endings(lifetimes.ended(cloud)))
            return
        clusters = list_clusters(cloud)
        out.print(table(clusters) if clusters else "There is no cluster. `astrok8s provision` makes one.")


@app.command()
def show(name: Name = "astro", cloud: Cloud = None) -> None:
    """Show a cluster, and when it ends."""
    with _told_errors():
        cluster = get_cluster(name, cloud=cloud)
        out.print(table([cluster]))
        out.print(f"{cluster.life() or 'It stays until somebody destroys it'}.")


@app.command()
def resize(
    name: Name,
    size: Annotated[int, typer.Argument(metavar="N", help="The number of worker nodes.")],
    cloud: Cloud = None,
    verbose: Verbose = False,
) -> None:
    """Give a cluster another number of workers, and leave all else of it as it is."""
    with _told_errors(verbose):
        out.print(table([resize_cluster(name, size, cloud=cloud)]))


@app.command()
def extend(
    name: Name,
    by: Annotated[str, typer.Argument(metavar="TIME", help="By how much, as 4h.")],
    cloud: Cloud = None,
) -> None:
    """Let a cluster live longer, before it ends by itself."""
    with _told_errors():
        end = get_cluster(name, cloud=cloud).extend(by)
        out.print(f"Cluster {escape(name)} ends at {end.astimezone():%Y-%m-%d %H:%M %Z}.")


@app.command()
def attach(name: Name = "astro", cloud: Cloud = None) -> None:
    """Print the notebook cell that attaches to a cluster."""
    with _told_errors():
        cluster = get_cluster(name, cloud=cloud)
        arguments = f"{cluster.name!r}, cloud={cluster.cloud!r}"
        # Not through rich: it is there to be copied.
        sys.stdout.write(f"import astrok8s\n\nspark = astrok8s.attach({arguments})\n")


@app.command()
def history(name: Name = "astro", cloud: Cloud = None) -> None:
    """List the sessions of all clusters of the project; a cluster that is there is asked."""
    with _told_errors():
        rows = Table(Column("application", no_wrap=True), "name", "user", "start (UTC)", "duration", "completed")
        for entry in get_cluster(name, cloud=cloud).history():
            start, duration = f"{entry.start:%Y-%m-%d %H:%M:%S}", str(entry.duration).partition(".")[0]
            rows.add_row(
                entry.id, escape(entry.name), escape(entry.user), start, duration, "yes" if entry.completed else "no"
            )
        out.print(rows if rows.row_count else "There is no session in the history yet.")


@app.command()
def destroy(
    name: Name,
    cloud: Cloud = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    verbose: Verbose = False,
) -> None:
    """Take a cluster away."""
    with _told_errors(verbose):
        cluster = get_cluster(name, cloud=cloud)
        if not yes:
            _confirm(f"Destroy cluster {name} with {cluster.size} workers on cloud {cluster.cloud}?")
        destroy_cluster(name, cloud=cluster.cloud)
        out.print(f"Cluster {escape(name)} is gone.")


@app.command()
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
    with _told_errors(verbose):
        cluster = get_cluster(name, cloud=cloud)
        path = cluster.grant(user, until=until, file=output, **_pairs(option or []))
        out.print(f"{escape(str(path))} has it. Whoever has the file: astrok8s.attach(kubeconfig=…).", soft_wrap=True)


@app.command()
def revoke(
    name: Name,
    user: Annotated[str, typer.Argument(help="The user.")],
    cloud: Cloud = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    verbose: Verbose = False,
) -> None:
    """Take a user's access, and the user's namespace with all that is in it."""
    with _told_errors(verbose):
        cluster = get_cluster(name, cloud=cloud)
        had = user in {entry.user for entry in cluster.grants()}
        if had and not yes:
            _confirm(f"Take away the access of {user} to {name}, with all that is in the namespace?")
        cluster.revoke(user)  # also what is left of one, or a namespace that is another's
        outcome = " any more." if had else ": nothing to revoke."
        out.print(f"{escape(user)} has no access to {escape(name)}{outcome}", soft_wrap=True)


@access_app.command("list")
def access_list(name: Name = "astro", cloud: Cloud = None) -> None:
    """List who has access to a cluster."""
    with _told_errors():
        rows = Table("user", "namespace", "since (UTC)", "until")
        for entry in get_cluster(name, cloud=cloud).grants():
            end = f"{entry.until:%Y-%m-%d %H:%M %Z}" if entry.until else "a day unused"
            rows.add_row(escape(entry.user), entry.namespace, f"{entry.since:%Y-%m-%d %H:%M}", end)
        out.print(rows if rows.row_count else "Nobody has been granted access. `astrok8s grant` does.")


@notebooks_app.command("list")
def notebooks_list(folder: Folder = None) -> None:
    """List the notebooks, and what they need."""
    from astrok8s import validation

    with _told_errors():
        rows = Table("notebook", "cluster", "needs", "within", "what it is")
        for entry in validation.find(folder):
            needs = escape(", ".join(entry.needs))
            rows.add_row(escape(entry.name), entry.cluster, needs, f"{entry.timeout_s:g} s", escape(entry.title))
        out.print(rows)


@notebooks_app.command("run")
def notebooks_run(
    only: Annotated[list[str] | None, typer.Option(metavar="NAME", help="A notebook to run; all if left out.")] = None,
    parallel: Annotated[int, typer.Option(metavar="N", min=1, help="How many run at a time.")] = 1,
    timeout: Annotated[
        str | None, typer.Option(metavar="TIME", help="How long each may take, as 10m; what it says if left out.")
    ] = None,
    cluster: Annotated[
        str | None, typer.Option(metavar="NAME", help="A cluster that is there, and stays; else one is made.")
    ] = None,
    output: Annotated[Path, typer.Option(help="The folder of the report, and of the last 30 runs.")] = Path(
        "validation"
    ),
    parameter: Annotated[
        list[str] | None,
        typer.Option("--parameter", "-p", metavar="NAME=VALUE", help="A parameter of notebooks, its value as YAML."),
    ] = None,
    folder: Folder = None,
    tell: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ADDRESS",
            envvar="ASTROK8S_TELL",
            help="Who is told when one begins to fail, and when all is well again: mailto:NAME@SITE, or https://… "
            "for a webhook.",
        ),
    ] = None,
    smtp: Annotated[
        str, typer.Option(metavar="HOST[:PORT]", envvar="ASTROK8S_SMTP", help="Who is given the mails.")
    ] = "localhost",
    cloud: Cloud = None,
    option: Options = None,
) -> None:
    """Run notebooks on a cluster that is made for them, and report. Exits with 1 where one does not pass."""
    from astrok8s import validation

    with _told_errors():
        parameters = _pairs(parameter or [])
        plan = validation.Plan(
            validation.choose(validation.find(folder), only or [], parameters),
            output,
            cloud=cloud,
            cluster=cluster,
            parallel=parallel,
            timeout_s=validation.seconds_of(timeout) if timeout else None,
            options=_pairs(option or []),
            parameters=parameters,
            listeners=validation.Listeners.read(tell or [], smtp),
        )
        run = validation.validate(plan, lambda text: err.print(text, markup=False))
        out.print(f"{run.status}: {output / 'report.html'}", markup=False, soft_wrap=True)
    if run.status != "passed":
        raise typer.Exit(1)


@app.command()
def doctor(
    only_orphans: Annotated[
        bool, typer.Option("--orphans", help="Look for orphans alone: the only check that there is yet.")
    ] = False,
    clean: Annotated[bool, typer.Option("--clean", help="Remove the orphans, after showing them.")] = False,
    cloud: Cloud = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Look for what is wrong, such as orphans: what clusters that are gone have left. Exits with 1 where there is."""
    del only_orphans  # all checks are this one
    with _told_errors():
        found = orphans.find(cloud)
        out.print(_orphans(found))
        removable = [orphan for orphan in found if orphan.removable]
        if clean and found:
            if removable and not yes:
                _confirm(f"Remove {len(removable)} of them?")
            kept = orphans.remove(found, cloud=cloud)
            for wrong in kept.values():
                err.print(f"[red]astrok8s:[/] {escape(wrong)}")
            out.print(f"{len(found) - len(kept)} removed, {len(kept)} left.")
            found = list(kept)
    if found:
        raise typer.Exit(1)


@app.command()
def pack(
    requirements: Annotated[Path, typer.Argument(help="A file of requirements, as pip reads it.")],
    folder: Annotated[Path, typer.Argument(help="The folder that is made.")],
) -> None:
    """Make a folder of packages for executors, to be published in a repository of CVMFS."""
    with _told_errors():
        _environment.pack(requirements, folder)
        out.print(f"Publish {escape(str(folder))}, and name it as it lies under /cvmfs: attach(environment=…).")


@app.command()
def options() -> None:
    """List the options that `provision` takes."""
    # Names and defaults are there to be copied: they keep their line, and the text takes what is left of it.
    rows = Table(Column("option", no_wrap=True), "type", Column("default", overflow="fold"), "what it is")
    for name, option in load_options().items():
        if name in offered_options():
            rows.add_row(name, option.type, escape(str(option.default)), escape(option.description))
    out.print(rows)


def table(clusters: Iterable[Cluster]) -> Table:
    """Returns a table of clusters."""
    rows = Table("cluster", "status", "workers", "nodes", "cloud")
    for cluster in clusters:
        colour = {"COMPLETE": "green", "FAILED": "red"}.get(cluster.status.rsplit("_", 1)[-1], "yellow")
        status = f"[{colour}]{cluster.status}[/]"
        rows.add_row(escape(cluster.name), status, str(cluster.size), " ".join(cluster.nodes), escape(cluster.cloud))
    return rows


def _endings(found: "list[Ending]") -> Table | str:
    """Returns a table of what became of clusters."""
    rows = Table("cluster", "ended (UTC)", "why", "by")
    for ending in found:
        rows.add_row(escape(ending.cluster), f"{ending.ended:%Y-%m-%d %H:%M}", escape(ending.why), escape(ending.by))
    return rows if found else "There is no record of a cluster that has ended."


def _orphans(found: "list[Orphan]") -> Table | str:
    """Returns a table of what clusters that are gone have left."""
    rows = Table("kind", Column("name", overflow="fold"), Column("cluster", overflow="fold"), "since (UTC)", "why")
    for orphan in found:
        since = f"{orphan.since:%Y-%m-%d %H:%M}" if orphan.since else ""
        rows.add_row(orphan.kind, escape(orphan.name), escape(orphan.cluster), since, escape(orphan.why))
    return rows if found else "There are no orphans."


def _confirm(question: str) -> None:
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


def _pairs(given: list[str]) -> dict[str, Any]:
    """Returns NAME=VALUE arguments by name, with the values of their YAML, and what files have that are named by @FILE.

    Raises:
        OptionError: One has no value, or one that is no YAML, or a file cannot be read.
    """
    pairs: dict[str, Any] = {}
    for text in given:
        if text.startswith("@"):
            pairs |= _pairs_of(Path(text[1:]))
            continue
        name, equals, value = text.partition("=")
        if not equals:
            raise OptionError(name, f"The option {name} has no value.", remedy=f"Give it: -o {name}=VALUE.")
        try:
            pairs[name] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            remedy = "Quote it."
            raise OptionError(name, f"The value of {name} is no YAML: {error}.", remedy=remedy) from error
    return pairs


def _pairs_of(path: Path) -> dict[str, Any]:
    """Returns what a file of YAML or JSON has by name.

    Raises:
        OptionError: It cannot be read, or has something else.
    """
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise OptionError("option", f"{path} cannot be read: {error}.", remedy="Name a file of YAML.") from error
    if not isinstance(found, dict):
        raise OptionError("option", f"{path} has no names with values.", remedy="Write NAME: VALUE into it.")
    return found


@contextmanager
def _told_errors(verbose: bool = False) -> Iterator[None]:
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


def main() -> None:
    """Runs the command."""
    app()
