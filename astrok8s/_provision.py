"""Makes, changes and takes away clusters, by running the playbooks."""

from __future__ import annotations

import sys
from typing import Any

from astrok8s._cloud import cloud_name
from astrok8s._cluster import Cluster, get_cluster
from astrok8s._options import check_name, check_size, checked, role_options
from astrok8s._progress import Progress

RESERVED = {
    "cloud_cluster": "the arguments name and size",
    "magnum_cluster_name": "the argument name",
    "magnum_cluster_size": "the argument size",
    "cloud_name": "the argument cloud",
}
"""Options of the roles that are arguments here."""


def provision(
    name: str = "astrok8s", *, size: int = 2, cloud: str | None = None, quiet: bool = False, **options: Any
) -> Cluster:
    """Make a cluster as declared, or make an existing one so; running it twice changes nothing.

    Args:
        name: The cluster's name, unique in the project.
        size: The number of worker nodes; of an existing cluster too, which is resized.
        cloud: Entry of clouds.yaml; default ``$OS_CLOUD``, else ``local``.
        quiet: Do not show progress.
        **options: Options of the roles, such as ``spark_base_namespace="spark"``.

    Returns:
        The cluster, with its nodes ready and Spark's namespace in it.

    Raises:
        OptionError: An argument is wrong; nothing was run.
        ProvisionError: A task of the playbook failed.
        KeyboardInterrupt: Ctrl-C; the next run finishes the cluster.

    Example:
        >>> cluster = astrok8s.provision("hyades", size=8)
    """
    variables = {"size": check_size(size), **_variables(cloud, options)}
    _run("site.yml", check_name(name), variables, quiet=quiet)
    return get_cluster(name, cloud=cloud)


def destroy(name: str, *, cloud: str | None = None, quiet: bool = False, **options: Any) -> None:
    """Take a cluster away, and wait until it is gone; nothing to do if there is none.

    Args:
        name: The cluster's name.
        cloud: Entry of clouds.yaml; default ``$OS_CLOUD``, else ``local``.
        quiet: Do not show progress.
        **options: Options of the roles.

    Raises:
        OptionError: An argument is wrong; nothing was run.
        ProvisionError: A task of the playbook failed.
    """
    _run("playbooks/destroy.yml", check_name(name), _variables(cloud, options), quiet=quiet)


def _variables(cloud: str | None, options: dict[str, Any]) -> dict[str, Any]:
    return {"cloud_name": cloud_name(cloud), **checked(options, role_options(), RESERVED)}


def _run(playbook: str, name: str, variables: dict[str, Any], *, quiet: bool) -> None:
    from astrok8s import _runner  # Ansible's runner takes 0.1 s to import

    with Progress(quiet=quiet) as progress:
        try:
            _runner.run(playbook, name, variables, progress.say)
        except KeyboardInterrupt as interrupt:
            print(interrupt, file=sys.stderr)  # noqa: T201 - also where no traceback shows it
            raise
