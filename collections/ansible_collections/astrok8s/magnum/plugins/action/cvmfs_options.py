# Copyright: astrok8s contributors
# Apache-2.0
"""Refuse repositories and proxies of CVMFS that cannot be."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.astrok8s.magnum.plugins.module_utils.cvmfs import problems


class ActionModule(ActionBase):
    """Runs in Ansible's own process: no module is started for it."""

    TRANSFERS_FILES = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Look at what is declared."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        given = self._task.args
        if wrong := problems(given.get("repositories") or [], given.get("proxies") or []):
            result.update(failed=True, msg="CVMFS: " + "; ".join(wrong))
        return result
