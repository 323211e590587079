"""The connection to OpenStack, and its errors as ours."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from astrok8s.errors import CloudError

if TYPE_CHECKING:
    from ansible_collections.astrok8s.magnum.plugins.module_utils.magnum import Magnum


def cloud_name(cloud: str | None) -> str:
    """Returns the entry of clouds.yaml to use: the given one, else `$OS_CLOUD`, else the role's default."""
    if named := cloud or os.environ.get("OS_CLOUD"):
        return named
    from astrok8s.options import load_options  # a tenth of a second, as what is imported below

    return str(load_options()["cloud_name"].default)


@contextmanager
def magnum_of(cloud: str) -> Iterator["Magnum"]:
    """Gives the Magnum of a cloud, and raises as `connection_of`."""
    from ansible_collections.astrok8s.magnum.plugins.module_utils.magnum import Magnum

    with connection_of(cloud) as connection:
        yield Magnum(connection)


@contextmanager
def told(cloud: str) -> Iterator[None]:
    """Raises what goes wrong with a cloud as an error of ours.

    Args:
        cloud: Its entry in clouds.yaml.

    Raises:
        CloudError: Whatever goes wrong with the cloud within.
    """
    # Half a second, which nobody should pay who does not ask a cloud.
    from ansible_collections.astrok8s.magnum.plugins.module_utils.errors import MagnumError
    from keystoneauth1.exceptions import ClientException
    from openstack.exceptions import SDKException

    try:
        yield
    except MagnumError as error:
        raise CloudError(error.fact, remedy=error.remedy) from error
    except (ClientException, SDKException) as error:
        remedy = f"See whether `openstack --os-cloud {cloud} coe cluster list` works."
        raise CloudError(f"The cloud {cloud} failed: {error}.", remedy=remedy) from error


@contextmanager
def connection_of(cloud: str) -> Iterator[Any]:
    """Gives the openstacksdk connection to a cloud.

    Args:
        cloud: Its entry in clouds.yaml.

    Raises:
        CloudError: Whatever goes wrong with the cloud within.
    """
    from ansible_collections.astrok8s.magnum.plugins.module_utils.connection import connect

    with told(cloud), connect(cloud) as connection:
        yield connection
