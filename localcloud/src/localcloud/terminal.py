"""What all commands share: options, output, and how an error is shown."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from localcloud.prerequisites import LocalcloudError

Home = Annotated[Path | None, typer.Option(help="Its folder; default $LOCALCLOUD_HOME or ~/.local/share/localcloud.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]

out, err = Console(), Console(stderr=True)


@contextlib.contextmanager
def errors(interrupted: str = "`localcloud up` goes on from here, `localcloud destroy` removes it") -> Iterator[None]:
    """Show an error that a user can act on as one line, and exit with code 1.

    Args:
        interrupted: What to say of an interruption.
    """
    try:
        yield
    except (LocalcloudError, RuntimeError, ValueError) as error:
        err.print(f"[red]error:[/] {error}", highlight=False, soft_wrap=True)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        err.print(f"interrupted; {interrupted}")
        raise typer.Exit(1) from None
