"""What a new cloud has: users, a catalog, an image, flavors, networks, a key pair, a cluster template."""

from __future__ import annotations

import json
from typing import Any

from localcloud.build.programs import module_version
from localcloud.openstack.clouds_yaml import PROJECT
from localcloud.openstack.config import SERVICE_TYPES
from localcloud.openstack.credentials import SERVICES, USER, key_pair, passwords, seed_marker
from localcloud.openstack.files import write_private
from localcloud.settings import REGION, Settings

URL_PATHS = {"glance": "", "nova": "/v2.1", "neutron": "", "magnum": "/v1", "swift": "/v1/AUTH_%(project_id)s"}
"""What follows a service's URL in the catalog."""

ROLES = {"swift": ("service",)}
"""Roles of a service's user that is no admin: Swift asks about tokens and signatures, and need not read secret keys."""

FLAVORS = {"m1.small": (1, 2048, 10), "m1.medium": (2, 4096, 20), "m1.large": (4, 8192, 40)}
"""vCPUs, MiB of RAM and GiB of disk by the flavor's name."""

NETWORKS = {"public": "203.0.113.0/24", "private": "192.168.64.0/24"}
"""Their subnets are records: localcloud's nodes get addresses of its own range."""

IMAGE = "k8s-node"
IMAGE_CONTENT = b"localcloud starts nodes from its golden node; this image stands for it in Glance.\n"


def seed(settings: Settings) -> None:
    """Fill a new cloud through its APIs; a cloud that was filled is left as its users have it.

    Killed in the middle, it goes on from there at the next call.

    Args:
        settings: Of the localcloud, whose services answer.
    """
    marker = seed_marker(settings)
    # of another Kubernetes or without a service of today, it has something to get
    wanted = {"kubernetes": module_version("kubernetes", "k8s.io/kubernetes"), "services": SERVICES}
    content = json.dumps(wanted) + "\n"
    if marker.exists() and marker.read_text() == content:
        return
    _identity(settings, _connect(settings, "admin", "admin"))
    # connections that know the whole catalog
    _content(settings, _connect(settings, "admin", "admin"), _connect(settings, USER, PROJECT))
    write_private(marker, content)


def _connect(settings: Settings, user: str, project: str) -> Any:
    """Return a connection of the SDK that reads neither clouds.yaml nor environment variables."""
    import requests
    from keystoneauth1 import session
    from keystoneauth1.identity import v3
    from openstack.connection import Connection

    web = requests.Session()
    web.trust_env = False  # no proxy between us and the loopback device
    login = v3.Password(
        auth_url=f"{settings.url('keystone')}/v3",
        username=user,
        password=passwords(settings)[user],
        project_name=project,
        user_domain_name="Default",
        project_domain_name="Default",
    )
    return Connection(session=session.Session(login, session=web), region_name=REGION)


# -- Keystone --------------------------------------------------------------------
def _identity(settings: Settings, cloud: Any) -> None:
    identity = cloud.identity
    roles = {role.name: role for role in identity.roles()}
    projects = {project.name: project for project in identity.projects()}
    users = {user.name: user for user in identity.users()}
    known = passwords(settings)

    def member(user: str, project: str, *names: str) -> None:
        if project not in projects:
            projects[project] = identity.create_project(name=project, domain_id="default")
        home = projects[project]
        if user not in users:
            users[user] = identity.create_user(
                name=user, password=known[user], domain_id="default", default_project_id=home.id
            )
        for name in names:
            identity.assign_project_role_to_user(home, users[user], roles[name])

    for service in SERVICES:
        member(service, "service", *ROLES.get(service, ("admin", "service")))
    member(USER, PROJECT, "member")
    _catalog(settings, identity)


def _catalog(settings: Settings, identity: Any) -> None:
    services = {service.type: service for service in identity.services()}
    endpoints = {(endpoint.service_id, endpoint.interface) for endpoint in identity.endpoints()}
    urls = {(name, kind): settings.url(name) + URL_PATHS[name] for name, kind in SERVICE_TYPES.items()}
    urls["swift-s3", "s3"] = settings.url("swift")
    for (name, kind), url in urls.items():
        if kind not in services:
            services[kind] = identity.create_service(type=kind, name=name)
        for interface in ("public", "internal", "admin"):
            if (services[kind].id, interface) not in endpoints:
                identity.create_endpoint(service_id=services[kind].id, interface=interface, region_id=REGION, url=url)


# -- everything else -------------------------------------------------------------
def _content(settings: Settings, admin: Any, user: Any) -> None:
    version = module_version("kubernetes", "k8s.io/kubernetes")
    _image(admin.image, version)
    flavors = {flavor.name for flavor in admin.compute.flavors()}
    for name, (vcpus, ram, disk) in FLAVORS.items():
        if name not in flavors:
            admin.compute.create_flavor(name=name, vcpus=vcpus, ram=ram, disk=disk)
    _network(
        admin.network,
        "public",
        is_router_external=True,
        provider_network_type="flat",
        provider_physical_network="public",
    )
    _network(user.network, "private")
    if USER not in {pair.name for pair in user.compute.keypairs()}:
        user.compute.create_keypair(name=USER, public_key=key_pair(settings))
    _template(admin.container_infrastructure_management, version)


def _image(glance: Any, version: str) -> None:
    for image in glance.images(name=IMAGE):
        if image.status == "active" and image.properties.get("kube_version") == version:
            return
        # of an older Kubernetes, or a kill came between the record and its content
        glance.delete_image(image)
    glance.create_image(
        name=IMAGE,
        data=IMAGE_CONTENT,
        disk_format="raw",
        container_format="bare",
        visibility="public",
        os_distro="localcloud",
        kube_version=version,
    )


def _network(neutron: Any, name: str, **attributes: Any) -> None:
    network = next(iter(neutron.networks(name=name)), None) or neutron.create_network(name=name, **attributes)
    if not list(neutron.subnets(network_id=network.id)):
        neutron.create_subnet(network_id=network.id, name=f"{name}-subnet", ip_version=4, cidr=NETWORKS[name])


def _template(magnum: Any, version: str) -> None:
    name = "kubernetes-" + ".".join(version.split(".")[:2])
    if name in {template.name for template in magnum.cluster_templates()}:
        return
    magnum.create_cluster_template(
        name=name,
        coe="kubernetes",
        image_id=IMAGE,
        flavor_id="m1.medium",
        master_flavor_id="m1.medium",
        external_network_id="public",
        network_driver="flannel",
        is_floating_ip_enabled=False,
        labels={"kube_tag": version},
        is_public=True,
    )
