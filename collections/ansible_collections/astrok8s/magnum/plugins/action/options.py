# Copyright: astrok8s contributors
# Apache-2.0
"""Refuse variables that look like a role's option and are none."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from ansible.plugins.action import ActionBase


def unknown(variables: Mapping[str, object], known: Mapping[str, set[str]]) -> list[str]:
    """Return a sentence for each variable that looks like an option and is none.

    Args:
        variables: All variables of a host.
        known: Options of each role, by its name.
    """
    every = [option for options in known.values() for option in options]
    found = []
    for name in sorted(variables):
        if any(name.startswith(f"{role}_") for role in known) and name not in every:
            near = difflib.get_close_matches(name, every, n=1, cutoff=0.0)
            found.append(f"no role has an option {name}; did you mean {near[0]}?")
    return found


class ActionModule(ActionBase):
    """Runs in Ansible's own process: no module is started for it."""

    TRANSFERS_FILES = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Compare the host's variables with the argument specs."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        known = {}
        for specs in Path(self._task.args["roles"]).glob("*/meta/argument_specs.yml"):
            options = yaml.safe_load(specs.read_text())["argument_specs"]["main"]["options"]
            known[specs.parents[1].name] = set(options)
        if wrong := unknown(task_vars or {}, known):
            result.update(failed=True, msg="; ".join(wrong))
        return result
