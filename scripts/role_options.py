"""Writes the options of `provision` as types, by which editors complete them, from the roles' argument specs.

usage: .venv/bin/python scripts/role_options.py >astrok8s/_role_options.py
"""

import json
from typing import Any

from astrok8s.options import Option, load_options
from astrok8s.provisioning import offered_options

HEAD = '''"""The options of `provision` as types, by which editors complete them; made by scripts/role_options.py."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypedDict


class RoleOptions(TypedDict, total=False):
    """Options of the roles. `astrok8s options` says what each is for, and what it is where it is left out."""
'''

TYPES = {"dict": "Mapping[str, Any]", "list": "Sequence[Any]", "path": "str"}


def type_of(option: Option) -> str:
    """Returns the type of an option, as it is written in Python."""
    choices: list[Any] | None = option.spec.get("choices")
    if choices:
        quoted = ", ".join(json.dumps(choice) for choice in choices)
        return f"Literal[{quoted}]"
    return TYPES.get(option.type, option.type)


def main() -> None:
    """Prints the module."""
    offered = offered_options()
    print(HEAD)
    for name, option in load_options().items():
        if name in offered:
            print(f"    {name}: {type_of(option)}")


if __name__ == "__main__":
    main()
