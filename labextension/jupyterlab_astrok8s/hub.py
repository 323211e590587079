"""For a site's JupyterHub: what its users' servers are to have from the Hub, whatever spawner it has.

In jupyterhub_config.py::

    from jupyterlab_astrok8s import hub

    c.Spawner.environment = {"OS_CLOUD": "virtualdata"}
    # Users' credentials, where the authenticator puts them into auth_state as `openstack`.
    c.Spawner.auth_state_hook = hub.give_credential
    # A namespace of the user's own on a cluster that the Hub's own clouds.yaml has.
    c.Spawner.pre_spawn_hook = hub.share("hyades")
"""

import asyncio
import tempfile
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from pathlib import Path
from typing import Any

import yaml

from astrok8s import AstroK8sError, OptionError, credentials, get_cluster
from jupyterlab_astrok8s.accesses import Accesses

_CREDENTIAL = "ASTROK8S_CREDENTIAL"
_ACCESS = "ASTROK8S_ACCESS"


def give_credential(spawner: Any, auth_state: Mapping[str, Any] | None) -> None:
    """Gives a user's server the user's credential for OpenStack; an `auth_state_hook`.

    Args:
        spawner: The Hub's spawner of the server.
        auth_state: What the authenticator knows of the user. `openstack` in it is an entry of clouds.yaml; without one,
            users paste theirs in the panel.
    """
    entry = (auth_state or {}).get("openstack")
    if entry:
        spawner.environment = {**spawner.environment, _CREDENTIAL: yaml.safe_dump(dict(entry))}


def share(cluster: str, *, cloud: str | None = None, **options: Any) -> Callable[[Any], Awaitable[None]]:
    """Gives each user access to a cluster of the site, before the user's server starts.

    Args:
        cluster: The cluster's name.
        cloud: The entry of the Hub's clouds.yaml; `$OS_CLOUD`, else `local`, by default.
        **options: Options of the role user_access, such as `user_access_cores=8`.

    Returns:
        A `pre_spawn_hook`. Where the access cannot be given, the Hub's log says why, and the server starts without it.
    """

    async def give_access(spawner: Any) -> None:
        try:
            text = await asyncio.to_thread(_grant, cluster, cloud, spawner.user.name, options)
        except AstroK8sError as error:
            spawner.log.error("%s has no access to %s: %s", spawner.user.name, cluster, error)
            return
        spawner.environment = {**spawner.environment, _ACCESS: text}

    return give_access


def _grant(cluster: str, cloud: str | None, user: str, options: Mapping[str, Any]) -> str:
    with tempfile.TemporaryDirectory(prefix="astrok8s-") as folder:
        file = Path(folder) / "access"
        get_cluster(cluster, cloud=cloud).grant(user, file=file, quiet=True, **options)
        return file.read_text(encoding="utf-8")


def take(environment: MutableMapping[str, str], accesses: Accesses, cloud: str | None) -> None:
    """Keeps what the Hub has given, in a user's server. Kernels do not inherit it: the environment has it no more.

    Args:
        environment: That of the server's process.
        accesses: The user's accesses.
        cloud: The entry of clouds.yaml that the server uses; `$OS_CLOUD`, else `local`, by default.

    Raises:
        OptionError: The Hub gave something else.
    """
    credential, access = environment.pop(_CREDENTIAL, ""), environment.pop(_ACCESS, "")
    if credential:
        entry = yaml.safe_load(credential)
        if not isinstance(entry, dict):
            raise OptionError("credential", "The Hub gave no entry of clouds.yaml.", remedy="See auth_state.")
        credentials.put(entry, cloud=cloud)
    if access:
        accesses.add(access)
