# Copyright: astrok8s contributors
# Apache-2.0
"""Refuse variables that look like an option of a role and are none."""

import difflib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml
from ansible.plugins.action import ActionBase
from ansible.utils.vars import load_extra_vars

_SHORT = "size"
"""The short name of an option, which needs no role's prefix."""

_MEANT = {"cloud": "cloud_name", "name": "magnum_cluster_name"}
"""What the Python package and the command line call by another name."""


def unknown(variables: Iterable[str], known: Mapping[str, set[str]]) -> list[str]:
    """Returns a sentence for each variable that is named like an option of a role, and is none.

    Args:
        variables: The names of all variables of a host.
        known: The options of each role, by its name.
    """
    options = {option for of_role in known.values() for option in of_role}
    prefixes = tuple(f"{role}_" for role in known)
    wrong = sorted(name for name in variables if name.startswith(prefixes) and name not in options)
    return [
        f"There is no option {name}. Did you mean {difflib.get_close_matches(name, options, n=1, cutoff=0)[0]}?"
        for name in wrong
    ]


def mistaken(given: Iterable[str], known: Iterable[str]) -> list[str]:
    """Returns a sentence for each variable of a command line that was meant to be an option, and is none.

    An inventory may have variables of its own; on a command line a name that resembles an option is a slip.

    Args:
        given: The names of the variables of `--extra-vars`.
        known: The options of all roles.
    """
    options = {*known, _SHORT}
    meant = {
        name: _MEANT.get(name) or next(iter(difflib.get_close_matches(name, options, n=1, cutoff=0.75)), None)
        for name in given
        if name not in options
    }
    return [f"There is no option {name}. Did you mean {option}?" for name, option in sorted(meant.items()) if option]


class ActionModule(ActionBase):  # type: ignore[misc]  # Ansible ships no types
    """Runs in Ansible's own process, since it needs all variables of the host; and so no module is started for it."""

    TRANSFERS_FILES = False
    _VALID_ARGS = frozenset(("roles",))

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Compares the host's variables with the argument specs of the roles."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        known = {}
        for path in Path(self._task.args["roles"]).glob("*/meta/argument_specs.yml"):
            specs = yaml.safe_load(path.read_text(encoding="utf-8"))["argument_specs"]
            known[path.parents[1].name] = set(specs["main"].get("options", {}))
        options = {option for of_role in known.values() for option in of_role}
        wrong = [*unknown(task_vars or {}, known), *mistaken(load_extra_vars(self._loader), options)]
        if wrong:
            result |= {"failed": True, "msg": " ".join(dict.fromkeys(wrong))}
        return result
