# Copyright: astrok8s contributors
# Apache-2.0
"""Whether a cloud can make a cluster of a size, looked at before anything is made."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from . import limits
from .errors import MagnumError
from .magnum import Cluster, Magnum, size_of


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """The cluster that should be made.

    Attributes:
        name: Its name.
        size: Its number of workers; None for the one that it has, or the default.
        template: Name or UUID of its cluster template.
        definition: The template in the terms of openstack.cloud.coe_cluster_template, where the cloud may lack it.
        image: The image of the nodes in the terms of openstack.cloud.image, where the cloud may lack it.
        network: The network of the nodes, where the cloud may lack it: `name`, `cidr`.
        keypair: The keypair of the nodes; empty for the template's.
        public_key: Its public key, where the cloud may lack it.
        flavor: The flavor of the workers; empty for the template's.
        master_flavor: The flavor of the control plane; empty for the template's.
        ends: Whether it is to end by itself.
        most_clusters: How many clusters the site allows a user; None for any number.
        most_workers: How many workers the site allows all clusters of a user; None for any number.
    """

    name: str
    size: int | None
    template: str
    definition: Mapping[str, Any]
    image: Mapping[str, Any]
    network: Mapping[str, Any]
    keypair: str
    public_key: str
    flavor: str
    master_flavor: str
    ends: bool
    most_clusters: int | None
    most_workers: int | None


class Preflight:
    """The checks, and what they find.

    Args:
        connection: An openstacksdk connection.
        wanted: The cluster that should be made.

    Attributes:
        passed: What was found, by the name of the check.
        failed: Why the cluster cannot be made, by the name of the check.
        missing: What must be made first: of `template`, `image`, `network`, `keypair`.
    """

    def __init__(self, connection: Any, wanted: Wanted) -> None:
        self._cloud, self._wanted = connection, wanted
        self.passed: dict[str, str] = {}
        self.failed: dict[str, str] = {}
        self.missing: list[str] = []

    def run(self) -> None:
        """Checks everything, so that one run tells all that is wrong."""
        magnum, wanted = Magnum(self._cloud), self._wanted
        template = self._template(magnum)
        if wanted.ends:
            self._credential()
        if template is not None:
            self._image(str(template.get("image_id") or ""))
            self._networks(template)
            self._keypair(str(wanted.keypair or template.get("keypair_id") or ""))
            existing = magnum.find(wanted.name)
            size = size_of(wanted.size, existing)
            self._limits(magnum, size, existing)
            new_workers = max(0, size - (existing["node_count"] if existing else 0))
            added = {"worker": new_workers, "control plane": 0 if existing else 1}
            if flavors := self._flavors(template, added):
                self._quota(size, flavors, added)

    def _found(self, check: str, found: object, *, can_make: bool, otherwise: str) -> None:
        """Notes that something is there, or can be made, or is missing and why that is wrong."""
        if found:
            self.passed[check] = "is there"
        elif can_make:
            self.passed[check] = "will be made"
            self.missing.append(check)
        else:
            self.failed[check] = otherwise

    def _template(self, magnum: Magnum) -> Mapping[str, Any] | None:
        wanted = self._wanted
        found = magnum.find_template(wanted.template) if wanted.definition else None
        try:
            template = found or wanted.definition or magnum.template(wanted.template)
        except MagnumError as error:
            self.failed["template"] = str(error)
            return None
        self._found("template", found or not wanted.definition, can_make=True, otherwise="")
        return template

    def _credential(self) -> None:
        access = self._cloud.session.auth.get_access(self._cloud.session)
        own = access.application_credential if access.application_credential_id else {}
        if own.get("restricted"):
            self.failed["credential"] = (
                f"Your application credential {own['name']} is a restricted one: it may not make the credential with "
                "which the cluster would end by itself. Use an unrestricted one."
            )

    def _image(self, name: str) -> None:
        image = self._cloud.image.find_image(name) if name else None
        can_make = self._wanted.image.get("name") == name
        otherwise = (
            f"The cloud has no image {name}, of which the template makes nodes. Use another template, or upload it."
        )
        if image is not None and not (image.properties.get("os_distro") or getattr(image, "os_distro", None)):
            self.failed["image"] = (
                f"The image {name} has no property os_distro, which Magnum needs. Set it, or ask for it."
            )
        else:
            self._found("image", image, can_make=can_make, otherwise=otherwise)

    def _networks(self, template: Mapping[str, Any]) -> None:
        external, fixed = template.get("external_network_id"), template.get("fixed_network")
        for check, name in (("external network", external), ("network", fixed)):
            if name:
                found = self._cloud.network.find_network(name)
                can_make = check == "network" and self._wanted.network.get("name") == name
                otherwise = (
                    f"The cloud has no network {name}, which the template names. Use another template, or ask for it."
                )
                self._found(check, found, can_make=can_make, otherwise=otherwise)

    def _keypair(self, name: str) -> None:
        if name:
            can_make = bool(self._wanted.public_key) and name == self._wanted.keypair
            otherwise = (
                f"You have no keypair {name} (`openstack keypair list`). "
                "Set magnum_cluster_keypair to one that you have, or give magnum_cluster_public_key, too."
            )
            self._found("keypair", self._cloud.compute.find_keypair(name), can_make=can_make, otherwise=otherwise)

    def _flavors(self, template: Mapping[str, Any], added: Mapping[str, int]) -> dict[str, Any]:
        """Returns the flavors of the nodes by their role, where known; nothing if the cloud lacks one."""
        wanted = self._wanted
        names = {
            "worker": wanted.flavor or template.get("flavor_id"),
            "control plane": wanted.master_flavor or template.get("master_flavor_id"),
        }
        flavors = {
            role: self._cloud.compute.find_flavor(name, get_extra_specs=False) if name else None
            for role, name in names.items()
        }
        lacking = [f"{names[role]} of the {role}" for role in added if names[role] and flavors[role] is None]
        if lacking:
            known = ", ".join(sorted(flavor.name for flavor in self._cloud.compute.flavors())) or "none"
            self.failed["flavor"] = (
                f"The cloud has no flavor {' nor '.join(lacking)}; it has: {known}. Use one of these."
            )
            return {}
        return flavors

    def _quota(self, size: int, flavors: Mapping[str, Any], added: Mapping[str, int]) -> None:
        known = limits.resources(self._cloud.compute.get_limits().absolute, flavors, added)
        self._told("quota", limits.quota(size, known))

    def _limits(self, magnum: Magnum, size: int, existing: Cluster | None) -> None:
        """Looks at what the site allows the owner of the cluster, which others of the project may resize, too."""
        wanted = self._wanted
        if wanted.most_clusters is None and wanted.most_workers is None:
            return
        owner = existing["user_id"] if existing else self._cloud.current_user_id
        own = existing["uuid"] if existing else ""
        others = [other for other in magnum.all_details() if other["user_id"] == owner and other["uuid"] != own]
        self._told("limits", limits.of_user(wanted.name, size, others, wanted.most_clusters, wanted.most_workers))

    def _told(self, check: str, told: tuple[str, str]) -> None:
        passed, failed = told
        if failed:
            self.failed[check] = failed
        else:
            self.passed[check] = passed
