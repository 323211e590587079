"""Makes, changes and takes away clusters, by running the playbooks."""

import sys
from typing import Any

from astrok8s._cloud import cloud_name
from astrok8s._progress import Progress
from astrok8s.clusters import Cluster, get_cluster
from astrok8s.errors import OptionError
from astrok8s.options import check_options, load_options

ARGUMENTS = {
    "cloud_name": "cloud",
    "magnum_cluster_name": "name",
    "magnum_cluster_size": "size",
}
"""Options of the roles that are arguments here, under another name."""

_SETTLED = {"cloud_cluster", "cloud_localcloud"}
"""Options of the roles that the playbooks set from the others."""


def offered_options() -> set[str]:
    """Returns the names of the options that `provision` takes."""
    return {
        name
        for name, option in load_options().items()
        if name not in {*ARGUMENTS, *_SETTLED} and not name.endswith("_state") and option.role != "user_access"
    }


def provision(
    name: str = "astro", *, size: int | None = None, cloud: str | None = None, quiet: bool = False, **options: Any
) -> Cluster:
    """Makes a cluster, or makes one that is there as it is declared. Again, it changes nothing.

    Args:
        name: The cluster's name.
        size: Its number of worker nodes, at least 1; a cluster of another size is resized. If None, one that is there
            keeps its size, and a new one gets 2.
        cloud: The entry of clouds.yaml; `$OS_CLOUD`, else `local`, by default.
        quiet: Show no progress.
        **options: Options of the roles, such as `spark_base_namespace="spark"`.

    Returns:
        The cluster, with its nodes ready, and prepared for Spark.

    Raises:
        OptionError: An argument cannot be taken; nothing was run.
        ProvisionError: A task of the playbook failed.
        KeyboardInterrupt: It was interrupted; the next run finishes the cluster.

    Example:
        >>> cluster = astrok8s.provision("hyades", size=8)
    """
    entry = cloud_name(cloud)
    sized = {} if size is None else {"magnum_cluster_size": size}
    checked = _check({"magnum_cluster_name": name, "cloud_name": entry} | sized, options)
    run("site.yml", name, checked, quiet=quiet)
    return get_cluster(name, cloud=entry)


def destroy(name: str, *, cloud: str | None = None, quiet: bool = False) -> None:
    """Takes a cluster away, and waits until it is gone; does nothing where there is none.

    Args:
        name: The cluster's name.
        cloud: The entry of clouds.yaml; `$OS_CLOUD`, else `local`, by default.
        quiet: Show no progress.

    Raises:
        OptionError: An argument cannot be taken; nothing was run.
        ProvisionError: A task of the playbook failed.
    """
    checked = _check({"magnum_cluster_name": name, "cloud_name": cloud_name(cloud)}, {})
    run("playbooks/destroy.yml", name, checked, quiet=quiet)


def _check(arguments: dict[str, Any], options: dict[str, Any]) -> dict[str, Any]:
    """Returns arguments and options as variables of a playbook.

    Raises:
        OptionError: One cannot be taken.
    """
    from ansible_collections.astrok8s.magnum.plugins.module_utils.errors import MagnumError
    from ansible_collections.astrok8s.magnum.plugins.module_utils.magnum import check_name, check_size

    known = load_options()
    for option in options:
        if option in ARGUMENTS:
            raise OptionError(option, f"{option} is an argument here.", remedy=f"Give {ARGUMENTS[option]}=….")
        if option in known and option not in offered_options():
            remedy = "Cluster.destroy() takes a cluster away." if option.endswith("_state") else "Leave it out."
            raise OptionError(option, f"{option} is set by the playbooks.", remedy=remedy)
    checked = check_options(arguments | options, known=known)
    try:
        check_name(checked["magnum_cluster_name"])
        check_size(checked.get("magnum_cluster_size"))
    except MagnumError as error:
        raise OptionError("name", error.fact, remedy=error.remedy) from error
    return checked


def run(playbook: str, name: str, variables: dict[str, Any], *, quiet: bool) -> None:
    """Runs a playbook on a cluster, and shows what it does.

    Args:
        playbook: Its path in the Ansible content.
        name: The cluster's name.
        variables: Checked options.
        quiet: Show no progress.

    Raises:
        ProvisionError: A task failed.
        KeyboardInterrupt: It was interrupted.
    """
    from astrok8s import _runner  # ansible-runner takes a while to import

    with Progress(quiet=quiet) as progress:
        try:
            _runner.run(playbook, name, variables, progress.say)
        except KeyboardInterrupt as interrupt:
            print(interrupt, file=sys.stderr)  # also where no traceback shows it
            raise
