# Copyright: astrok8s contributors
# Apache-2.0
"""The connection to a cloud of clouds.yaml, and what can be wrong with it."""

from typing import Any

from .errors import MagnumError

REQUEST_TIMEOUT_S = 60


def connect(cloud: str) -> Any:
    """Connects to a cloud, and makes sure that it accepts the credentials.

    Args:
        cloud: The entry of clouds.yaml.

    Returns:
        An openstacksdk connection, authenticated.

    Raises:
        MagnumError: There is no such entry, the cloud does not answer, or it refuses the credentials.
    """
    import openstack  # takes half a second, which a module whose arguments are wrong should not
    from keystoneauth1 import exceptions

    try:
        connection = openstack.connect(cloud=cloud, app_name="astrok8s", api_timeout=REQUEST_TIMEOUT_S)
        connection.session.get_token()
    except (openstack.exceptions.ConfigException, exceptions.AuthPluginException) as error:
        raise _explain_entry(cloud, error) from error
    except exceptions.Unauthorized as error:
        raise MagnumError(
            f"The cloud {cloud} refuses the credentials of its entry in clouds.yaml: {error}.",
            f"Correct user, password and project there, until `openstack --os-cloud {cloud} token issue` works.",
        ) from error
    except (exceptions.ClientException, openstack.exceptions.SDKException) as error:
        raise MagnumError(
            f"The cloud {cloud} does not answer: {error}.",
            f"See that it is up (`localcloud up` starts one of this machine) and that its auth_url is right: "
            f"`openstack --os-cloud {cloud} token issue` must work.",
        ) from error
    return connection


def _explain_entry(cloud: str, error: Exception) -> MagnumError:
    """Returns what is wrong with the entry of a cloud."""
    import openstack

    declared = sorted(openstack.config.OpenStackConfig().get_cloud_names())
    if cloud in declared:
        return MagnumError(
            f"The entry {cloud} of clouds.yaml cannot be used: {error}.",
            f"Correct it until `openstack --os-cloud {cloud} token issue` works.",
        )
    return MagnumError(
        f"The cloud {cloud} is not declared; clouds.yaml declares: {', '.join(declared) or 'none'}.",
        "Name one of these, or add it there.",
    )
