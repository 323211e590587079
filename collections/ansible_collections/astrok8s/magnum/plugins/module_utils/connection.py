# Copyright: astrok8s contributors
# Apache-2.0
"""The connection to a cloud of clouds.yaml, and what can be wrong with it."""

import os
from pathlib import Path
from typing import Any

from .errors import MagnumError

REQUEST_TIMEOUT_S = 60

# openstacksdk declares it where nothing else does.
_NO_CLOUD = "defaults"


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
    # The last ones are of entries with nothing after a name, or with what does not go with their auth_type.
    except (openstack.exceptions.ConfigException, exceptions.AuthPluginException, AttributeError, TypeError) as error:
        raise _explain_entry(cloud, error) from error
    try:
        connection.session.get_token()
    except exceptions.AuthPluginException as error:
        raise _explain_entry(cloud, error) from error
    except exceptions.Unauthorized as error:
        raise MagnumError(
            f"The cloud {cloud} refuses the credentials of its entry in clouds.yaml: {error}.",
            f"Correct user, password and project there, until `openstack --os-cloud {cloud} token issue` works.",
        ) from error
    except (exceptions.ClientException, openstack.exceptions.SDKException) as error:
        raise MagnumError(
            f"The cloud {cloud} does not answer: {str(error).rstrip('.')}.",
            f"See that it is up (`localcloud up` starts one of this machine) and that its auth_url is right: "
            f"`openstack --os-cloud {cloud} token issue` must work.",
        ) from error
    except Exception as error:
        if type(error) is not Exception:
            raise
        raise _explain_entry(cloud, error) from error  # so keystoneauth raises that there is no password
    return connection


def _explain_entry(cloud: str, error: Exception) -> MagnumError:
    """Returns what is wrong with the entry of a cloud."""
    import openstack

    declared = sorted(set(openstack.config.OpenStackConfig().get_cloud_names()) - {_NO_CLOUD})
    if cloud in declared:
        fact = f"The entry {cloud} of clouds.yaml cannot be used: {str(error).rstrip('.')}."
        remedy = f"Correct it until `openstack --os-cloud {cloud} token issue` works."
        if "application_credential" in fact:
            remedy = f"An application credential needs `auth_type: v3applicationcredential`. {remedy}"
        return MagnumError(fact, remedy)
    why = _unread()
    if declared:
        remedy = "Name one of these, or add it there."
    elif why:
        remedy = "Correct that."
    else:
        remedy = (
            "Put the clouds.yaml that your site's dashboard gives you at ~/.config/openstack/clouds.yaml, "
            "or start a cloud on this machine: `localcloud up`."
        )
    return MagnumError(
        f"The cloud {cloud} is not declared; clouds.yaml declares: {', '.join(declared) or 'none'}{why}.", remedy
    )


def _unread() -> str:
    """Returns what openstacksdk keeps to itself: that there is a file that it cannot read, and why."""
    import openstack
    import yaml

    named = os.environ.get("OS_CLIENT_CONFIG_FILE")
    # As openstacksdk looks: the file that is named, and then the others.
    for path in filter(None, [named, *openstack.config.loader.CONFIG_FILES]):
        try:
            yaml.safe_load(Path(path).read_text(encoding="utf-8"))
        except FileNotFoundError:
            if path == named:
                return f", since there is no file {path}, which OS_CLIENT_CONFIG_FILE names"
        except yaml.MarkedYAMLError as error:  # whose whole message quotes the file, with passwords
            line = f" in line {error.problem_mark.line + 1}" if error.problem_mark else ""
            return f", since {path} is no YAML: {error.problem}{line}"
        except (OSError, ValueError, yaml.YAMLError) as error:
            return f", since {path} cannot be read: {error}"
        else:
            return ""
    return ""
