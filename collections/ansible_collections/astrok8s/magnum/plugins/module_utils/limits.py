# Copyright: astrok8s contributors
# Apache-2.0
"""What a cloud has room for, and what a site allows a user: the words of the preflight."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from .magnum import Cluster


@dataclass(frozen=True)
class Resource:
    """What there is of something that is limited.

    Attributes:
        used: How much of it is used.
        limit: How much there may be; infinity where there is no limit.
        needed: How much more a cluster needs.
        of_worker: How much of it one worker needs.
    """

    used: int
    limit: float
    needed: int
    of_worker: int

    @property
    def left(self) -> float:
        """What is left of it before the cluster is made; infinity where there is no limit."""
        return self.limit - self.used

    def __str__(self) -> str:
        left = "no limit" if math.isinf(self.limit) else f"{self.left - self.needed:g} of {self.limit:g} left then"
        return f"{self.used} used, {self.needed} more, {left}"


def resources(limits: Any, flavors: Mapping[str, Any], added: Mapping[str, int]) -> dict[str, Resource]:
    """Returns what Nova limits, by the name of the resource.

    Args:
        limits: Nova's absolute limits, as openstacksdk gives them.
        flavors: The flavors of the nodes by their role; None where one is not known.
        added: How many nodes are added, by their role: `worker`, and others.
    """
    each: dict[str, tuple[Any, Any, dict[str, int]]] = {
        "instances": (limits.instances, limits.instances_used, dict.fromkeys(flavors, 1)),
        "cores": (limits.total_cores, limits.total_cores_used, _of(flavors, "vcpus")),
        "MiB of RAM": (limits.total_ram, limits.total_ram_used, _of(flavors, "ram")),
    }
    return {
        # A cloud tells -1, or nothing, where it has no limit.
        name: Resource(
            used=used or 0,
            limit=math.inf if limit is None or limit < 0 else limit,
            needed=sum(amount[role] * count for role, count in added.items()),
            of_worker=amount["worker"],
        )
        for name, (limit, used, amount) in each.items()
    }


def _of(flavors: Mapping[str, Any], attribute: str) -> dict[str, int]:
    return {role: getattr(flavor, attribute) if flavor else 0 for role, flavor in flavors.items()}


def largest_size(size: int, known: Iterable[Resource]) -> float:
    """Returns the largest number of workers that there is room for; infinity where nothing is limited.

    Args:
        size: A number of workers.
        known: What is limited, with what that number needs.
    """
    rooms = (math.floor((of.left - of.needed) / of.of_worker) for of in known if of.of_worker and of.limit < math.inf)
    return max(0, size + min(rooms, default=math.inf))


def quota(size: int, known: Mapping[str, Resource]) -> tuple[str, str]:
    """Returns what a quota says of a number of workers, and why it does not allow it; empty where it does.

    Args:
        size: The number of workers.
        known: What is limited, with what that number needs, by the name of the resource.
    """
    fits = largest_size(size, known.values())
    short = {name: of for name, of in known.items() if of.needed > of.left}
    if short:
        told = ", ".join(f"{of.needed} {name}, of which {of.left:g} are left" for name, of in short.items())
        remedy = f"Size {fits:g} fits; use that, or ask for more quota." if fits else "Ask for more quota."
        return "", f"The quota does not allow size {size}: it needs {told}. {remedy}"
    told = "; ".join(f"{name}: {of}" for name, of in known.items())
    return f"{told}; the largest size that fits is {fits:g}" if fits < math.inf else told, ""


def of_user(
    name: str, size: int, others: list[Cluster], most_clusters: int | None, most_workers: int | None
) -> tuple[str, str]:
    """Returns what a site says of one more cluster of a user, and why it does not allow it; empty where it does.

    Args:
        name: The cluster's name.
        size: Its number of workers.
        others: The user's other clusters.
        most_clusters: How many clusters the site allows a user; None for any number.
        most_workers: How many workers the site allows all clusters of a user; None for any number.
    """
    clusters, workers = len(others) + 1, sum(other["node_count"] for other in others) + size
    has = ", ".join(sorted(f"{other['name']} of size {other['node_count']}" for other in others))
    told = []
    if most_clusters is not None:
        if clusters > most_clusters:
            return "", (
                f"This site allows a user {_counted(most_clusters, 'cluster')}; with {name} you would have {clusters} "
                f"({has or name}). Destroy one of them, or ask the site for more."
            )
        told.append(f"{clusters} of {most_clusters} clusters")
    if most_workers is not None:
        if workers > most_workers:
            fits = most_workers - workers + size
            remedy = f"Size {fits} fits; use that" if fits > 0 else "Destroy one of them"
            return "", (
                f"This site allows a user {_counted(most_workers, 'worker')}; with size {size} of {name} you would "
                f"have {workers}{f' ({has})' if has else ''}. {remedy}, or ask the site for more."
            )
        told.append(f"{workers} of {most_workers} workers")
    return ", ".join(told), ""


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
