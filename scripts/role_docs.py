"""Write each role's README.md from its argument specs.

usage: python scripts/role_docs.py
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from astrok8s._options import description

ROLES = Path(__file__).parents[1] / "roles"


def _row(name: str, option: dict[str, Any]) -> str:
    kind = str(option["type"])
    if "choices" in option:
        kind += ": " + ", ".join(option["choices"])
    default = "required" if option.get("required") else f"`{option['default']!r}`"
    return f"| `{name}` | {kind} | {default} | {description(option, '`')} |"


def document(role: Path) -> str:
    """Return the README of a role.

    Args:
        role: Its folder.
    """
    spec = yaml.safe_load((role / "meta/argument_specs.yml").read_text())["argument_specs"]["main"]
    rows = [_row(name, option) for name, option in spec["options"].items()]
    return "\n".join(
        [
            f"# {role.name}",
            "",
            f"{spec['short_description']}.",
            "",
            description(spec, "`"),
            "",
            "| option | type | default | |",
            "|---|---|---|---|",
            *rows,
            "",
            "Generated from `meta/argument_specs.yml` by `scripts/role_docs.py`.",
            "",
        ]
    )


def main() -> None:
    """Write all of them."""
    for role in sorted(ROLES.iterdir()):
        (role / "README.md").write_text(document(role))


if __name__ == "__main__":
    main()
