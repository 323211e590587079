# Copyright: astrok8s contributors
# Apache-2.0
"""Refuse variables that look like an option of a role and are none, and values that options cannot have."""

import difflib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.plugins.action import ActionBase
from ansible.utils.vars import load_extra_vars
from ansible_collections.astrok8s.magnum.plugins.module_utils import forms

_SHORT = ("size", "ttl", "idle", "keep")
"""The short names of options, which need no role's prefix."""

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
    options = {*known, *_SHORT}
    meant = {
        name: _MEANT.get(name) or next(iter(difflib.get_close_matches(name, options, n=1, cutoff=0.75)), None)
        for name in given
        if name not in options
    }
    return [f"There is no option {name}. Did you mean {option}?" for name, option in sorted(meant.items()) if option]


def invalid(values: Mapping[str, Any], specs: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Returns a sentence for each option that has another type than its role says, or none of its choices.

    Args:
        values: The variables of a host; what is None is left to the role.
        specs: The argument specs of all options, by their names.
    """
    given = {name: value for name, value in values.items() if name in specs and value is not None}
    found = ArgumentSpecValidator({name: dict(specs[name]) for name in given}).validate(given)
    return [f"{message}." for message in found.error_messages]


def beyond(values: Mapping[str, Any], entries: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Returns a sentence for each option that is beyond the bounds of its role's form.

    Args:
        values: As of `invalid`.
        entries: The entries of all forms, by the options' names.
    """
    reasons = {name: forms.beyond(value, entries[name]) for name, value in values.items() if name in entries}
    return [f"The option {name} cannot be {values[name]}: {reason}." for name, reason in reasons.items() if reason]


class ActionModule(ActionBase):  # type: ignore[misc]  # Ansible ships no types
    """Runs in Ansible's own process, since it needs all variables of the host; and so no module is started for it."""

    TRANSFERS_FILES = False
    _VALID_ARGS = frozenset(("roles",))

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Compares the host's variables with the argument specs of the roles: of all, before the first one acts."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        known: dict[str, set[str]] = {}
        options: dict[str, Any] = {}
        entries: dict[str, Any] = {}
        for path in Path(self._task.args["roles"]).glob("*/meta/argument_specs.yml"):
            specs = yaml.safe_load(path.read_text(encoding="utf-8"))["argument_specs"]
            known[path.parents[1].name] = set(specs["main"].get("options", {}))
            options |= specs["main"].get("options", {})
            entries |= forms.read(path.parents[1])["options"]
        variables = task_vars or {}
        given = {name: self._templar.template(variables[name]) for name in options if name in variables}
        wrong = unknown(variables, known) + mistaken(load_extra_vars(self._loader), options)
        wrong += invalid(given, options) + beyond(given, entries)
        if wrong:
            result |= {"failed": True, "msg": " ".join(dict.fromkeys(wrong))}
        return result
