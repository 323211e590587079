"""What commands are given: arguments that several have, and values in YAML."""

from pathlib import Path
from typing import Annotated, Any

import typer

from astrok8s.cli import _completing
from astrok8s.errors import OptionError

Name = Annotated[str, typer.Argument(help="The cluster's name.", autocompletion=_completing.clusters)]
Cloud = Annotated[
    str | None,
    typer.Option("--cloud", help="The entry of clouds.yaml; $OS_CLOUD, else local.", autocompletion=_completing.clouds),
]
Options = Annotated[
    list[str] | None,
    typer.Option(
        "--option",
        "-o",
        metavar="NAME=VALUE",
        help="An option of the roles, its value as YAML; or @FILE for some.",
        autocompletion=_completing.options,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON: times in UTC, durations in seconds.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="After a failure, print all that Ansible printed.")]


def pairs(given: list[str] | None) -> dict[str, Any]:
    """Returns NAME=VALUE arguments by name, with the values of their YAML, and what files have that are named by @FILE.

    Raises:
        OptionError: One has no value, or one that is no YAML, or a file cannot be read.
    """
    import yaml

    found: dict[str, Any] = {}
    for text in given or []:
        if text.startswith("@"):
            found |= _pairs_of(Path(text[1:]))
            continue
        name, equals, value = text.partition("=")
        if not equals:
            raise OptionError(name, f"The option {name} has no value.", remedy=f"Give it: -o {name}=VALUE.")
        try:
            found[name] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            remedy = "Quote it."
            raise OptionError(name, f"The value of {name} is no YAML: {error}.", remedy=remedy) from error
    return found


def _pairs_of(path: Path) -> dict[str, Any]:
    """Returns what a file of YAML or JSON has by name.

    Raises:
        OptionError: It cannot be read, or has something else.
    """
    import yaml

    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise OptionError("option", f"{path} cannot be read: {error}.", remedy="Name a file of YAML.") from error
    if not isinstance(found, dict):
        raise OptionError("option", f"{path} has no names with values.", remedy="Write NAME: VALUE into it.")
    return found
