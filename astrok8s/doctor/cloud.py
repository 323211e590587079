"""What a cloud must have."""

from collections.abc import Iterator, Mapping
from typing import Any

from astrok8s._cloud import connection_of
from astrok8s.doctor.findings import GREEN, RED, WARNING, Finding

_SERVICES = {
    "container-infrastructure-management": "Magnum",
    "compute": "Nova",
    "network": "Neutron",
    "image": "Glance",
}
# No cluster has it: what a new one would need is looked at.
_NEW = "astrok8s-doctor"
# What the preflight says of what clusters are made of.
_MADE = ("is there", "will be made")
# The images of nodes that Magnum's own driver makes by Heat.
_HEAT_DISTROS = ("fedora", "coreos", "centos")


def credentials(cloud: str) -> Iterator[Finding]:
    """Looks what the credentials allow."""
    with connection_of(cloud) as connection:
        access = connection.session.auth.get_access(connection.session)
        who = f"{access.username} in project {access.project_name}"
        roles = ", ".join(sorted(access.role_names))
        if {*access.role_names} <= {"reader"}:
            fact = f"You are {who}, with no more than the role {roles or 'none'}."
            yield Finding("credentials", RED, fact, "Ask for the role member in the project: clusters cannot be made.")
        else:
            yield Finding("credentials", GREEN, f"You are {who}, with the roles {roles}.")


def services(cloud: str) -> Iterator[Finding]:
    """Looks whether the catalogue has what clusters are made of."""
    from ansible_collections.astrok8s.magnum.plugins.module_utils.storage import s3

    with connection_of(cloud) as connection:
        lacking = [f"{name} ({kind})" for kind, name in _SERVICES.items() if not connection.endpoint_for(kind)]
        storage = s3(connection)
    if lacking:
        fact = f"The catalogue of {cloud} lacks {', '.join(lacking)} in your region."
        yield Finding("services", RED, fact, "Correct region_name in clouds.yaml, or ask the site for it.")
    else:
        yield Finding("services", GREEN, f"The catalogue has {', '.join(_SERVICES.values())}.")
    if storage is None:
        fact = f"The catalogue of {cloud} has no s3: there are neither s3a:// nor a history of sessions."
        yield Finding("object storage", WARNING, fact, "Ask the site for object storage with S3, or do without.")
    else:
        yield Finding("object storage", GREEN, f"S3 is at {storage.url}.")


def template(cloud: str) -> Iterator[Finding]:
    """Looks by which driver of Magnum a cluster would be made."""
    from ansible_collections.astrok8s.magnum.plugins.module_utils.magnum import Magnum

    from astrok8s.options import load_options

    name = str(load_options()["magnum_cluster_template"].default)
    with connection_of(cloud) as connection:
        found = Magnum(connection).find_template(name)
        if found is None:
            return  # whether it will be made, or must be named, the next check tells
        image = connection.image.find_image(str(found.get("image_id") or ""))
        distro = str((image and (image.properties.get("os_distro") or getattr(image, "os_distro", None))) or "")
    if is_of_heat(found, distro):
        fact = f"The template {name} is one of Magnum's driver for Heat ({distro or found.get('driver')})."
        remedy = "Magnum 23 has that driver no more: use a template of Cluster API, set magnum_cluster_template."
        yield Finding("driver", WARNING, fact, remedy)
    else:
        yield Finding("driver", GREEN, f"The template {name} makes nodes of {distro or 'an image'}, without Heat.")


def is_of_heat(found: Mapping[str, Any], distro: str) -> bool:
    """Returns whether a template is one of Magnum's own driver, which makes clusters by Heat.

    Args:
        found: The template, as Magnum's API shows it.
        distro: The property os_distro of its image.
    """
    driver = str(found.get("driver") or "")
    return driver.startswith("k8s_fedora") or "heat" in driver or distro.startswith(_HEAT_DISTROS)


def room(cloud: str) -> Iterator[Finding]:
    """Looks whether a cluster of the default size could be made, as `provision` does first."""
    from astrok8s.provisioning import preflight

    verdict = preflight(_NEW, cloud=cloud)
    for check, found in verdict.found.items():
        made = f"The {check} of a new cluster {found}." if found in _MADE else f"With a new cluster: {found}."
        yield Finding(check, GREEN, made)
    for check, wrong in verdict.wrong.items():
        fact, _, remedy = wrong.partition(". ")  # it was made as a fact and a remedy
        yield Finding(check, RED, f"{fact.rstrip('.')}.", remedy or "Ask the site.")


def left(cloud: str) -> Iterator[Finding]:
    """Looks for what clusters that are gone have left."""
    from astrok8s import orphans

    found = orphans.find(cloud)
    if found:
        kinds = ", ".join(sorted({orphan.kind for orphan in found}))
        fact = f"Clusters that are gone have left {len(found)}: {kinds}."
        yield Finding("orphans", WARNING, fact, "See `astrok8s doctor --orphans`; --clean removes them.")
    else:
        yield Finding("orphans", GREEN, "Clusters that are gone have left nothing.")
