# Copyright: astrok8s contributors
# Apache-2.0
"""What the role lifecycle computes."""

from collections.abc import Callable
from typing import Any

from ansible.errors import AnsibleFilterError

from ..module_utils import lifetime
from ..module_utils.errors import MagnumError


def lifetime_seconds(ttl: str | None, longest: str, idle: str | None = None) -> float:
    """Returns for how many seconds a new cluster is to live, if it may live that long, and idle no longer."""
    wanted = ttl or lifetime.DEFAULT
    try:
        lifetime.check(wanted, longest)
        if idle is not None:
            lifetime.check_idle(idle, ttl, longest)
        return lifetime.duration(wanted).total_seconds()
    except MagnumError as error:
        raise AnsibleFilterError(str(error)) from error


class FilterModule:
    """The filters, for Ansible."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Returns the filters by their names."""
        return {"lifetime_seconds": lifetime_seconds}
