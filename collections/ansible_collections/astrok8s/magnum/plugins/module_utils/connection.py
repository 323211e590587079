# Copyright: astrok8s contributors
# Apache-2.0
"""The connection to a cloud of clouds.yaml, and what can be wrong with it."""

from __future__ import annotations

from typing import Any

from .magnum import MagnumError


def connect(cloud: str) -> Any:
    """Return an authenticated openstacksdk connection.

    Args:
        cloud: Name of the entry in clouds.yaml.

    Raises:
        MagnumError: Unknown cloud, wrong credentials, or no answer.
    """
    import openstack
    from keystoneauth1 import exceptions

    remedy = f"`openstack --os-cloud {cloud} token issue` must work"
    try:
        connection = openstack.connect(cloud=cloud, app_name="astrok8s")
        connection.authorize()
    except openstack.exceptions.ConfigException as error:
        raise MagnumError(
            f"cloud {cloud} is in no clouds.yaml ({error}); add it, or set cloud_name. {remedy}"
        ) from error
    except (exceptions.ConnectFailure, exceptions.DiscoveryFailure) as error:
        hint = "; `localcloud up` starts it" if cloud.startswith("local") else ""
        raise MagnumError(f"cloud {cloud} does not answer ({error}){hint}. {remedy}") from error
    except (exceptions.Unauthorized, openstack.exceptions.SDKException) as error:
        raise MagnumError(
            f"cloud {cloud} refuses the credentials of its clouds.yaml entry ({error}); correct user, password and "
            f"project there. {remedy}"
        ) from error
    return connection
