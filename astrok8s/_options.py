"""Checks what a caller asks for against the roles' argument specs, before anything runs."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from astrok8s._errors import OptionError
from astrok8s._paths import ansible_root

Spec = Mapping[str, Any]

NAME = re.compile(r"[a-zA-Z][a-zA-Z0-9_.-]{0,241}")
"""Magnum's own rule for the name of a cluster."""

GROUPS = ("all", "ungrouped", "clusters")
"""An inventory host cannot have the name of a group."""

_TYPES: dict[str, tuple[type, ...]] = {
    "bool": (bool,),
    "dict": (dict,),
    "float": (float, int),
    "int": (int,),
    "list": (list, tuple),
    "path": (str, Path),
    "raw": (object,),
    "str": (str,),
}


@cache
def role_options(root: Path | None = None) -> dict[str, Spec]:
    """Return the options of every role, by name, as their argument specs describe them.

    Args:
        root: Folder of the Ansible content; the installed one if None.
    """
    options: dict[str, Spec] = {}
    for path in sorted(((root or ansible_root()) / "roles").glob("*/meta/argument_specs.yml")):
        specs = yaml.safe_load(path.read_text(encoding="utf-8"))["argument_specs"]
        options.update(specs["main"].get("options", {}))
    return options


def description(spec: Spec, quote: str = "") -> str:
    """Return what a spec says of its option or role, as one text.

    Args:
        spec: Of an option, or of a role.
        quote: Put around words that Ansible's markup marks, as ``C(words)``.
    """
    text = spec.get("description", "")
    text = text if isinstance(text, str) else " ".join(text)
    return re.sub(r"\b[A-Z]\(([^)]*)\)", rf"{quote}\1{quote}", text)


def checked(options: Mapping[str, Any], known: Mapping[str, Spec], reserved: Mapping[str, str]) -> dict[str, Any]:
    """Return the options as values for Ansible.

    Args:
        options: What the caller gave.
        known: The roles' options.
        reserved: Options that only another argument may set, and that argument.

    Raises:
        OptionError: One is unknown, reserved, or of another type than its spec says.
    """
    for name, value in options.items():
        if name in reserved:
            raise OptionError(f"{name} cannot be given as an option; use {reserved[name]}")
        if name.endswith("_state"):
            raise OptionError(f"{name} cannot be given as an option; Cluster.destroy() takes a cluster away")
        if name not in known:
            raise OptionError(_unknown(name, [*known.keys() - reserved.keys(), "name", "size", "cloud"]))
        _check_type(name, value, known[name])
    return {name: str(value) if isinstance(value, Path) else value for name, value in options.items()}


def check_name(name: object) -> str:
    """Return the name of a cluster, if Magnum and an inventory take it.

    Raises:
        OptionError: They do not.
    """
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise OptionError(
            f"name={name!r} cannot be the name of a cluster: Magnum wants a letter, then up to 241 letters, digits, "
            "dots, hyphens or underscores; choose another one, such as 'hyades'"
        )
    if name in GROUPS:
        raise OptionError(f"name={name!r} is the name of an inventory group; choose another one, such as 'hyades'")
    return name


def check_size(size: object) -> int:
    """Return the number of workers, if it can be one.

    Raises:
        OptionError: It cannot.
    """
    if isinstance(size, bool) or not isinstance(size, int) or size < 1:
        raise OptionError(f"size={size!r} is not a number of worker nodes; give a whole number from 1, such as size=2")
    return size


def _unknown(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    # A name without its role's prefix is the likeliest mistake, and no close match.
    near = near or sorted(other for other in known if other.endswith(f"_{name}"))[:1]
    hint = f"did you mean {near[0]}?" if near else "`astrok8s options` lists those that there are"
    return f"unknown option {name}: no role has it; {hint}"


def _check_type(name: str, value: object, spec: Spec) -> None:
    kind = spec.get("type", "str")
    wanted = _TYPES.get(kind, (object,))
    # bool is an int in Python, but not in an argument spec.
    if not isinstance(value, wanted) or (isinstance(value, bool) and kind in ("int", "float")):
        raise OptionError(f"{name}={value!r} is of type {type(value).__name__}, not {kind}; {_example(spec)}")
    if (choices := spec.get("choices")) and value not in choices:
        raise OptionError(f"{name}={value!r} is not one of its choices; give one of {', '.join(map(str, choices))}")
    if isinstance(value, (list, tuple)) and (element := spec.get("elements")) in _TYPES:
        for index, item in enumerate(value):
            _check_type(f"{name}[{index}]", item, {"type": element})


def _example(spec: Spec) -> str:
    return (
        f"its default is {spec['default']!r}"
        if "default" in spec
        else f"give a value of type {spec.get('type', 'str')}"
    )
