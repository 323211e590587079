# Copyright: astrok8s contributors
# Apache-2.0
"""Checks of a cloud before anything is made, for one cluster of a wanted size."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from .magnum import Magnum, MagnumError


@dataclass(frozen=True)
class Wanted:
    """The cluster that is to be made.

    Attributes:
        name: Its name.
        size: Number of workers.
        template: Name or UUID of the cluster template.
        definition: Attributes of the template, if it is to be made too; else empty.
        keypair: Name of a keypair, or empty for the template's.
        public_key: Its public key, if it is to be made too; else empty.
        flavor: Flavor of the workers, or empty for the template's.
        master_flavor: Flavor of the control plane, or empty for the template's.
    """

    name: str
    size: int
    template: str
    definition: dict[str, Any] = field(default_factory=dict)
    keypair: str = ""
    public_key: str = ""
    flavor: str = ""
    master_flavor: str = ""


class Preflight:
    """The checks; each adds to `passed` or `failed`.

    Args:
        connection: An authenticated openstacksdk connection.
        wanted: The cluster that is to be made.
    """

    def __init__(self, connection: Any, wanted: Wanted) -> None:
        self._cloud, self._wanted = connection, wanted
        self.passed: dict[str, str] = {}
        self.failed: dict[str, str] = {}

    def run(self) -> None:
        """Run every check that the ones before allow."""
        magnum, wanted = Magnum(self._cloud), self._wanted
        try:
            template = {"name": wanted.template, **wanted.definition}
            template = template if wanted.definition else magnum.template(wanted.template)
            existing = magnum.find(wanted.name)
        except MagnumError as error:
            self.failed["template"] = str(error)
            return
        self.passed["template"] = template["name"]
        self._image(template.get("image_id") or "")
        self._network(template.get("external_network_id"))
        self._keypair()
        workers = wanted.size - (existing["node_count"] if existing else 0)
        masters = 0 if existing else 1
        self._quota(template, workers, masters)

    def _tell(self, check: str, holds: bool, otherwise: str, value: str = "ok") -> None:
        if holds:
            self.passed[check] = value
        else:
            self.failed[check] = otherwise

    def _image(self, image: str) -> None:
        found = self._cloud.image.find_image(image)
        if not found:
            self.failed["image"] = f"the template's image {image} is not in Glance; ask for it, or use another template"
            return
        has_distro = bool(found.properties.get("os_distro") or getattr(found, "os_distro", None))
        self._tell("image", has_distro, f"image {found.name} has no property os_distro, which Magnum needs", found.name)

    def _keypair(self) -> None:
        name, made = self._wanted.keypair, bool(self._wanted.public_key)
        if made and not name:
            self.failed["keypair"] = "magnum_cluster_public_key has no name; set magnum_cluster_keypair to one"
        elif name and not made:
            self._tell(
                "keypair",
                bool(self._cloud.compute.find_keypair(name)),
                f"there is no keypair {name!r}; unset magnum_cluster_keypair, or give magnum_cluster_public_key too",
            )

    def _network(self, network: str | None) -> None:
        if network:
            found = self._cloud.network.find_network(network)
            self._tell("network", bool(found), f"the template's external network {network} is not there; ask for it")

    def _quota(self, template: dict[str, Any], workers: int, masters: int) -> None:
        """Compare what is added with what is left of instances, cores and RAM."""
        flavors = {}
        names = {
            "worker": self._wanted.flavor or template.get("flavor_id"),
            "control plane": self._wanted.master_flavor or template.get("master_flavor_id"),
        }
        for role, name in names.items():
            flavors[role] = self._cloud.compute.find_flavor(name, get_extra_specs=False) if name else None
        missing = [
            f"flavor {names[role]} of the {role} is not there"
            for role, count in (("worker", workers), ("control plane", masters))
            if count > 0 and not flavors[role]
        ]
        if missing:
            known = ", ".join(sorted(flavor.name for flavor in self._cloud.compute.flavors())) or "none"
            self.failed["flavor"] = f"{', '.join(missing)}; the cloud has: {known}"
            return
        if workers <= 0 and not masters:
            self.passed["quota"] = "nothing is added"
            return
        try:
            limits = self._cloud.compute.get_limits().absolute
        except Exception as error:  # a cloud may hide them: say so, and go on
            self.passed["quota"] = f"not readable ({error})"
            return
        self._compare(_needs(flavors, workers, masters), _left(limits), _per_worker(flavors))

    def _compare(self, needs: dict[str, int], left: dict[str, float], per_worker: dict[str, int]) -> None:
        short = [name for name, amount in needs.items() if amount > left[name]]
        if not short:
            self.passed["quota"] = ", ".join(f"{name}: {needs[name]} of {left[name]:g}" for name in needs)
            return
        fits = largest_size(self._wanted.size, needs, left, per_worker)
        told = ", ".join(f"{name}: adds {needs[name]}, {left[name]:g} left" for name in short)
        self.failed["quota"] = (
            f"the quota does not allow size {self._wanted.size} ({told}); the largest size that fits is {fits}. "
            "Ask for that, or for more quota"
        )


def _per_worker(flavors: dict[str, Any]) -> dict[str, int]:
    flavor = flavors["worker"]
    return {"instances": 1, "cores": flavor.vcpus, "MiB RAM": flavor.ram} if flavor else {}


def _needs(flavors: dict[str, Any], workers: int, masters: int) -> dict[str, int]:
    pairs = [(flavors["worker"], max(workers, 0)), (flavors["control plane"], masters)]
    return {
        "instances": sum(count for _, count in pairs),
        "cores": sum(flavor.vcpus * count for flavor, count in pairs if flavor),
        "MiB RAM": sum(flavor.ram * count for flavor, count in pairs if flavor),
    }


def _left(limits: Any) -> dict[str, float]:
    """Return what is left; -1 means no limit."""
    pairs = {
        "instances": (limits.instances, limits.instances_used),
        "cores": (limits.total_cores, limits.total_cores_used),
        "MiB RAM": (limits.total_ram, limits.total_ram_used),
    }
    return {n: float("inf") if (limit or -1) < 0 else float(limit - (used or 0)) for n, (limit, used) in pairs.items()}


def largest_size(size: int, needs: dict[str, int], left: dict[str, float], per_worker: dict[str, int]) -> int:
    """Return the largest number of workers that fits.

    Args:
        size: The number that does not fit.
        needs: What that number needs, by resource.
        left: What is left of each resource.
        per_worker: What a worker needs of each.
    """
    surplus = [-(-(needs[name] - left[name]) // per_worker[name]) for name in needs if per_worker.get(name)]
    return max(0, size - int(max(0, *surplus)))
