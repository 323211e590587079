"""What a shell completes. It asks as the command would, and completes nothing where that fails."""

import typer

from astrok8s.errors import AstroK8sError

# Nothing but a list may be printed here: it is what the shell reads.
_SEEN = 60


def clusters(context: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """Returns the names of the clusters of the project, with what they are."""
    from astrok8s.clusters import list_clusters

    try:
        found = list_clusters(cloud=context.params.get("cloud"))
    except AstroK8sError:
        return []
    return [(one.name, f"{one.status}, size {one.size}") for one in found if one.name.startswith(incomplete)]


def clouds(incomplete: str) -> list[str]:
    """Returns the entries of clouds.yaml."""
    from openstack.config import OpenStackConfig
    from openstack.exceptions import SDKException
    from yaml import YAMLError

    try:
        declared = OpenStackConfig().get_cloud_names()
    except (SDKException, YAMLError, OSError):
        return []
    return sorted(name for name in declared if name.startswith(incomplete))


def options(incomplete: str) -> list[tuple[str, str]]:
    """Returns the options of the roles, with what they are for."""
    from astrok8s.options import load_options
    from astrok8s.provisioning import offered_options

    offered, known = offered_options(), load_options()
    return [
        (f"{name}=", option.description[:_SEEN])
        for name, option in known.items()
        if name in offered and name.startswith(incomplete)
    ]
