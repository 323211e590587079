"""The commands about the notebooks of astrok8s."""

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from astrok8s.cli._given import Cloud, Options, pairs
from astrok8s.cli._shown import err, out, told_errors

app = typer.Typer(no_args_is_help=True, help="The notebooks of astrok8s: tutorials, and tests of what it promises.")

Folder = Annotated[Path | None, typer.Option(help="The folder of the notebooks; those of astrok8s if left out.")]


@app.command("list")
def list_(folder: Folder = None) -> None:
    """List the notebooks, and what they need."""
    from astrok8s import validation

    with told_errors():
        rows = Table("notebook", "cluster", "needs", "within", "what it is")
        for entry in validation.find(folder):
            needs = escape(", ".join(entry.needs))
            rows.add_row(escape(entry.name), entry.cluster, needs, f"{entry.timeout_s:g} s", escape(entry.title))
        out.print(rows)


@app.command()
def run(
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

    with told_errors():
        parameters = pairs(parameter)
        plan = validation.Plan(
            validation.choose(validation.find(folder), only or [], parameters),
            output,
            cloud=cloud,
            cluster=cluster,
            parallel=parallel,
            timeout_s=validation.seconds_of(timeout) if timeout else None,
            options=pairs(option),
            parameters=parameters,
            listeners=validation.Listeners.read(tell or [], smtp),
        )
        done = validation.validate(plan, lambda text: err.print(text, markup=False))
        out.print(f"{done.status}: {output / 'report.html'}", markup=False, soft_wrap=True)
    if done.status != "passed":
        raise typer.Exit(1)
