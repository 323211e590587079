"""Gives users access to a cluster, each in a namespace of the user's own, and takes it."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from astrok8s._cloud import connection_of
from astrok8s._kubernetes import access_of, told
from astrok8s.clusters import Cluster
from astrok8s.errors import OptionError

_PLAYBOOK = "playbooks/access.yml"
_LABEL = "astrok8s/access=user"


@dataclass(frozen=True)
class Grant:
    """A user's access to a cluster.

    Attributes:
        user: The user.
        namespace: The user's namespace.
        since: When it was granted first, UTC.
        until: When it ends; None where it ends when it is not used.
    """

    user: str
    namespace: str
    since: datetime
    until: datetime | None


@dataclass(frozen=True)
class Access:
    """What the file of a user's access says.

    Attributes:
        file: The file.
        cluster: The cluster's name.
        namespace: The user's namespace there.
        uuid: What tells it from other accesses.
        expires: When its token ends, if it is not used until then, UTC.
    """

    file: Path
    cluster: str
    namespace: str
    uuid: str
    expires: datetime


def read(file: Path) -> Access:
    """Reads what `grant` has written.

    Args:
        file: The file.

    Raises:
        OptionError: There is no access in it.
    """
    from astrok8s._granted import Granted

    found = Granted.read(file)
    return Access(file, found.name, found.namespace, found.uuid, found.expires)


def grant(
    cluster: Cluster,
    user: str,
    *,
    until: datetime | str | None = None,
    file: str | Path | None = None,
    quiet: bool = False,
    report: Callable[[str], None] | None = None,
    **options: Any,
) -> Path:
    """Gives a user access to a cluster: a namespace of the user's own, with a server of Spark Connect in it.

    Again, it gives another file, and brings the namespace up to date. `attach(kubeconfig=…)` takes the file.

    Args:
        cluster: The cluster.
        user: Any name, such as "maria.rossi@example.org".
        until: When the access ends; if None, when it has not been used for `user_access_hours`, a day by default.
        file: The file that is written, for its owner alone; by default one in the current folder, named after both.
        quiet: Show no progress.
        report: Takes what is being done, from another thread; nothing is shown then.
        **options: Options of the role user_access, such as `user_access_cores=8`.

    Returns:
        The file: a kubeconfig with a token. Whoever has it has the access.

    Raises:
        OptionError: An argument cannot be taken; nothing was run.
        ProvisionError: A task of the playbook failed.
    """
    checked = check(user, until=until, **options)
    path = Path(file or file_name(cluster.name, user)).expanduser().resolve()
    if not path.parent.is_dir():
        raise OptionError("file", f"There is no folder {path.parent}.", remedy="Make it, or name another file.")
    _run(cluster, checked | {"user_access_file": str(path)}, quiet=quiet, report=report)
    return path


def file_name(cluster: str, user: str) -> str:
    """Returns the name of the file of a user's access, as long as no other is given.

    Args:
        cluster: The cluster's name.
        user: The user.

    Raises:
        OptionError: There can be no such user.
    """
    return f"{cluster}-{_namespace(user).removeprefix('user-')}.kubeconfig"


def revoke(cluster: Cluster, user: str, *, quiet: bool = False, report: Callable[[str], None] | None = None) -> None:
    """Takes a user's access at once, and the user's namespace with all that is in it; does nothing where there is none.

    Args:
        cluster: The cluster.
        user: The user.
        quiet: Show no progress.
        report: Takes what is being done, from another thread; nothing is shown then.

    Raises:
        OptionError: There can be no such user; nothing was run.
        ProvisionError: A task of the playbook failed.
    """
    _run(cluster, check(user) | {"user_access_state": "absent"}, quiet=quiet, report=report)


def grants(cluster: Cluster) -> list[Grant]:
    """Returns who has access to a cluster, in the order of their names.

    Args:
        cluster: The cluster.

    Raises:
        CloudError: The cloud or the cluster is not reached, or refuses.
    """
    with told(cluster.name), connection_of(cluster.cloud) as connection, access_of(connection, cluster).api() as api:
        found = api.list_namespace(label_selector=_LABEL).items
    return sorted((_grant(namespace.metadata) for namespace in found), key=lambda grant: grant.user)


def _grant(metadata: Any) -> Grant:
    until = metadata.annotations.get("astrok8s/until")
    end = datetime.fromisoformat(until).astimezone() if until else None
    return Grant(metadata.annotations["astrok8s/user"], metadata.name, metadata.creation_timestamp, end)


def _namespace(user: str) -> str:
    from ansible_collections.astrok8s.magnum.plugins.module_utils.errors import MagnumError
    from ansible_collections.astrok8s.magnum.plugins.module_utils.users import namespace_of

    try:
        return namespace_of(user)
    except MagnumError as error:
        raise OptionError("user", error.fact, remedy=error.remedy) from error


def check(user: str, *, until: datetime | str | None = None, **options: Any) -> dict[str, Any]:
    """Checks the arguments of `grant`, and returns them as variables of the playbook.

    Args:
        user: As of `grant`.
        until: As of `grant`.
        **options: As of `grant`.

    Raises:
        OptionError: One cannot be taken.
    """
    from ansible_collections.astrok8s.magnum.plugins.module_utils.access import lifetime
    from ansible_collections.astrok8s.magnum.plugins.module_utils.errors import MagnumError

    from astrok8s.options import check_options, load_options

    _namespace(user)
    end = until.isoformat() if isinstance(until, datetime) else until or ""
    known = {name: option for name, option in load_options().items() if option.role == "user_access"}
    checked = check_options({"user_access_user": user, "user_access_until": end} | options, known=known)
    try:
        lifetime(checked["user_access_until"], checked.get("user_access_hours", known["user_access_hours"].default))
    except MagnumError as error:
        raise OptionError("until", error.fact, remedy=error.remedy) from error
    return checked


def _run(cluster: Cluster, checked: dict[str, Any], *, quiet: bool, report: Callable[[str], None] | None) -> None:
    from astrok8s.provisioning import run

    variables = {"magnum_cluster_name": cluster.name, "cloud_name": cluster.cloud} | checked
    run(_PLAYBOOK, cluster.name, variables, quiet=quiet, report=report)
