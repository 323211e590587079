# Copyright: astrok8s contributors
# Apache-2.0
"""What a role's meta/form.yml says of its options: titles, units and bounds, which argument specs have no place for."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml


def read(role: Path) -> dict[str, Any]:
    """Returns the form of a role: `title`, and `options` by their names; nothing where the role has none.

    Args:
        role: The role's folder.
    """
    path = role / "meta/form.yml"
    return yaml.safe_load(path.read_text(encoding="utf-8")) if path.exists() else {"title": role.name, "options": {}}


def beyond(value: Any, entry: Mapping[str, Any]) -> str | None:
    """Returns why a value is beyond the bounds of an option, without a full stop; None where it is not.

    Args:
        value: A number, or the text of one.
        entry: The option in its form: `minimum`, `maximum` and `unit`, each if there is one.
    """
    unit = f" {entry['unit']}" if "unit" in entry else ""
    try:
        number = float(value)
    except (TypeError, ValueError):  # no number: whoever checks the type tells so
        return None
    if number < entry.get("minimum", number):
        return f"it is at least {entry['minimum']}{unit}"
    if number > entry.get("maximum", number):
        return f"it is at most {entry['maximum']}{unit}"
    return None
