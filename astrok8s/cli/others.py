"""The commands that need no cloud."""

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Column, Table

from astrok8s.cli._shown import out, told_errors


def pack(
    requirements: Annotated[Path, typer.Argument(help="A file of requirements, as pip reads it.")],
    folder: Annotated[Path, typer.Argument(help="The folder that is made.")],
) -> None:
    """Make a folder of packages for executors, to be published in a repository of CVMFS."""
    from astrok8s import _environment

    with told_errors():
        _environment.pack(requirements, folder)
        out.print(f"Publish {escape(str(folder))}, and name it as it lies under /cvmfs: attach(environment=…).")


def options() -> None:
    """List the options that `provision` takes."""
    from astrok8s.options import load_options
    from astrok8s.provisioning import offered_options

    offered = offered_options()
    # Names and defaults are there to be copied: they keep their line, and the text takes what is left of it.
    rows = Table(Column("option", no_wrap=True), "type", Column("default", overflow="fold"), "what it is")
    for name, option in load_options().items():
        if name in offered:
            rows.add_row(name, option.type, escape(str(option.default)), escape(option.description))
    out.print(rows)
